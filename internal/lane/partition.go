package lane

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A PartitionConfig says how one ownership of a partition runs.
type PartitionConfig struct {
	// ID is the same for each ownership of one partition: a handler that is
	// still stuck in an earlier ownership keeps its unit closed in this one.
	ID string
	// Whole makes the partition one unit.
	Whole bool
	// Lanes above zero gives that many lanes; zero a unit per key.
	Lanes int
	// Detach takes a key whose record failed out of its lane.
	Detach bool
	// BatchMax and BatchWait bound the run of a lane: a lane waits up to
	// BatchWait for BatchMax records.
	BatchMax  int
	BatchWait time.Duration
	// Halt are the halt bits that are set from the beginning.
	Halt uint32
}

// A Partition holds the outstanding records of one ownership.
type Partition struct {
	cfg  PartitionConfig
	pool *Pool

	halt atomic.Uint32 // reasons why nothing starts; see SetHalt

	mu       sync.Mutex
	closed   bool
	ctx      context.Context
	cancel   context.CancelCauseFunc
	token    int64
	units    map[uint64]*unit
	sides    map[uint64]*unit // keys detached from their lane, by hash
	ready    readyList
	timers   timers
	failed   map[int64]int32 // attempts of undone records that failed, by offset
	blocked  int             // units that wait for a retry or are held
	records  int             // queued and running
	bytes    int64
	running  int // runs with workers
	idle     []chan struct{}
	free     []*unit
	inRing   bool // guarded by Pool.mu: the partition stands in the pool's ready ring
	progress uint64
}

func (p *Partition) unitID(hash uint64) uint64 {
	switch {
	case p.cfg.Whole:
		return 0
	case p.cfg.Lanes > 0:
		return hash % uint64(p.cfg.Lanes)
	}
	return hash
}

// Token returns the fencing token that the next run starts with.
func (p *Partition) Token() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.token
}

// SetToken gives the runs that start from now on a new token.
func (p *Partition) SetToken(token int64) {
	p.mu.Lock()
	p.token = token
	p.mu.Unlock()
}

// SetHalt adds reasons: while any is set no item starts. Runs that are with a
// worker stop before their next item.
func (p *Partition) SetHalt(bits uint32) { p.halt.Or(bits) }

// ClearHalt removes reasons; with the last one the partition goes on.
func (p *Partition) ClearHalt(bits uint32) {
	if old := p.halt.And(^bits); old&^bits != 0 {
		return
	}
	p.mu.Lock()
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
}

// Halted returns the reasons that are set.
func (p *Partition) Halted() uint32 { return p.halt.Load() }

// Cancel ends the context of the runs that are with a worker.
func (p *Partition) Cancel(cause error) {
	p.mu.Lock()
	p.cancel(cause)
	p.mu.Unlock()
}

// Renew gives the runs that start from now on a new context, after a Cancel
// that did not end the ownership.
func (p *Partition) Renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.ctx.Err() == nil {
		return
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
}

// Enqueue takes records in offset order. It never blocks on a handler. The
// items of a closed partition are dropped; it reports how many it took.
func (p *Partition) Enqueue(items []*Item) int {
	const chunk = 512 // bounds how long workers wait for the lock
	taken := 0
	for len(items) > 0 {
		part := items[:min(chunk, len(items))]
		items = items[len(part):]
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return taken
		}
		var size int64
		for _, it := range part {
			size += int64(it.Size)
			p.enqueue(it)
		}
		p.records += len(part)
		p.bytes += size
		p.pool.records.Add(int64(len(part)))
		p.pool.bytes.Add(size)
		more := p.dispatchable()
		p.mu.Unlock()
		taken += len(part)
		if more {
			p.pool.list(p)
		}
	}
	return taken
}

func (p *Partition) enqueue(it *Item) {
	id := p.unitID(it.Hash)
	u := p.units[id]
	if u == nil {
		u = p.newUnit(id)
		u.isLane = p.cfg.Lanes > 0 && !p.cfg.Whole
		p.units[id] = u
	}
	if u.state == unitBlocked || u.state == unitHeld {
		// It may stay long: a copy does not pin the fetch buffer it came in.
		if keep := p.pool.cfg.Keep; keep != nil {
			it = keep(it)
		}
	}
	u.push(it)
	switch u.state {
	case unitNew:
		p.place(u)
	case unitGather:
		if u.n >= p.cfg.BatchMax {
			heap.Remove(&p.timers, u.heapAt)
			p.ready.push(u)
		}
	}
}

func (p *Partition) newUnit(id uint64) *unit {
	if n := len(p.free); n > 0 {
		u := p.free[n-1]
		p.free = p.free[:n-1]
		*u = unit{id: id, heapAt: -1}
		return u
	}
	return &unit{id: id, heapAt: -1}
}

// place decides what a unit that is with nobody does next.
func (p *Partition) place(u *unit) {
	switch {
	case u.phantoms > 0:
		u.state = unitRunning
	case u.n == 0:
		p.retire(u)
	case u.solo == 0 && p.cfg.BatchWait > 0 && (u.isLane || p.cfg.Whole) && u.n < p.cfg.BatchMax:
		u.state = unitGather
		u.due = p.pool.cfg.Clock.Now().Add(p.cfg.BatchWait)
		p.arm(u)
	default:
		p.ready.push(u)
	}
}

func (p *Partition) retire(u *unit) {
	if u.side {
		delete(p.sides, u.id)
	} else {
		delete(p.units, u.id)
	}
	if len(p.free) < 1024 {
		p.free = append(p.free, u)
	}
}

func (p *Partition) arm(u *unit) {
	heap.Push(&p.timers, u)
	p.pool.arm(p.timers[0].due)
}

// block puts a unit whose head failed aside until its next attempt.
func (p *Partition) block(u *unit, v Verdict) {
	now := p.pool.cfg.Clock.Now()
	p.blocked++
	if u.since.IsZero() {
		u.since = now
	}
	if v.Hold {
		u.state = unitHeld
		return
	}
	u.state = unitBlocked
	u.due = now.Add(v.Delay)
	p.arm(u)
}

// expire makes the units ready whose time has come; it returns the next time.
func (p *Partition) expire(now time.Time) (next time.Time) {
	p.mu.Lock()
	for len(p.timers) > 0 && !p.timers[0].due.After(now) {
		u := heap.Pop(&p.timers).(*unit)
		if u.state == unitBlocked {
			p.blocked--
		}
		p.ready.push(u)
	}
	if len(p.timers) > 0 {
		next = p.timers[0].due
	}
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
	return next
}

func (p *Partition) dispatchable() bool {
	return p.ready.n > 0 && p.halt.Load() == 0 && !p.closed
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
// returns how many records were dropped unstarted.
func (p *Partition) Close(cause error) int {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return 0
	}
	p.closed = true
	p.halt.Or(haltClosed)
	p.cancel(cause)
	p.pool.records.Add(-int64(p.records))
	p.pool.bytes.Add(-p.bytes)
	dropped := p.records
	var stuck []uint64
	for _, u := range p.units {
		if u.inFlight > 0 {
			stuck = append(stuck, p.ghostID(u))
			dropped -= u.inFlight
		}
	}
	for _, u := range p.sides {
		if u.inFlight > 0 {
			stuck = append(stuck, p.ghostID(u))
			dropped -= u.inFlight
		}
	}
	p.pool.forget(p, stuck)
	p.units, p.sides, p.failed, p.timers, p.free = nil, nil, nil, nil, nil
	p.ready = readyList{}
	p.records, p.bytes, p.blocked = 0, 0, 0
	p.mu.Unlock()
	return dropped
}

// haltClosed is the halt bit of a closed partition; callers use the lower ones.
const haltClosed = 1 << 31
