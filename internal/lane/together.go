package lane

// Together returns what is handed on together: the item that has failed and those that
// stand behind it in its unit, limit at the most. What of them was in the queue is the
// run's now. It is for an item that waits for something else than its handler, and is
// called from OnFailure, with a NewAwaitRun of as many of them as are taken.
func (r *Run) Together(limit int) []*Item {
	p, u, i := r.Part, r.unit, r.done
	if u == nil || u.isLane || r.Serial() {
		return r.Items[i : i+1]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.solo > 0 || p.closed {
		return r.Items[i : i+1]
	}
	if left := limit - (len(r.Items) - i); left > 0 && u.head != nil {
		from := len(r.Items)
		r.Items = p.pick(u, r.Items, left)
		u.inFlight += int32(len(r.Items) - from)
	}
	return r.Items[i:min(i+limit, len(r.Items))]
}

// passEarly settles what was settled before the worker came back, and returns the rest.
// Called with p.mu held.
func (p *Partition) passEarly(u *unit, a *Await, rest []*Item) []*Item {
	for _, it := range rest[:a.settled] {
		p.pass(u, it)
	}
	return rest[a.settled:]
}
