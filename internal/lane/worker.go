package lane

import (
	"errors"
	"sync/atomic"
	"time"
)

// stolen is added to the position of a worker whose remaining runs were taken
// back, which puts it behind the end of any bunch.
const stolen = 1 << 40

// A worker takes a bunch of runs from one partition, executes them one after
// the other and gives the results back under one lock.
type worker struct {
	pool  *Pool
	wake  chan struct{}
	runs  []Run // written by take only, with the partition's lock held
	items []*Item

	inline    bool      // the runs are of the partition's stream; written by take only
	refunds   int       // the partition's when the bunch was taken; guarded by its lock
	settled   int       // runs of the bunch whose results the partition has; guarded by its lock
	executed  int       // runs of the bunch that were executed, or given up because of a halt
	attempted int       // items that Apply was busy with
	begun     time.Time // when the bunch began
	applying  bool      // current is with Apply
	admitted  bool      // the bunch was let through the gate
	tally     Tally     // of the bunch

	part    atomic.Pointer[Partition] // whose bunch it has; nil between bunches
	current atomic.Pointer[Run]       // the run of the bunch that was started last
	pos     atomic.Int64              // the next run of the bunch that is free to claim
	length  atomic.Int64              // runs in the bunch; above one a stuck worker is robbed
	bunch   atomic.Int64              // number of the bunch, for the monitor
	since   atomic.Int64              // when the bunch began, in ns since the pool's start

	seenBunch, seenPos int64 // the monitor's last look
}

func (w *worker) loop() {
	defer w.end()
	if p := w.part.Load(); p != nil { // the goroutine before this one ended in a handler
		w.work(p)
	}
	for p := w.pool.next(w); p != nil; p = w.pool.next(w) {
		if w.begin(p) {
			w.work(p)
		} else if w.pool.gate.shut.Load() {
			w.pool.pump() // an offer was not taken
		}
	}
}

// end runs when the worker's goroutine ends: because the pool is closed, or because
// the handler ended it (runtime.Goexit, as a test's FailNow does). The second is
// an attempt that failed; without a successor nothing of its unit would ever run
// again, and with every such handler the pool would lose a worker.
func (w *worker) end() {
	if !w.applying {
		w.pool.live.Done()
		return
	}
	r := w.current.Load()
	r.done, r.err = r.At-1, errEnded
	w.judge(r)
	go w.loop()
}

var errEnded = errors.New("the handler ended its goroutine instead of returning")

// begin takes a bunch.
func (w *worker) begin(p *Partition) bool {
	pl := w.pool
	budget := pl.runLength()
	w.begun = time.Now()
	w.executed, w.attempted = 0, 0
	p.mu.Lock()
	w.settled, w.refunds = 0, p.refunds
	p.take(w, budget)
	if len(w.runs) == 0 {
		more := p.dispatchable()
		p.mu.Unlock()
		if more {
			pl.list(p)
		}
		return false
	}
	w.current.Store(nil)
	w.pos.Store(0)
	length := len(w.runs)
	if w.inline {
		length++ // the stream, which a stuck worker must not keep either
	}
	w.length.Store(int64(length))
	w.since.Store(int64(w.begun.Sub(pl.start)))
	w.bunch.Add(1)
	w.part.Store(p)
	more := p.dispatchable() || p.admit > 0
	p.mu.Unlock()
	if more {
		pl.list(p)
	}
	if pl.cfg.Tick != nil {
		now := w.begun
		if !pl.system {
			now = pl.cfg.Clock.Now()
		}
		pl.cfg.Tick(now)
	}
	if length > 1 || pl.limit() < pl.cfg.Concurrency {
		pl.beginWatch()
	}
	return true
}

// work executes what is left of the bunch and gives the results back.
func (w *worker) work(p *Partition) {
	w.execute(p)
	w.pool.observe(time.Since(w.begun), w.attempted)
	if w.tally.Done > 0 {
		if f := w.pool.cfg.Tally; f != nil {
			f(w.tally)
		}
		w.tally = Tally{}
	}
	if p.finish(w) {
		w.pool.list(p)
	}
	// The worker stays for long; the records do not.
	clear(w.runs)
	clear(w.items)
	if w.admitted {
		w.admitted = false
		w.pool.back()
	} else if w.pool.gate.shut.Load() {
		w.pool.pump() // what it gave back may be let through
	}
}

func (w *worker) execute(p *Partition) {
	for !w.unfinished() {
		i := w.pos.Add(1) - 1
		if i >= int64(len(w.runs)) {
			return
		}
		r := &w.runs[i]
		// The order matters: a Cancel and Renew after the first line are seen by
		// the second.
		if r.Halted() || r.before != nil && !r.before(r.Items[0]) || r.Halted() {
			r.done, r.err = 0, ErrHalted
			w.executed++
			continue
		}
		l := p.lease.Load()
		r.Ctx, r.Token, r.Tally = l.ctx, l.token, &w.tally
		w.current.Store(r)
		w.applying = true
		r.done, r.err = w.pool.cfg.Apply(r)
		w.judge(r)
	}
}

// judge notes the outcome of a run.
func (w *worker) judge(r *Run) {
	w.applying = false
	r.check()
	w.executed++
	switch {
	case r.done < 0:
		w.attempted += len(r.Items)
	case r.err == nil || errors.Is(r.err, ErrHalted):
		w.attempted += r.done
	default:
		w.attempted += r.done + 1
		if decide := w.pool.cfg.OnFailure; decide != nil {
			r.verdict = decide(r, r.Items[r.done], r.err)
		}
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
	if pl.inlineAlways.Load() {
		return maxRun
	}
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
