package lane

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Config is what a Pool needs.
type Config struct {
	Concurrency int // workers, and so handlers, at the same time; at least 1
	BatchMax    int // longest run of a lane
	Apply       Apply
	// OnFailure decides about an item whose attempt failed; it is called by the
	// worker before the item's unit is anybody else's. Without it a failed item
	// is tried again at once.
	OnFailure func(r *Run, it *Item, err error) Verdict
	// Keep returns a copy of an item that pins no fetch buffer; nil: none made.
	// It is called with the partition's lock held.
	Keep func(it *Item) *Item
	// Clock says when retries and batches are due. How long a handler takes is
	// measured in package time: what makes it slow is not a test's clock.
	Clock Clock
	// Tick is called with the time before a worker begins a bunch; nil: not.
	Tick func(now time.Time)
	// Tally takes what Apply has counted, when there is something: before the
	// worker gives the results of its bunch back. Nil: nobody wants to know.
	Tally func(t Tally)
}

const (
	maxRun = 128 // longest bunch of a plain handler
	// bunchTime is how long a bunch of fast handlers should take: long enough
	// that locks and clock reads cost little, short enough to stay fair.
	bunchTime = 50 * time.Microsecond
	// fastHandler: below it more workers than processors only get in each
	// other's way.
	fastHandler = 20 * time.Microsecond
	// longestSample bounds one measurement, so that a single stuck handler does
	// not make the pool believe for long that all are slow.
	longestSample = 10 * time.Millisecond
)

// A Pool runs the units of its partitions on a bounded number of workers.
type Pool struct {
	cfg     Config
	epoch   time.Time // of cfg.Clock; units count from it
	start   time.Time // of package time; workers count from it
	system  bool      // the clock is package time
	procs   int
	records atomic.Int64 // queued and running, over all partitions
	bytes   atomic.Int64
	average atomic.Int64 // moving average of the handler's time per item, in ns

	inlineAlways atomic.Bool // tests: as if handlers were fast, whatever the average says

	mu      sync.Mutex
	closed  bool
	parts   map[*Partition]struct{}
	ring    []*Partition // partitions with ready units, each once
	ringAt  int
	workers []*worker
	idle    []*worker
	active  int
	stalled int                       // active workers that were stuck when the monitor looked
	ghosts  map[string]map[uint64]int // units of handlers that outlived their ownership
	live    sync.WaitGroup

	watch monitor
	timer timer
	gate  admission
}

// NewPool returns a pool without partitions. Close ends it.
func NewPool(cfg Config) *Pool {
	if cfg.Clock == nil {
		cfg.Clock = SystemClock{}
	}
	cfg.Concurrency = max(cfg.Concurrency, 1)
	_, system := cfg.Clock.(SystemClock)
	return &Pool{
		cfg:    cfg,
		system: system,
		epoch:  cfg.Clock.Now().Add(-1), // no time of a unit is zero
		start:  time.Now(),
		procs:  runtime.GOMAXPROCS(0),
		parts:  make(map[*Partition]struct{}),
		ghosts: make(map[string]map[uint64]int),
	}
}

// now is the time of the pool's clock, counted from its epoch.
func (pl *Pool) now() time.Duration { return pl.cfg.Clock.Now().Sub(pl.epoch) }

// Add begins an ownership of a partition.
func (pl *Pool) Add(cfg PartitionConfig, token int64) *Partition {
	p := &Partition{cfg: cfg, pool: pl, failed: make(map[int64]int32)}
	p.halt.Store(cfg.Halt &^ haltOurs)
	p.serial.on = cfg.Serial.Until > 0
	p.lease.Store(newLease(token))
	pl.mu.Lock()
	closed := pl.closed
	pl.parts[p] = struct{}{}
	if pl.gate.shut.Load() {
		p.halt.Or(HaltGate)
	}
	for id, n := range pl.ghosts[cfg.ID] {
		u := p.newUnit(id)
		u.isLane = cfg.Lanes > 0 && !cfg.Whole
		u.state = unitRunning
		u.phantoms = int32(n)
		p.units.add(u)
	}
	pl.mu.Unlock()
	if closed {
		p.Close(errors.New("lane: the pool is closed"))
	}
	return p
}

// Records and Bytes are what waits or runs over all partitions.
func (pl *Pool) Records() int64 { return pl.records.Load() }

// Bytes is the size of what Records counts.
func (pl *Pool) Bytes() int64 { return pl.bytes.Load() }

// Close drops all partitions and lets the workers end when their handlers
// return. It does not wait; Wait does.
func (pl *Pool) Close(cause error) {
	pl.mu.Lock()
	pl.closed = true
	parts := make([]*Partition, 0, len(pl.parts))
	for p := range pl.parts {
		parts = append(parts, p)
	}
	idle := pl.idle
	pl.idle = nil
	pl.active += len(idle)
	pl.watch.stop()
	pl.mu.Unlock()
	for _, w := range idle {
		w.wake <- struct{}{}
	}
	for _, p := range parts {
		p.Close(cause)
	}
	pl.timer.close()
}

// Wait returns when all workers have ended after Close, or with ctx.
func (pl *Pool) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		pl.live.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// list puts the partition into the ring of those with work and wakes a worker.
func (pl *Pool) list(p *Partition) {
	pl.mu.Lock()
	if pl.closed {
		pl.mu.Unlock()
		return
	}
	if !p.inRing {
		p.inRing = true
		pl.ring = append(pl.ring, p)
	}
	pl.wakeOne()
	pl.mu.Unlock()
}

// limit is how many workers may be active that make progress.
func (pl *Pool) limit() int {
	if a := pl.average.Load(); a > 0 && a < int64(fastHandler) {
		return min(pl.procs, pl.cfg.Concurrency)
	}
	return pl.cfg.Concurrency
}

// wakeOne wakes an idle worker or starts a new one. Each worker that finds more
// work than its own wakes the next. Called with mu held.
func (pl *Pool) wakeOne() {
	if pl.active >= pl.cfg.Concurrency {
		return
	}
	if pl.active-pl.stalled >= pl.limit() {
		// Those that are active may be stuck: somebody has to find out.
		pl.watch.hasten(pl)
		return
	}
	pl.active++
	if n := len(pl.idle); n > 0 {
		w := pl.idle[n-1]
		pl.idle[n-1] = nil
		pl.idle = pl.idle[:n-1]
		w.wake <- struct{}{} // never blocks: one place, and w waits
		return
	}
	w := &worker{pool: pl, wake: make(chan struct{}, 1)}
	pl.workers = append(pl.workers, w)
	pl.live.Add(1)
	go w.loop()
}

// next gives the worker a partition with work; it waits for one. nil: the pool
// is closed.
func (pl *Pool) next(w *worker) *Partition {
	for {
		pl.mu.Lock()
		if pl.closed {
			pl.active--
			pl.mu.Unlock()
			return nil
		}
		if pl.ringAt < len(pl.ring) && pl.active-pl.stalled <= pl.limit() {
			p := pl.pop()
			if pl.ringAt < len(pl.ring) {
				pl.wakeOne() // whoever listed it may have been held back by the limit
			}
			pl.mu.Unlock()
			return p
		}
		if pl.ringAt < len(pl.ring) {
			pl.watch.hasten(pl)
		}
		pl.active--
		pl.idle = append(pl.idle, w)
		pl.mu.Unlock()
		<-w.wake
	}
}

// pop takes the first partition out of the ring. Called with mu held.
func (pl *Pool) pop() *Partition {
	p := pl.ring[pl.ringAt]
	pl.ring[pl.ringAt] = nil
	pl.ringAt++
	if pl.ringAt == len(pl.ring) {
		pl.ring = pl.ring[:0]
		pl.ringAt = 0
	} else if pl.ringAt > 1024 && pl.ringAt*2 > len(pl.ring) {
		n := copy(pl.ring, pl.ring[pl.ringAt:])
		clear(pl.ring[n:])
		pl.ring = pl.ring[:n]
		pl.ringAt = 0
	}
	p.inRing = false
	return p
}

// holders are the workers that have a bunch of p. Called with p.mu held.
func (pl *Pool) holders(p *Partition) (ws []*worker) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, w := range pl.workers {
		if w.part.Load() == p {
			ws = append(ws, w)
		}
	}
	return ws
}
