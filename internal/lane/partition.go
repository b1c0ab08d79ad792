package lane

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// A PartitionConfig says how one ownership of a partition runs.
type PartitionConfig struct {
	// ID is the same for each ownership of one partition: a handler that is
	// still stuck in an earlier ownership keeps its unit closed in this one.
	// An ownership is closed before the next of the same ID is added, and Whole,
	// Lanes, Detach and Leave are the same in all of them.
	ID string
	// Whole makes the partition one unit.
	Whole bool
	// Lanes above zero gives that many lanes; zero a unit per key.
	Lanes int
	// Detach takes a key whose record failed out of its lane.
	Detach bool
	// Leave leaves it to Apply, with Run.Detach, which records leave their lane. Not
	// with Detach.
	Leave bool
	// BatchMax and BatchWait bound the run of a lane: a lane waits up to
	// BatchWait for BatchMax records.
	BatchMax  int
	BatchWait time.Duration
	// Halt are the halt bits that are set from the beginning.
	Halt uint32
	// Serial makes it run one item at a time for a while.
	Serial Serial
	// Tag, Beside and Notes are for the pool's owner.
	Tag    uint64
	Beside any
	Notes  any
}

// A Partition holds the outstanding records of one ownership.
type Partition struct {
	cfg  PartitionConfig
	pool *Pool

	halt  atomic.Uint32         // reasons why nothing starts; see SetHalt
	lease atomic.Pointer[lease] // written with mu held

	mu       sync.Mutex
	closed   bool
	units    table
	sides    table    // keys detached from their lane, by hash
	stream   stream   // what waits in front of the units, or runs without one
	ready    unitList // units in state unitReady
	free     unitList
	timers   timers
	tidyAt   time.Duration   // when memory is given back next; zero: there is little
	failed   map[int64]int32 // attempts of undone records that failed, by offset
	blocked  int             // units that wait for a retry or an answer, or are held
	records  int             // queued and running
	bytes    int64
	running  int // runs with workers
	idle     []chan struct{}
	inRing   bool // guarded by Pool.mu: the partition stands in the pool's ready ring
	progress uint64

	admit   int                // items that may start although the gate is shut
	turns   unitList           // units whose head failed while it was shut, in turn
	again   int                // of turns, the first ones: their heads are to be tried again before all others
	timed   int                // units in the timers that are not let through before their time
	spent   map[int64]spending // of records in failed, what can be given back
	debts   int                // of spent: owed to records
	refunds int                // how often attempts were given back

	serial serially
}

// lockChunk bounds how many records or units are handled before the lock is given
// to the workers once.
const lockChunk = 512

func (p *Partition) unitID(hash uint64) uint64 {
	switch {
	case p.cfg.Whole:
		return 0
	case p.cfg.Lanes > 0:
		return hash % uint64(p.cfg.Lanes)
	}
	return hash
}

// Enqueue takes records in offset order. It never blocks on a handler. The
// items of a closed partition are dropped; it reports how many it took.
func (p *Partition) Enqueue(items []*Item) int {
	taken := 0
	for len(items) > 0 {
		part := items[:min(lockChunk, len(items))]
		items = items[len(part):]
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return taken
		}
		var size int64
		for _, it := range part {
			size += int64(it.Size)
			if it.Attempts > 0 { // in an earlier ownership; must not be forgotten now
				p.failed[it.Offset] = it.Attempts
			}
			p.came(it)
			if p.streams() {
				p.stream.push(it)
			} else {
				p.enqueue(it)
			}
		}
		p.drainGated()
		p.records += len(part)
		p.bytes += size
		p.pool.records.Add(int64(len(part)))
		p.pool.bytes.Add(size)
		more := p.dispatchable()
		p.mu.Unlock()
		taken += len(part)
		if more {
			p.pool.list(p)
		} else if p.halt.Load() == HaltGate {
			p.pool.pump()
		}
	}
	return taken
}

func (p *Partition) enqueue(it *Item) {
	id := p.unitID(it.Hash)
	u := p.units.get(id)
	if u == nil {
		u = p.newUnit(id)
		u.isLane = p.cfg.Lanes > 0 && !p.cfg.Whole
		if p.units.add(u) {
			p.tidyLater()
		}
	}
	if u.state == unitBlocked || u.state == unitHeld || u.state == unitAwaits && u.stays(p.pool.now()) || u.phantoms > 0 {
		it = p.keep(it)
	}
	u.push(it)
	switch u.state {
	case unitNew:
		p.place(u)
	case unitGather:
		if int(u.n) >= p.cfg.BatchMax {
			heap.Remove(&p.timers, int(u.heapAt))
			p.makeReady(u)
		}
	}
}

// keep exchanges an item that may stay long for a copy that does not pin the
// fetch buffer it came in.
func (p *Partition) keep(it *Item) *Item {
	if p.pool.cfg.Keep == nil {
		return it
	}
	return it.replacedBy(p.pool.cfg.Keep(it))
}

func (p *Partition) newUnit(id uint64) *unit {
	if p.free.n == 0 {
		return &unit{id: id, heapAt: -1}
	}
	u := p.free.pop()
	*u = unit{id: id, heapAt: -1}
	return u
}

func (p *Partition) makeReady(u *unit) {
	if p.debts > 0 && u.head != nil {
		p.collect(u.head)
	}
	if u.since != 0 && p.gated() {
		p.wait(u, false)
		return
	}
	u.state = unitReady
	p.ready.push(u)
}

// place decides what a unit that is with nobody does next.
func (p *Partition) place(u *unit) {
	switch {
	case u.n == 0:
		p.retire(u)
	case p.cfg.BatchWait > 0 && u.solo == 0 && !p.gated() && (u.isLane || p.cfg.Whole) && int(u.n) < p.cfg.BatchMax:
		u.state = unitGather
		u.due = p.pool.now() + p.cfg.BatchWait
		p.arm(u)
	default:
		p.makeReady(u)
	}
}

func (p *Partition) retire(u *unit) {
	if u.side {
		p.sides.remove(u.id)
	} else {
		p.units.remove(u.id)
	}
	p.free.push(u)
}

func (p *Partition) arm(u *unit) {
	heap.Push(&p.timers, u)
	p.pool.arm(p.timers[0].due)
}

// block puts a unit whose head failed aside until its next attempt, or the answer
// to its Await.
func (p *Partition) block(u *unit, v Verdict) {
	now := p.pool.now()
	p.blocked++
	if u.since == 0 {
		u.since = now
	}
	switch {
	case v.Hold:
		u.state = unitHeld
		return
	case v.Await != nil:
		u.state = unitAwaits
		u.await, v.Await.unit = v.Await, u
		return
	}
	if v.Spare && p.gated() && !v.timed {
		p.blocked--
		p.wait(u, v.Again)
		return
	}
	u.state = unitBlocked
	u.due = now + v.Delay
	if v.timed {
		u.timed = true
		p.timed++
	}
	p.arm(u)
}

// expire makes the units ready whose time has come; it returns the next time, or
// zero.
func (p *Partition) expire(now time.Duration) (next time.Duration) {
	for again := true; again; {
		p.mu.Lock()
		left := lockChunk
		for ; left > 0 && len(p.timers) > 0 && p.timers[0].due <= now; left-- {
			u := heap.Pop(&p.timers).(*unit)
			p.untimed(u)
			if u.state == unitBlocked {
				p.blocked--
			}
			p.makeReady(u)
		}
		if again = left == 0; !again {
			p.tidy(now)
			next = p.tidyAt
			if len(p.timers) > 0 && (next == 0 || p.timers[0].due < next) {
				next = p.timers[0].due
			}
		}
		more := p.dispatchable()
		p.mu.Unlock()
		if more {
			p.pool.list(p)
		} else if p.halt.Load() == HaltGate {
			p.pool.pump() // what has become due may be let through
		}
	}
	return next
}

func (p *Partition) dispatchable() bool {
	return (p.ready.n > 0 || p.stream.waiting()) && p.halt.Load() == 0 && !p.closed && !p.busy()
}

// WaitIdle returns a channel that is closed when no run is with a worker. A
// caller that wants it to stay so sets a halt bit first.
func (p *Partition) WaitIdle() <-chan struct{} {
	ch := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == 0 {
		close(ch)
		return ch
	}
	p.idle = append(p.idle, ch)
	return ch
}

func (p *Partition) ran(n int) {
	p.running -= n
	if p.running > 0 {
		return
	}
	for _, ch := range p.idle {
		close(ch)
	}
	p.idle = nil
}

// Close ends the ownership: what has not started is dropped, contexts are
// cancelled, and the units of handlers that still run stay closed for the next
// ownership of the same partition in this process until they have returned. It
// returns how many records were dropped; those of runs that have begun are not
// among them.
func (p *Partition) Close(cause error) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	p.halt.Or(haltClosed)
	p.lease.Load().cancel(cause)
	// Only what is with a handler now keeps its unit closed: not the runs of a
	// stuck handler's bunch before and behind it.
	for _, w := range p.pool.holders(p) {
		for _, r := range p.strip(w) {
			if r.unit != nil {
				r.unit.inFlight = 0
			}
		}
	}
	p.closed = true
	p.pool.records.Add(-int64(p.records))
	p.pool.bytes.Add(-p.bytes)
	dropped := p.records
	var stuck []uint64
	count := func(u *unit) {
		if u.inFlight > 0 {
			stuck = append(stuck, p.ghostID(u))
			dropped -= int(u.inFlight)
		}
	}
	p.units.all(count)
	p.sides.all(count)
	p.pool.forget(p, stuck)
	p.units, p.sides, p.stream = table{}, table{}, stream{}
	p.ready, p.free = unitList{}, unitList{}
	p.failed, p.timers, p.tidyAt = nil, nil, 0
	p.turns, p.again, p.timed, p.spent, p.debts = unitList{}, 0, 0, nil, 0
	p.withdraw()
	p.records, p.bytes, p.blocked = 0, 0, 0
	return dropped
}
