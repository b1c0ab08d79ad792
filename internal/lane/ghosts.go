package lane

// Handlers cannot be ended from outside. One that outlives its ownership keeps its
// unit closed in the later ownerships of the same partition, as a ghost: in
// Pool.ghosts for those that are still to come, as unit.phantoms in the present
// one.

// forget removes a closed partition and keeps the units of its handlers that
// still run closed for the next ownership. Called with p.mu held, so that none
// of these handlers returns in between.
func (pl *Pool) forget(p *Partition, stuck []uint64) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	delete(pl.parts, p)
	if len(stuck) == 0 {
		return
	}
	have := pl.ghosts[p.cfg.ID]
	if have == nil {
		have = make(map[uint64]int)
		pl.ghosts[p.cfg.ID] = have
	}
	for _, id := range stuck {
		have[id]++
	}
}

// returned says that handlers of an ended ownership have returned: the same
// units of the present ownership may go on.
func (pl *Pool) returned(id string, units []uint64) {
	if len(units) == 0 {
		return
	}
	pl.mu.Lock()
	have := pl.ghosts[id]
	for _, u := range units {
		if have[u]--; have[u] <= 0 {
			delete(have, u)
		}
	}
	if len(have) == 0 {
		delete(pl.ghosts, id)
	}
	var now *Partition
	for p := range pl.parts {
		if p.cfg.ID == id {
			now = p
		}
	}
	pl.mu.Unlock()
	if now != nil {
		now.exorcise(units)
	}
}

func (p *Partition) exorcise(units []uint64) {
	p.mu.Lock()
	for _, id := range units {
		u := p.units.get(id)
		if u == nil || u.phantoms == 0 {
			continue
		}
		if u.phantoms--; u.phantoms == 0 {
			u.state = unitNew
			p.place(u)
		}
	}
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	} else if p.halt.Load() == HaltGate {
		p.pool.pump()
	}
}
