package lane

import "time"

// An Await is the settlement of a failed item that depends on something else than
// its handler: a write to another topic, say. While it is open the item's unit
// waits, without a worker and without a timer, and nothing of it starts. Exactly
// one answer counts, Done or Retry; it may come before the worker has given its
// results back. After Close an answer changes nothing.
type Await struct {
	part *Partition

	// Guarded by part.mu.
	unit     *unit // the one that waits; nil before the worker came back
	state    string
	answered bool
	early    Verdict // the answer that came before the worker
}

// NewAwait makes the Await of one Verdict about an item of the run. state is a
// fixed name for what is waited for.
func NewAwait(r *Run, state string) *Await {
	return &Await{part: r.Part, state: state}
}

// Done settles the item, which sets its Slot, and lets its unit go on with the
// next. It reports whether the answer counted: not after Close, nor after another
// answer.
func (a *Await) Done() bool {
	return a.answer(Verdict{Settled: true})
}

// Retry gives the item back to its unit's head: the next attempt is made after
// the delay. It reports whether the answer counted.
func (a *Await) Retry(delay time.Duration) bool {
	return a.answer(Verdict{Delay: delay, timed: true})
}

// Open reports that an answer would still count.
func (a *Await) Open() bool {
	a.part.mu.Lock()
	defer a.part.mu.Unlock()
	return !a.answered && !a.part.closed
}

// SetState changes the name of what is waited for.
func (a *Await) SetState(state string) {
	a.part.mu.Lock()
	defer a.part.mu.Unlock()
	a.state = state
}

func (a *Await) answer(v Verdict) bool {
	p := a.part
	p.mu.Lock()
	if a.answered || p.closed {
		p.mu.Unlock()
		return false
	}
	a.answered = true
	u := a.unit
	if u == nil {
		a.early = v
		p.mu.Unlock()
		return true
	}
	u.await = nil
	p.blocked--
	if v.Settled {
		p.pass(u, u.shift())
		p.place(u)
	} else {
		p.block(u, v)
	}
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	} else if p.halt.Load() == HaltGate {
		p.pool.pump()
	}
	return true
}

// resolved is the verdict as it stands when the worker comes back. Called with
// the partition's lock held.
func (v Verdict) resolved() Verdict {
	if a := v.Await; a != nil && a.answered {
		early := a.early
		early.Keep, early.Spare = v.Keep, v.Spare
		return early
	}
	return v
}

// pass settles the item that was its unit's head. Called with p.mu held.
func (p *Partition) pass(u *unit, it *Item) {
	it.Slot.Done()
	u.since = 0 // another head
	u.solo = max(0, u.solo-1)
	delete(p.failed, it.Offset)
	p.settleSpent(it)
	p.progress++
	p.records--
	p.bytes -= int64(it.Size)
	p.pool.records.Add(-1)
	p.pool.bytes.Add(-int64(it.Size))
}
