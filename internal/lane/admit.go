package lane

import (
	"container/heap"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// HaltGate is the halt bit of all partitions while the pool's gate is shut. It is the
// package's own: Gate and Ungate set and clear it. While it is the only one, Admit
// lets a few items through one by one: those of units whose head has not failed
// first, then failed heads in turn, also before their time.
const HaltGate = 1 << 29

// admission lets items through the shut gate.
type admission struct {
	mu     sync.Mutex   // held by pump; taken before the locks of partitions and pool
	quota  atomic.Int64 // items that may run at a time
	fresh  atomic.Bool  // not those of units whose head has failed
	out    atomic.Int64 // items that were let through and have not come back
	cursor string       // ID of the partition that was served last; guarded by mu
	shut   atomic.Bool  // written with Pool.mu held
}

// Gate lets nothing start any more, in no partition, until Ungate: workers stop before
// their next item. What fails meanwhile waits for the gate, not for its backoff.
func (pl *Pool) Gate() {
	pl.gate.quota.Store(0)
	for _, p := range pl.shutGate(true) {
		p.mu.Lock()
		p.halt.Or(HaltGate)
		p.withdraw()
		p.sortOut()
		p.mu.Unlock()
	}
}

// Ungate lets everything run. Heads that failed while the gate was shut are due at
// once, and so are those that GiveBack has changed.
func (pl *Pool) Ungate() {
	pl.gate.quota.Store(0)
	for _, p := range pl.shutGate(false) {
		p.mu.Lock()
		p.halt.And(^uint32(HaltGate))
		p.again = 0
		for p.turns.n > 0 {
			u := p.turns.pop()
			p.blocked--
			p.makeReady(u)
		}
		if len(p.timers) > 0 {
			pl.arm(p.timers[0].due)
		}
		more := p.dispatchable()
		p.mu.Unlock()
		if more {
			pl.list(p)
		}
	}
}

func (pl *Pool) shutGate(shut bool) (parts []*Partition) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.gate.shut.Store(shut)
	for p := range pl.parts {
		parts = append(parts, p)
	}
	return parts
}

// Admit lets n items run at a time while the gate is shut; fresh: only of units whose
// head has not failed, or waits with Verdict.Again.
func (pl *Pool) Admit(n int, fresh bool) {
	pl.gate.fresh.Store(fresh)
	pl.gate.quota.Store(int64(n))
	pl.pump()
}

// Admitted is how many items that were let through the gate have not come back.
func (pl *Pool) Admitted() int { return int(pl.gate.out.Load()) }

// Fresh says that a unit could be let through the gate whose head has not failed.
func (pl *Pool) Fresh() bool {
	pl.mu.Lock()
	parts := make([]*Partition, 0, len(pl.parts))
	for p := range pl.parts {
		parts = append(parts, p)
	}
	pl.mu.Unlock()
	return slices.ContainsFunc(parts, func(p *Partition) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.closed && p.halt.Load() == HaltGate && p.ready.n > 0
	})
}

// pump gives partitions the right to start items, as far as the quota goes.
func (pl *Pool) pump() {
	g := &pl.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut.Load() && g.out.Load() < g.quota.Load() {
		p := pl.nextAdmitted()
		if p == nil {
			return
		}
		g.cursor = p.cfg.ID
		pl.list(p)
	}
}

// nextAdmitted gives one partition the right to start one item: one that has a head
// that is to be tried again; else the next in turn that has one whose unit has not
// failed; else the next that has any.
func (pl *Pool) nextAdmitted() *Partition {
	pl.mu.Lock()
	parts := make([]*Partition, 0, len(pl.parts))
	for p := range pl.parts {
		parts = append(parts, p)
	}
	pl.mu.Unlock()
	slices.SortFunc(parts, func(a, b *Partition) int { return strings.Compare(a.cfg.ID, b.cfg.ID) })
	after := slices.IndexFunc(parts, func(p *Partition) bool { return p.cfg.ID > pl.gate.cursor })
	parts = slices.Concat(parts[max(after, 0):], parts[:max(after, 0)])
	offers := []offered{offerAgain, offerFresh, offerAny}
	if pl.gate.fresh.Load() {
		offers = offers[:2]
	}
	for _, which := range offers {
		for _, p := range parts {
			if p.offer(which) {
				return p
			}
		}
	}
	return nil
}

// offered says which heads of a partition are let through.
type offered int

const (
	offerAgain offered = iota // that failed, with Verdict.Again
	offerFresh                // these, and those that have not failed
	offerAny
)

// offer lets the partition start one more item, if it has one.
func (p *Partition) offer(which offered) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.halt.Load() != HaltGate || p.serial.on && p.running+p.admit > 0 {
		return false
	}
	n := p.again
	switch which {
	case offerFresh:
		n += p.ready.n
	case offerAny:
		n = p.ready.n + len(p.timers) - p.timed + p.turns.n
	}
	if n <= p.admit {
		return false
	}
	p.admit++
	p.pool.gate.out.Add(1)
	return true
}

// withdraw takes back what was offered and not taken. Called with p.mu held.
func (p *Partition) withdraw() {
	p.pool.gate.out.Add(-int64(p.admit))
	p.admit = 0
}

// takeAdmitted is take for a partition that was offered something. It starts one item
// and leaves the rest of the offer to other workers; it reports whether it did. Called
// with p.mu held.
func (p *Partition) takeAdmitted(w *worker) bool {
	for {
		var u *unit
		if !p.closed && p.halt.Load() == HaltGate && !p.busy() {
			u = p.turn()
		}
		if u == nil { // things have changed since the offer
			p.withdraw()
			return false
		}
		if w.items = p.pick(u, w.items, 1); len(w.items) > 0 {
			w.runs = append(w.runs, Run{Part: p, Lane: p.number(u), Items: w.items[:1:1], unit: u, pass: HaltGate, before: p.before()})
			u.state = unitRunning
			u.inFlight = 1
			p.running++
			p.admit--
			w.admitted = true
			return true
		}
		u.state = unitNew
		p.place(u)
	}
}

// turn takes out the unit that is let through next.
func (p *Partition) turn() (u *unit) {
	switch {
	case p.again > 0:
		p.again--
		u = p.turns.pop()
	case p.ready.n > 0:
		return p.ready.pop()
	case p.pool.gate.fresh.Load():
		return nil
	case len(p.timers) > p.timed:
		u = p.earliest()
	case p.turns.n > 0:
		u = p.turns.pop()
	default:
		return nil
	}
	p.blocked--
	return u
}

// earliest takes the unit out of the timers that is due first of those that may be let
// through before their time.
func (p *Partition) earliest() *unit {
	var timed []*unit
	u := heap.Pop(&p.timers).(*unit)
	for ; u.timed; u = heap.Pop(&p.timers).(*unit) {
		timed = append(timed, u)
	}
	for _, t := range timed {
		heap.Push(&p.timers, t)
	}
	return u
}

// untimed notes that a unit has left the timers.
func (p *Partition) untimed(u *unit) {
	if u.timed {
		u.timed = false
		p.timed--
	}
}

// back is called when a worker is done with an item that was let through.
func (pl *Pool) back() {
	pl.gate.out.Add(-1)
	pl.pump()
}

// gated says that the gate is shut. Called with p.mu held.
func (p *Partition) gated() bool { return p.halt.Load()&HaltGate != 0 }

// sortOut leaves in the ready list only units whose head has not failed, and in the
// timers only those whose head has. It keeps the order of both. Called with p.mu held
// when the gate is shut.
func (p *Partition) sortOut() {
	p.drainGated()
	for n := p.ready.n; n > 0; n-- {
		p.makeReady(p.ready.pop())
	}
	kept := p.timers[:0]
	for _, u := range p.timers {
		if u.state == unitGather {
			u.heapAt = -1
			p.makeReady(u)
			continue
		}
		u.heapAt = int32(len(kept))
		kept = append(kept, u)
	}
	clear(p.timers[len(kept):])
	p.timers = kept
	heap.Init(&p.timers)
}

// wait puts a unit whose head failed behind all others that wait for the gate, or
// before them when it is to be tried again.
func (p *Partition) wait(u *unit, again bool) {
	u.state = unitBlocked
	u.due = p.pool.now()
	p.blocked++
	if again {
		p.again++
		p.turns.pushFront(u)
		return
	}
	p.turns.push(u)
}
