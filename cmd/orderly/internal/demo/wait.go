package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// waiter waits for something to be true of a ledger.
type waiter struct {
	cond func() bool
	ch   chan struct{}
}

// notify wakes those whose condition came true. Called with mu held.
func (lg *ledger) notify() {
	rest := lg.waiters[:0]
	for _, w := range lg.waiters {
		if lg.failure != nil || w.cond() {
			close(w.ch)
			continue
		}
		rest = append(rest, w)
	}
	lg.waiters = rest
}

// fail ends all waiting: the column cannot go on.
func (lg *ledger) fail(err error) {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	if lg.failure == nil {
		lg.failure = err
	}
	lg.notify()
}

// errStalled: nothing was done for so long that nothing will be.
var errStalled = errors.New("no progress")

// await waits until cond is true. It is called with the ledger locked. Where no
// record comes to the sink for the patience, it gives up with errStalled.
func (lg *ledger) await(ctx context.Context, patience time.Duration, what string, cond func() bool) error {
	w := &waiter{cond: cond, ch: make(chan struct{})}
	lg.mu.Lock()
	lg.waiters = append(lg.waiters, w)
	lg.notify()
	lg.mu.Unlock()
	lg.touch()
	t := time.NewTicker(patience / 20)
	defer t.Stop()
	for {
		select {
		case <-w.ch:
			lg.mu.Lock()
			defer lg.mu.Unlock()
			return lg.failure
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
			if idle := lg.idle(); idle > patience {
				return fmt.Errorf("%w for %s, waiting for %s", errStalled, idle.Round(time.Second), what)
			}
		}
	}
}

// touch lets the patience begin anew: another phase has begun.
func (lg *ledger) touch() {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	lg.progress = time.Now()
}

// idle is how long nothing has come to the sink.
func (lg *ledger) idle() time.Duration {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	return time.Since(lg.progress)
}

// Conditions for await.

func (lg *ledger) doneAtLeast(n int) func() bool { return func() bool { return lg.done >= n } }

func (lg *ledger) owns(names ...string) func() bool {
	return func() bool {
		for _, name := range names {
			if v := lg.members[name]; v == nil || len(v.tokens) == 0 {
				return false
			}
		}
		return true
	}
}

// strike: so many records are done, and a handler of the victim is at work and
// will not end before the victim is killed.
func (lg *ledger) strike(victim string, killAt int) func() bool {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	lg.victim, lg.killAt = victim, killAt
	return func() bool { return lg.struck }
}

// allCommitted: the group has committed the end of every partition.
func (lg *ledger) allCommitted() bool {
	for _, p := range lg.parts {
		if p.offset < int64(len(p.entries)) {
			return false
		}
	}
	return true
}

func both(a, b func() bool) func() bool { return func() bool { return a() && b() } }

// counts are what the progress line shows.
type counts struct{ done, total, retries, repeats int }

func (lg *ledger) counts() counts {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	return counts{lg.done, lg.total, lg.retries, lg.repeats}
}
