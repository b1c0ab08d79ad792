package lane

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Config is what a Pool needs.
type Config struct {
	Concurrency int // workers, and so handlers, at the same time
	BatchMax    int // longest run of a lane
	Apply       Apply
	// OnFailure decides about an item whose attempt failed; it is called by the
	// worker before the item's unit is anybody else's.
	OnFailure func(r *Run, it *Item, err error) Verdict
	// Keep returns a copy of an item that pins no fetch buffer; nil: none made.
	Keep  func(it *Item) *Item
	Clock Clock
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
	procs   int
	records atomic.Int64 // queued and running, over all partitions
	bytes   atomic.Int64
	average atomic.Int64 // moving average of the handler's time per item, in ns

	mu      sync.Mutex
	closed  bool
	parts   map[*Partition]struct{}
	ring    []*Partition // partitions with ready units, each once
	ringAt  int
	workers []*worker
	idle    []*worker
	active  int
	stalled int
	ghosts  map[string]map[uint64]int // units of handlers that outlived their ownership
	live    sync.WaitGroup

	timerMu   sync.Mutex
	timerDue  time.Time
	timerStop func() bool
	timerGen  uint64

	monitoring atomic.Bool
}

// NewPool returns a pool without partitions. Close ends it.
func NewPool(cfg Config) *Pool {
	if cfg.Clock == nil {
		cfg.Clock = SystemClock{}
	}
	return &Pool{
		cfg:    cfg,
		procs:  runtime.GOMAXPROCS(0),
		parts:  make(map[*Partition]struct{}),
		ghosts: make(map[string]map[uint64]int),
	}
}

// Add begins an ownership of a partition.
func (pl *Pool) Add(cfg PartitionConfig, token int64) *Partition {
	p := &Partition{
		cfg: cfg, pool: pl, token: token,
		units:  make(map[uint64]*unit),
		sides:  make(map[uint64]*unit),
		failed: make(map[int64]int32),
	}
	p.halt.Store(cfg.Halt)
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.parts[p] = struct{}{}
	for id, n := range pl.ghosts[cfg.ID] {
		u := p.newUnit(id)
		u.isLane = cfg.Lanes > 0 && !cfg.Whole
		u.state = unitRunning
		u.phantoms = n
		p.units[id] = u
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
	pl.mu.Unlock()
	for _, w := range idle {
		w.wake <- struct{}{}
	}
	for _, p := range parts {
		p.Close(cause)
	}
	pl.timerMu.Lock()
	if pl.timerStop != nil {
		pl.timerStop()
	}
	pl.timerGen++
	pl.timerMu.Unlock()
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
	w := pl.wakeOne()
	pl.mu.Unlock()
	if w != nil {
		w.wake <- struct{}{}
	}
}

// limit is how many workers may be active that make progress.
func (pl *Pool) limit() int {
	if a := pl.average.Load(); a > 0 && a < int64(fastHandler) {
		return min(pl.procs, pl.cfg.Concurrency)
	}
	return pl.cfg.Concurrency
}

// wakeOne returns an idle worker that the caller wakes, or starts a new one.
func (pl *Pool) wakeOne() *worker {
	if pl.active >= pl.cfg.Concurrency || pl.active-pl.stalled >= pl.limit() {
		return nil
	}
	pl.active++
	if n := len(pl.idle); n > 0 {
		w := pl.idle[n-1]
		pl.idle = pl.idle[:n-1]
		return w
	}
	w := newWorker(pl)
	pl.workers = append(pl.workers, w)
	pl.live.Add(1)
	go w.loop()
	return nil
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
			p := pl.ring[pl.ringAt]
			pl.ring[pl.ringAt] = nil
			pl.ringAt++
			if pl.ringAt == len(pl.ring) {
				pl.ring = pl.ring[:0]
				pl.ringAt = 0
			} else if pl.ringAt > 1024 && pl.ringAt*2 > len(pl.ring) {
				pl.ring = append(pl.ring[:0], pl.ring[pl.ringAt:]...)
				pl.ringAt = 0
			}
			p.inRing = false
			pl.mu.Unlock()
			return p
		}
		pl.active--
		pl.idle = append(pl.idle, w)
		pl.mu.Unlock()
		<-w.wake
	}
}

// forget removes a closed partition and keeps the units of its handlers that
// still run closed for the next ownership. Called with p.mu held, so that none
// of these handlers returns in between.
func (pl *Pool) forget(p *Partition, stuck []uint64) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	delete(pl.parts, p)
	if len(stuck) == 0 {
		return
	}
	have := pl.ghosts[p.cfg.ID]
	if have == nil {
		have = make(map[uint64]int)
		pl.ghosts[p.cfg.ID] = have
	}
	for _, id := range stuck {
		have[id]++
	}
}

// returned says that handlers of an ended ownership have returned: the same
// units of the present ownership may go on.
func (pl *Pool) returned(id string, units []uint64) {
	pl.mu.Lock()
	have := pl.ghosts[id]
	for _, u := range units {
		if have[u]--; have[u] <= 0 {
			delete(have, u)
		}
	}
	if len(have) == 0 {
		delete(pl.ghosts, id)
	}
	var now *Partition
	for p := range pl.parts {
		if p.cfg.ID == id {
			now = p
		}
	}
	pl.mu.Unlock()
	if now != nil {
		now.exorcise(units)
	}
}

func (p *Partition) exorcise(units []uint64) {
	p.mu.Lock()
	for _, id := range units {
		u := p.units[id]
		if u == nil || u.phantoms == 0 {
			continue
		}
		if u.phantoms--; u.phantoms == 0 && u.inFlight == 0 {
			u.state = unitNew
			p.place(u)
		}
	}
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
}

// arm sees to it that the pool looks at its timers at due.
func (pl *Pool) arm(due time.Time) {
	pl.timerMu.Lock()
	defer pl.timerMu.Unlock()
	if !pl.timerDue.IsZero() && !due.Before(pl.timerDue) {
		return
	}
	if pl.timerStop != nil {
		pl.timerStop()
	}
	pl.timerDue = due
	pl.timerGen++
	gen := pl.timerGen
	pl.timerStop = pl.cfg.Clock.AfterFunc(due.Sub(pl.cfg.Clock.Now()), func() { pl.fire(gen) })
}

func (pl *Pool) fire(gen uint64) {
	pl.timerMu.Lock()
	if gen != pl.timerGen {
		pl.timerMu.Unlock()
		return
	}
	pl.timerDue = time.Time{}
	pl.timerStop = nil
	pl.timerMu.Unlock()
	pl.mu.Lock()
	parts := make([]*Partition, 0, len(pl.parts))
	for p := range pl.parts {
		parts = append(parts, p)
	}
	pl.mu.Unlock()
	now := pl.cfg.Clock.Now()
	for _, p := range parts {
		if next := p.expire(now); !next.IsZero() {
			pl.arm(next)
		}
	}
}
