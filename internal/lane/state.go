package lane

import (
	"context"
	"slices"
	"sort"
	"time"
)

// A Stat is what a partition holds at one moment.
type Stat struct {
	Records int   // waiting and running
	Bytes   int64 // of those
	Units   int   // keys or lanes that run or are about to, and those that wait for a retry; see stream
	Running int   // runs with a worker
	Blocked int   // units whose head failed: it waits for its next attempt or an answer, or is held
	Done    uint64
}

// Stat returns the partition's numbers.
func (p *Partition) Stat() Stat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stat{
		Records: p.records, Bytes: p.bytes, Units: p.units.n + p.sides.n,
		Running: p.running, Blocked: p.blocked, Done: p.progress,
	}
}

// A BlockedUnit is a key (or lane) whose head failed.
type BlockedUnit struct {
	Head     *Item
	Attempts int32 // of the head; the item's own field belongs to the workers
	Waiting  int   // records, the head included
	Since    time.Time
	Next     time.Time // of the next attempt; zero when held or awaiting
	Held     bool
	Awaits   string // what an Await waits for; empty: none
}

// Blocked returns up to limit blocked units, longest blocked first.
func (p *Partition) Blocked(limit int) []BlockedUnit {
	p.mu.Lock()
	var all []BlockedUnit
	add := func(u *unit) {
		if u.state != unitBlocked && u.state != unitHeld && u.state != unitAwaits {
			return
		}
		b := BlockedUnit{
			Head: u.head, Attempts: u.head.Attempts, Waiting: int(u.n),
			Since: p.pool.epoch.Add(u.since), Held: u.state == unitHeld,
		}
		switch u.state {
		case unitAwaits:
			b.Awaits = u.await.state
		case unitBlocked:
			b.Next = p.pool.epoch.Add(u.due)
		}
		all = append(all, b)
	}
	if p.blocked > 0 {
		p.units.all(add)
		p.sides.all(add)
	}
	p.mu.Unlock()
	sort.Slice(all, func(i, j int) bool {
		if !all[i].Since.Equal(all[j].Since) {
			return all[i].Since.Before(all[j].Since)
		}
		return all[i].Head.Offset < all[j].Head.Offset
	})
	return all[:min(limit, len(all))]
}

// Failed calls fn for each undone record that has failed, in no order.
func (p *Partition) Failed(fn func(offset int64, attempts int32)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for o, n := range p.failed {
		fn(o, n)
	}
}

// A Running is a run that is with a worker.
type Running struct {
	Part   *Partition
	Ctx    context.Context
	Items  []*Item
	Since  time.Time // in package time
	Closed bool      // its ownership has ended; only the handler has not returned
}

// Running lists the runs that have been with a worker for at least age. For a
// fast handler's bunch it is the run that the worker is in.
func (pl *Pool) Running(age time.Duration) []Running {
	pl.mu.Lock()
	workers := slices.Clone(pl.workers)
	pl.mu.Unlock()
	cut := time.Since(pl.start) - age
	var out []Running
	for _, w := range workers {
		p := w.part.Load()
		if p == nil {
			continue
		}
		p.mu.Lock()
		if since := time.Duration(w.since.Load()); w.part.Load() == p && since <= cut {
			if r := w.current.Load(); r != nil {
				out = append(out, Running{
					Part: p, Ctx: r.Ctx, Items: slices.Clone(r.Items),
					Since: pl.start.Add(since), Closed: p.closed,
				})
			}
		}
		p.mu.Unlock()
	}
	return out
}

// Idle reports that nothing waits for a worker and nothing is with one: only
// time can bring the next event.
func (pl *Pool) Idle() bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.active == 0 && pl.ringAt == len(pl.ring)
}
