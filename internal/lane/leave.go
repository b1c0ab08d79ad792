package lane

// Lanes whose Apply keeps their positions elsewhere decide themselves which records
// leave the lane: see PartitionConfig.Leave. A key that has left has a queue of its
// own, which is run like that of a key that was detached after a failure.

// leaving is what a run knows of that, by the number of the item.
type leaving struct{ left, behind []bool }

// Detach says that Items[i] leaves the lane for its key's own queue: one of
// Items[:done] that is not done, or Items[done], which failed.
func (r *Run) Detach(i int) {
	if r.leaving == nil {
		r.leaving = &leaving{}
	}
	if r.leaving.left == nil {
		r.leaving.left = make([]bool, len(r.Items))
	}
	r.leaving.left[i] = true
}

// Detached says that Items[i] leaves the lane.
func (r *Run) Detached(i int) bool {
	return r.leaving != nil && i < len(r.leaving.left) && r.leaving.left[i]
}

// Behind says that records of the key of Items[i] were in a queue of their own when
// the run was taken: it must not be handled before them.
func (r *Run) Behind(i int) bool {
	return r.leaving != nil && i < len(r.leaving.behind) && r.leaving.behind[i]
}

// Side says that the run is of a key's own queue.
func (r *Run) Side() bool { return r.unit != nil && r.unit.side }

// behind notes which items of a lane's run come after records that have left.
func (p *Partition) behind(u *unit, items []*Item) (l *leaving) {
	if !p.cfg.Leave || !u.isLane || p.sides.n == 0 {
		return nil
	}
	for i, it := range items {
		if p.sides.get(it.Hash) == nil {
			continue
		}
		if l == nil {
			l = &leaving{behind: make([]bool, len(items))}
		}
		l.behind[i] = true
	}
	return l
}

// leaves moves an item that has left its lane to its key's own queue.
func (p *Partition) leaves(it *Item) {
	if side := p.sides.get(it.Hash); side != nil {
		if side.state != unitRunning {
			it = p.keep(it)
		}
		side.push(it)
		return
	}
	side := p.newSide(it.Hash)
	side.push(p.keep(it))
	p.place(side)
}

func (p *Partition) newSide(hash uint64) *unit {
	side := p.newUnit(hash)
	side.side = true
	if p.sides.add(side) {
		p.tidyLater()
	}
	return side
}
