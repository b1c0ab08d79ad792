package orderlytest

import (
	"slices"
	"sync"
	"time"
)

// clock is a lane.Clock that stands still until somebody moves it.
type clock struct {
	mu     sync.Mutex
	start  time.Time
	now    time.Time
	timers []*alarm // earliest first
}

type alarm struct {
	at time.Time
	f  func()
}

func newClock() *clock {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return &clock{start: start, now: start}
}

// Now is the virtual time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) elapsed() time.Duration { return c.Now().Sub(c.start) }

// AfterFunc has f called by the step that reaches its time.
func (c *clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at: c.now.Add(max(d, 0)), f: f}
	i, _ := slices.BinarySearchFunc(c.timers, a, func(x, y *alarm) int {
		if x.at.After(y.at) {
			return 1
		}
		return -1
	})
	c.timers = slices.Insert(c.timers, i, a)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.timers, a)
		if i < 0 {
			return false
		}
		c.timers = slices.Delete(c.timers, i, i+1)
		return true
	}
}

// step goes to the next time for which something is planned, up to limit after
// the start, and does it. It reports whether there was anything.
func (c *clock) step(limit time.Duration) bool {
	c.mu.Lock()
	if len(c.timers) == 0 || c.timers[0].at.Sub(c.start) > limit {
		c.mu.Unlock()
		return false
	}
	a := c.timers[0]
	c.timers = slices.Delete(c.timers, 0, 1)
	c.now = a.at
	c.mu.Unlock()
	a.f()
	return true
}
