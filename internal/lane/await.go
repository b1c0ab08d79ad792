package lane

import "time"

// An Await is the settlement of a failed item that depends on something else than
// its handler: a write to another topic, say. While it is open the item's unit
// waits, without a worker and without a timer, and nothing of it starts. It may be that
// of many items, in a row: then they are settled from the first on, together or some at
// a time, or given back. Exactly one answer counts for each item, Done or Retry; it may
// come before the worker has given its results back. After Close an answer changes
// nothing.
type Await struct {
	part *Partition

	// Guarded by part.mu.
	unit     *unit // the one that waits; nil before the worker came back
	state    string
	left     int // items that are not settled
	settled  int // of those, before the worker came back
	brief    bool
	answered bool    // all of them
	early    Verdict // the answer that came before the worker
}

// NewAwait makes the Await of one Verdict about an item of the run. state is a
// fixed name for what is waited for.
func NewAwait(r *Run, state string) *Await {
	return &Await{part: r.Part, state: state, left: 1}
}

// briefly is how long what comes to a unit that waits for a brief Await is not copied:
// it is expected to go on before. What it pins until then is as much as is read in that
// time.
const briefly = time.Second

// NewAwaitRun makes the Await of n items that were Together, the one that the Verdict is
// about first. It is expected to be brief.
func NewAwaitRun(r *Run, state string, n int) *Await {
	return &Await{part: r.Part, state: state, left: n, brief: true}
}

// Done settles the item, which sets its Slot, and lets its unit go on with the
// next. It reports whether the answer counted: not after Close, nor after another
// answer.
func (a *Await) Done() bool { return a.DoneN(1) }

// DoneN is Done for the next n items.
func (a *Await) DoneN(n int) bool {
	return a.answer(n, Verdict{Settled: true})
}

// Retry gives the items that are left back to their unit's head: the next attempt is
// made after the delay. It reports whether the answer counted.
func (a *Await) Retry(delay time.Duration) bool {
	return a.answer(0, Verdict{Delay: delay, timed: true})
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

func (a *Await) answer(n int, v Verdict) bool {
	p := a.part
	p.mu.Lock()
	if a.answered || p.closed {
		p.mu.Unlock()
		return false
	}
	n = min(n, a.left)
	a.left -= n
	a.answered = a.left == 0 || !v.Settled
	u := a.unit
	if u == nil {
		a.settled += n
		a.early = v
		p.mu.Unlock()
		return true
	}
	for range n {
		p.pass(u, u.shift())
	}
	if !a.answered {
		u.since = p.pool.now() // the next is the head
		p.mu.Unlock()
		return true
	}
	u.await = nil
	p.blocked--
	if v.Settled {
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

// stays says that an item that comes to the unit now may stay for long.
func (u *unit) stays(now time.Duration) bool {
	return u.state != unitAwaits || !u.await.brief || now-u.since > briefly
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
