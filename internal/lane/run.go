package lane

import "errors"

// take gives the worker runs of ready units, budget items at the most. Called
// with p.mu held.
func (p *Partition) take(w *worker, budget int) {
	w.runs = w.runs[:0]
	w.items = w.items[:0]
	w.inline = false
	if p.admit > 0 && p.takeAdmitted(w) {
		return
	}
	if p.serial.on {
		budget = 1
	}
	if s := &p.stream; s.waiting() && p.dispatchable() {
		if s.turn = p.ready.n == 0 || !s.turn; s.turn {
			p.takeStream(w, budget)
		}
	}
	if w.inline {
		p.running += len(w.runs)
		return
	}
	most := max(maxRun, p.pool.cfg.BatchMax)
	for budget > 0 && p.ready.n > 0 && p.dispatchable() && len(w.runs) < maxRun {
		u := p.ready.pop()
		limit := budget
		if p.cfg.BatchMax > 0 {
			limit = p.cfg.BatchMax
		}
		if u.solo > 0 || u.side && (u.since != 0 || u.head.Attempts > 0) {
			limit = 1
		}
		if p.serial.on {
			limit = 1
		}
		room := most - len(w.items)
		if room == 0 || p.cfg.BatchMax > 0 && room < limit && len(w.runs) > 0 {
			p.ready.pushFront(u) // no room for its whole run: it keeps its turn
			break
		}
		limit = min(limit, room)
		from := len(w.items)
		w.items = p.pick(u, w.items, limit)
		n := len(w.items) - from
		if n == 0 {
			u.state = unitNew
			p.place(u)
			continue
		}
		u.state = unitRunning
		u.inFlight = int32(n)
		w.runs = append(w.runs, Run{
			Part: p, Lane: p.number(u), Items: w.items[from:len(w.items):len(w.items)], unit: u, before: p.before(),
			leaving: p.behind(u, w.items[from:]),
		})
		budget -= n
	}
	p.running += len(w.runs)
}

// number is that of the unit's lane; -1 when it has none.
func (p *Partition) number(u *unit) int {
	switch {
	case u.isLane:
		return int(u.id)
	case p.cfg.Whole:
		return 0
	case u.side && p.cfg.Lanes > 0:
		return int(p.ghostID(u))
	}
	return -1
}

// pick takes up to limit items from the unit's head.
func (p *Partition) pick(u *unit, items []*Item, limit int) []*Item {
	from := len(items)
	if u.isLane && p.cfg.Detach && p.sides.n > 0 {
		items = p.divert(u, items, limit)
	} else {
		items = u.pop(items, limit)
	}
	if p.debts > 0 {
		for _, it := range items[from:] {
			p.collect(it)
		}
	}
	return items
}

// divert is pop for a lane with detached keys: a record whose key is detached
// joins its key's own queue when it comes to the lane's head, never before, so
// that it stays behind all earlier ones of its key.
func (p *Partition) divert(u *unit, items []*Item, limit int) []*Item {
	for limit > 0 && u.head != nil {
		it := u.shift()
		if side := p.sides.get(it.Hash); side != nil {
			if side.state != unitRunning {
				it = p.keep(it)
			}
			side.push(it)
			u.solo = max(0, u.solo-1) // one of those that were to run alone
			continue
		}
		items = append(items, it)
		limit--
	}
	return items
}

// finish takes the results of the runs that the worker has executed, as far as
// they are not settled; those behind were taken back from it. It reports whether
// there is more to do.
func (p *Partition) finish(w *worker) bool {
	p.mu.Lock()
	w.part.Store(nil)
	runs := w.runs[w.settled:w.executed]
	if p.closed {
		stuck := make([]uint64, 0, len(runs))
		for i := range runs {
			stuck = append(stuck, p.ghostID(runs[i].unit))
		}
		p.ran(len(runs))
		p.mu.Unlock()
		p.pool.returned(p.cfg.ID, stuck)
		return false
	}
	p.leave(w)
	p.settle(runs, w.refunds)
	p.drainGated()
	more := p.dispatchable()
	p.mu.Unlock()
	return more
}

// settle takes the results of runs whose handlers have returned; refunds is how often
// attempts had been given back when they were taken. Called with p.mu held.
func (p *Partition) settle(runs []Run, refunds int) {
	records, bytes := 0, int64(0)
	for i := range runs {
		r := &runs[i]
		u := r.unit
		if u == nil && r.err != nil {
			u = p.adopt(r)
		}
		if u != nil {
			u.inFlight = 0
			u.state = unitNew
		}
		for at, it := range r.Items[:max(r.done, 0)] {
			if r.Detached(at) {
				p.leaves(it)
				continue
			}
			records++
			bytes += int64(it.Size)
			p.wasTried(u, it, true)
			if it.Attempts > 0 {
				delete(p.failed, it.Offset)
				p.settleSpent(it)
			}
		}
		if u != nil {
			p.result(u, r, refunds)
		}
	}
	if records > 0 {
		p.progress += uint64(records)
		p.records -= records
		p.bytes -= bytes
		p.pool.records.Add(-int64(records))
		p.pool.bytes.Add(-bytes)
	}
	p.ran(len(runs))
}

func (p *Partition) result(u *unit, r *Run, refunds int) {
	if r.done > 0 {
		u.since = 0 // another head
		u.solo = max(0, u.solo-int32(r.done))
	}
	switch {
	case r.done < 0:
		u.prepend(r.Items)
		u.solo = max(u.solo, int32(len(r.Items)))
	case r.err == nil:
	case errors.Is(r.err, ErrHalted):
		u.prepend(r.Items[r.done:])
	default:
		rest := r.Items[r.done:]
		p.collect(rest[0])
		p.wasTried(u, rest[0], false)
		if a := r.verdict.Await; a != nil && a.settled > 0 {
			rest = p.passEarly(u, a, rest)
			if len(rest) == 0 {
				break
			}
			if a.answered && a.early.Settled {
				u.prepend(rest)
				break
			}
		}
		v := r.verdict.resolved()
		if v.Settled {
			p.pass(u, rest[0])
			if v.Gone {
				p.progress--
			}
			u.prepend(rest[1:])
			break
		}
		attempts := rest[0].Attempts
		if v.Refund && attempts == 0 && refunds != p.refunds {
			v.Spare = true // given back before it was counted
		}
		if !v.Spare {
			if v.Refund {
				p.spend(rest[0])
			}
			attempts++
			p.failed[rest[0].Offset] = attempts
		}
		rest[0] = rest[0].replacedBy(v.Keep)
		rest[0].Attempts = attempts
		if u.isLane && (p.cfg.Detach || r.Detached(r.done)) {
			side := p.newSide(rest[0].Hash)
			side.push(rest[0])
			p.block(side, v)
			u.solo = max(0, u.solo-1)
			u.prepend(rest[1:])
			break
		}
		u.prepend(rest)
		p.block(u, v)
		return
	}
	p.place(u)
}

// ghostID is the unit that a handler of an earlier ownership keeps closed in a
// later one: for a detached key its whole lane.
func (p *Partition) ghostID(u *unit) uint64 {
	if u.aside {
		return p.unitID(u.id ^ asideSalt)
	}
	if u.side {
		return p.unitID(u.id)
	}
	return u.id
}

// steal leaves w nothing but the run that it is in, because that turned out slow:
// a fast handler's run length must not make innocent keys wait, neither those
// behind it in the bunch nor those before, whose results are not yet known here.
func (p *Partition) steal(w *worker) {
	p.mu.Lock()
	if w.part.Load() != p || p.closed {
		p.mu.Unlock()
		return
	}
	p.putBack(p.strip(w))
	p.drainGated()
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
}

// strip settles the runs of w's bunch that it has executed, closes the bunch behind
// the one that it is in, and returns those that it has not begun. Called with p.mu
// held while w has a bunch of p.
func (p *Partition) strip(w *worker) (back []Run) {
	pos := w.pos.Load()
	for pos < stolen && !w.pos.CompareAndSwap(pos, stolen+pos) {
		pos = w.pos.Load()
	}
	if pos >= stolen { // not the first time: what it did not have then, it has not now
		pos -= stolen
	} else if pos < int64(len(w.runs)) {
		back = w.runs[pos:]
		p.ran(len(back))
	}
	// Claiming a run publishes the results of those before.
	if done := int(pos) - 1; done > w.settled {
		runs := w.runs[w.settled:done]
		w.settled = done
		p.settle(runs, w.refunds)
	}
	if p.stream.holder == w {
		p.stream.holder = nil
		if at := pos - 1; at >= 0 && at < int64(len(w.runs)) {
			p.adopt(&w.runs[at])
		}
	}
	return back
}
