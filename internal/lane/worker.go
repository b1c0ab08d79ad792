package lane

import (
	"errors"
	"sync/atomic"
	"time"
)

// stolen is the position of a worker whose remaining runs were taken back.
const stolen = 1 << 40

// A worker takes a bunch of runs from one partition, executes them one after
// the other and gives the results back under one lock.
type worker struct {
	pool  *Pool
	wake  chan struct{}
	runs  []Run
	items []*Item

	part  atomic.Pointer[Partition] // whose bunch it has; nil between bunches
	pos   atomic.Int64              // the next run of the bunch that is free to claim
	bunch atomic.Int64              // number of the bunch, for the monitor
	since atomic.Int64              // when the bunch began, Unix ns of the pool's clock

	seenBunch, seenPos int64 // the monitor's last look
}

func newWorker(pl *Pool) *worker {
	return &worker{
		pool:  pl,
		wake:  make(chan struct{}, 1),
		runs:  make([]Run, 0, maxRun),
		items: make([]*Item, 0, max(maxRun, pl.cfg.BatchMax)),
	}
}

func (w *worker) loop() {
	defer w.pool.live.Done()
	for p := w.pool.next(w); p != nil; p = w.pool.next(w) {
		w.work(p)
	}
}

func (w *worker) work(p *Partition) {
	pl := w.pool
	budget := pl.runLength()
	start := pl.cfg.Clock.Now()
	p.mu.Lock()
	p.take(w, budget)
	if len(w.runs) == 0 {
		p.mu.Unlock()
		return
	}
	w.part.Store(p)
	w.pos.Store(0)
	w.since.Store(start.UnixNano())
	w.bunch.Add(1)
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		pl.list(p)
	}
	if len(w.runs) > 1 || pl.limit() < pl.cfg.Concurrency {
		pl.monitor()
	}
	n, items := w.execute()
	pl.observe(pl.cfg.Clock.Now().Sub(start), items)
	if p.finish(w, n) {
		pl.list(p)
	}
	// The worker stays for long; the records do not.
	clear(w.runs)
	clear(w.items)
}

// execute runs what was not stolen and returns how many runs and items that
// were.
func (w *worker) execute() (runs, items int) {
	for {
		i := int(w.pos.Add(1) - 1)
		if i >= len(w.runs) {
			return runs, items
		}
		r := &w.runs[i]
		if r.Halted() {
			r.done, r.err = 0, ErrHalted
		} else {
			r.done, r.err = w.pool.cfg.Apply(r)
			r.check()
			if r.done >= 0 && r.err != nil && !errors.Is(r.err, ErrHalted) {
				r.verdict = w.pool.cfg.OnFailure(r, r.Items[r.done], r.err)
			}
		}
		runs++
		items += len(r.Items)
	}
}

// check makes sense of every answer that an Apply can give.
func (r *Run) check() {
	n := len(r.Items)
	switch {
	case r.done > n || r.done < 0:
		r.done = -1
		if n == 1 { // alone: it can only be this one
			r.done = 0
			if r.err == nil {
				r.err = errors.New("the handler answered with a number of records that it was not given")
			}
		}
	case r.done == n:
		r.err = nil
	case r.err == nil:
		r.err = errors.New("the handler returned before its last record without an error")
	}
}

// runLength is how many items a worker takes at once.
func (pl *Pool) runLength() int {
	a := pl.average.Load()
	if a <= 0 {
		return 1
	}
	return int(min(max(int64(bunchTime)/a, 1), maxRun))
}

func (pl *Pool) observe(d time.Duration, items int) {
	if items == 0 {
		return
	}
	sample := int64(min(d, longestSample)) / int64(items)
	old := pl.average.Load()
	if old == 0 {
		pl.average.Store(max(sample, 1))
		return
	}
	// Races between workers lose a sample now and then; that is harmless.
	pl.average.Store(max(old+(sample-old)/8, 1))
}
