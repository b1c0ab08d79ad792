package lane

import (
	"errors"
	"time"
)

// take gives the worker runs of ready units, budget items at the most. Called
// with p.mu held.
func (p *Partition) take(w *worker, budget int) {
	w.runs = w.runs[:0]
	w.items = w.items[:0]
	for budget > 0 && p.dispatchable() && len(w.runs) < cap(w.runs) {
		u := p.ready.pop()
		limit := budget
		if p.cfg.BatchMax > 0 {
			limit = p.cfg.BatchMax
		}
		if u.solo > 0 || u.side && u.head.Attempts > 0 {
			limit = 1
		}
		room := cap(w.items) - len(w.items)
		if room == 0 || p.cfg.BatchMax > 0 && room < limit && len(w.runs) > 0 {
			p.unpop(u) // no room for its whole run: it keeps its turn
			break
		}
		limit = min(limit, room)
		from := len(w.items)
		if u.isLane && p.cfg.Detach && len(p.sides) > 0 {
			w.items = p.divert(u, w.items, limit)
		} else {
			w.items = u.pop(w.items, limit)
		}
		n := len(w.items) - from
		if n == 0 {
			u.state = unitNew
			p.place(u)
			continue
		}
		u.state = unitRunning
		u.inFlight = n
		number := -1
		if u.isLane {
			number = int(u.id)
		} else if u.side {
			number = int(p.unitID(u.id))
		} else if p.cfg.Whole {
			number = 0
		}
		w.runs = append(w.runs, Run{
			Part: p, Ctx: p.ctx, Token: p.token, Lane: number,
			Items: w.items[from:len(w.items):len(w.items)], unit: u,
		})
		budget -= n
	}
	p.running += len(w.runs)
}

// unpop returns a unit to the front of the ready list.
func (p *Partition) unpop(u *unit) {
	u.nextReady = p.ready.head
	p.ready.head = u
	if p.ready.tail == nil {
		p.ready.tail = u
	}
	p.ready.n++
}

// pop moves up to limit items from the unit's head to the end of items.
func (u *unit) pop(items []*Item, limit int) []*Item {
	for ; limit > 0 && u.head != nil; limit-- {
		it := u.head
		u.head = it.next
		it.next = nil
		u.n--
		items = append(items, it)
	}
	if u.head == nil {
		u.tail = nil
	}
	return items
}

// prepend gives items back to the unit's head, in their order.
func (u *unit) prepend(items []*Item) {
	for i := len(items) - 1; i >= 0; i-- {
		it := items[i]
		it.next = u.head
		u.head = it
		if u.tail == nil {
			u.tail = it
		}
		u.n++
	}
}

// divert is pop for a lane with detached keys: a record whose key is detached
// joins its key's own queue when it comes to the lane's head, never before, so
// that it stays behind all earlier ones of its key.
func (p *Partition) divert(u *unit, items []*Item, limit int) []*Item {
	for limit > 0 && u.head != nil {
		it := u.head
		u.head = it.next
		it.next = nil
		u.n--
		if side := p.sides[it.Hash]; side != nil {
			if keep := p.pool.cfg.Keep; keep != nil && side.state != unitRunning {
				it = keep(it)
			}
			side.push(it)
			continue
		}
		items = append(items, it)
		limit--
	}
	if u.head == nil {
		u.tail = nil
	}
	return items
}

// finish takes the results of the worker's first n runs; those behind were
// stolen from it. It reports whether there is more to do.
func (p *Partition) finish(w *worker, n int) bool {
	p.mu.Lock()
	w.part.Store(nil)
	if p.closed {
		stuck := make([]uint64, 0, n)
		for i := range w.runs[:n] {
			stuck = append(stuck, p.ghostID(w.runs[i].unit))
		}
		p.ran(n)
		p.mu.Unlock()
		p.pool.returned(p.cfg.ID, stuck)
		return false
	}
	records, bytes := 0, int64(0)
	for i := range w.runs[:n] {
		r := &w.runs[i]
		u := r.unit
		u.inFlight = 0
		u.state = unitNew
		for _, it := range r.Items[:max(r.done, 0)] {
			records++
			bytes += int64(it.Size)
			if it.Attempts > 0 {
				delete(p.failed, it.Offset)
			}
		}
		p.result(u, r)
	}
	if records > 0 {
		p.progress += uint64(records)
		p.records -= records
		p.bytes -= bytes
		p.pool.records.Add(-int64(records))
		p.pool.bytes.Add(-bytes)
	}
	p.ran(n)
	more := p.dispatchable()
	p.mu.Unlock()
	return more
}

func (p *Partition) result(u *unit, r *Run) {
	if r.done > 0 {
		u.since = time.Time{} // another head
		u.solo = max(0, u.solo-r.done)
	}
	switch {
	case r.done < 0:
		u.prepend(r.Items)
		u.solo = len(r.Items)
	case r.err == nil:
	case errors.Is(r.err, ErrHalted):
		u.prepend(r.Items[r.done:])
	default:
		rest := r.Items[r.done:]
		attempts := rest[0].Attempts + 1
		if keep := r.verdict.Keep; keep != nil {
			rest[0] = keep
		}
		rest[0].Attempts = attempts
		p.failed[rest[0].Offset] = rest[0].Attempts
		u.solo = max(0, u.solo-1)
		if u.isLane && p.cfg.Detach {
			side := p.newUnit(rest[0].Hash)
			side.side = true
			p.sides[side.id] = side
			side.push(rest[0])
			p.block(side, r.verdict)
			u.prepend(rest[1:])
			break
		}
		u.prepend(rest)
		p.block(u, r.verdict)
		return
	}
	p.place(u)
}

// ghostID is the unit that a handler of an earlier ownership keeps closed in a
// later one: for a detached key its whole lane.
func (p *Partition) ghostID(u *unit) uint64 {
	if u.side {
		return p.unitID(u.id)
	}
	return u.id
}

// steal takes the runs back that w has not begun, because the one it is in
// turned out slow: a fast handler's run length must not make innocent keys wait.
func (p *Partition) steal(w *worker) {
	p.mu.Lock()
	if w.part.Load() != p || p.closed {
		p.mu.Unlock()
		return
	}
	from := w.pos.Load()
	for from < stolen && !w.pos.CompareAndSwap(from, stolen+from) {
		from = w.pos.Load()
	}
	if from < int64(len(w.runs)) {
		back := w.runs[from:]
		for i := range back {
			u := back[i].unit
			u.prepend(back[i].Items)
			u.inFlight = 0
			p.ready.push(u)
		}
		p.ran(len(back))
	}
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
}
