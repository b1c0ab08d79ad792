package lane

// asideSalt tells the unit of injected items from that of the key's other records.
const asideSalt = 0x9e3779b97f4a7c15

// Inject takes an item of a key that does not stand in the line of the others: it
// runs in a unit of its own, whatever the key's unit waits for. The caller sees to it
// that no two items of the key run at a time; only handlers of an earlier ownership
// it cannot know. While one of those has not returned, and when the partition is
// closed, Inject does nothing and returns false.
func (p *Partition) Inject(it *Item, hash uint64) bool {
	p.mu.Lock()
	if u := p.units.get(p.unitID(hash)); p.closed || u != nil && u.phantoms > 0 {
		p.mu.Unlock()
		return false
	}
	it.Hash = hash ^ asideSalt
	u := p.sides.get(it.Hash)
	if u == nil {
		u = p.newUnit(it.Hash)
		u.side, u.aside = true, true
		if p.sides.add(u) {
			p.tidyLater()
		}
	}
	u.push(it)
	if u.state == unitNew {
		p.place(u)
	}
	p.records++
	p.bytes += int64(it.Size)
	p.pool.records.Add(1)
	p.pool.bytes.Add(int64(it.Size))
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	} else if p.halt.Load() == HaltGate {
		p.pool.pump()
	}
	return true
}

// Beside is what the partition's configuration says.
func (p *Partition) Beside() any { return p.cfg.Beside }

// Notes is what the partition's configuration says.
func (p *Partition) Notes() any { return p.cfg.Notes }
