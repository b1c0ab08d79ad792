package lane

import "container/heap"

// A Found says where a record stands that somebody names.
type Found int

const (
	Absent  Found = iota // the lanes do not have it, as far as can be seen
	Queued               // it may wait behind others, or be with a worker for the first time
	Blocked              // it failed: it waits, or is with a worker again
)

// Find looks for a record by its key's hash and its offset. With wake the next attempt
// of a blocked one, if that is all it waits for, is due now.
func (p *Partition) Find(hash uint64, offset int64, wake bool) Found {
	p.mu.Lock()
	u := p.sides.get(hash)
	if u == nil {
		u = p.units.get(p.unitID(hash))
	}
	if p.closed || u == nil {
		p.mu.Unlock()
		return Absent
	}
	found := u.find(offset)
	if _, failed := p.failed[offset]; failed && found == Queued && u.state == unitRunning {
		found = Blocked
	}
	woken := wake && found == Blocked && u.state == unitBlocked
	if woken {
		heap.Remove(&p.timers, int(u.heapAt))
		p.untimed(u)
		p.blocked--
		p.makeReady(u)
	}
	more := woken && p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	} else if woken && p.halt.Load() == HaltGate {
		p.pool.pump()
	}
	return found
}

// find looks for a record in the unit's queue. Called with the partition's lock held.
func (u *unit) find(offset int64) Found {
	switch {
	case u.head != nil && u.head.Offset == offset:
		if u.since != 0 || u.head.Attempts > 0 {
			return Blocked
		}
		return Queued
	case u.inFlight > 0 || u.phantoms > 0, u.head != nil && u.head.Offset < offset && offset <= u.tail.Offset:
		return Queued
	}
	return Absent
}
