package parked

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Records that follow now and then wait for others: until the same moment in all
// partitions, once, and not where many follow.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &Manager{begun: time.Now(), ctx: ctx, cancel: cancel}
		defer func() { cancel(); m.wg.Wait() }()
		a, b := &Partition{m: m}, &Partition{m: m}
		follow := func(p *Partition, n int) { p.gathering.count(m.window(), n) }
		at := make(chan time.Duration, 10)
		ready := func() { at <- time.Since(m.begun) }
		wait := func(p *Partition, offset int64, want bool) {
			t.Helper()
			if got := p.Gather(offset, ready); got != want {
				t.Fatalf("after %s: the record at %d waits: %v, want %v", time.Since(m.begun), offset, got, want)
			}
		}

		time.Sleep(10 * time.Millisecond)
		wait(a, 1, false) // the first
		follow(a, 1)
		wait(b, 1, false) // of another partition
		follow(b, 1)
		wait(a, 5, true)
		time.Sleep(20 * time.Millisecond)
		wait(a, 7, true)
		wait(b, 9, true)
		time.Sleep(gatherFor)
		for range 3 {
			if got := <-at; got != gatherFor {
				t.Errorf("ready after %s, not %s", got, gatherFor)
			}
		}
		wait(a, 5, false)
		follow(a, 1)
		wait(a, 5, true) // what waited then; not for ever
		wait(a, 7, false)
		follow(a, 1)
		wait(a, 8, true)

		follow(a, gatherBelow)
		wait(a, 10, false)
		follow(a, 1)
		time.Sleep(gatherFor) // and so in the window after it
		wait(a, 11, false)
		time.Sleep(gatherFor) // no more
		follow(a, 1)
		wait(a, 12, true)
		time.Sleep(3 * gatherFor) // nothing followed for long
		wait(a, 13, false)
	})
}

// One that has waited does not wait again, however late a worker comes to it and whatever
// others wait meanwhile. Nothing is kept of those that are settled in another way.
func TestGatherOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &Manager{begun: time.Now(), ctx: ctx, cancel: cancel}
		defer func() { cancel(); m.wg.Wait() }()
		p := &Partition{m: m}
		wait := func(offset int64, want bool) {
			t.Helper()
			p.mu.Lock()
			p.gathering.count(m.window(), 1)
			p.mu.Unlock()
			if got := p.Gather(offset, func() {}); got != want {
				t.Fatalf("the record at %d waits: %v, want %v", offset, got, want)
			}
		}
		time.Sleep(10 * time.Millisecond) // not at the moments at which waits end
		wait(5, true)
		for offset := range int64(10) {
			time.Sleep(gatherFor)
			wait(100+offset, true)
		}
		wait(5, false)
		p.mu.Lock()
		p.floor = 105
		p.mu.Unlock()
		time.Sleep(gatherFor)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if got := len(p.gathering.waited); got != 5 {
			t.Errorf("%d are kept, not 5", got)
		}
	})
}
