package lane

import (
	"flag"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// soak multiplies the counts of long tests when ORDERLY_SOAK=1.
var soak = 1

func TestMain(m *testing.M) {
	if os.Getenv("ORDERLY_SOAK") == "1" {
		soak = 50
	}
	// A flag on the command line is parsed later and wins.
	if err := flag.Set("rapid.checks", strconv.Itoa(1000*soak)); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// A fakeClock stands still until it is told to go on.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*fakeTimer]struct{}
	made   int
}

type fakeTimer struct {
	at time.Time
	f  func()
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Unix(1_000_000, 0), timers: make(map[*fakeTimer]struct{})}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{c.now.Add(d), f}
	c.timers[t] = struct{}{}
	c.made++
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, pending := c.timers[t]
		delete(c.timers, t)
		return pending
	}
}

// pending is how many timers are set.
func (c *fakeClock) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// advance moves the clock and returns when the timers that it passed have run.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t.f)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// items makes one item of 10 bytes per key; offsets count from first.
func items(first int64, keys ...uint64) []*Item {
	out := make([]*Item, len(keys))
	for i, k := range keys {
		out[i] = &Item{Hash: k, Offset: first + int64(i), Size: 10}
	}
	return out
}

func offsets(its []*Item) []int64 {
	out := make([]int64, len(its))
	for i, it := range its {
		out[i] = it.Offset
	}
	return out
}

// one returns an Apply for one record after the other.
func one(handle func(r *Run, it *Item) error) Apply {
	return func(r *Run) (int, error) {
		for i, it := range r.Items {
			if i > 0 && r.Halted() {
				return i, ErrHalted
			}
			if err := handle(r, it); err != nil {
				return i, err
			}
		}
		return len(r.Items), nil
	}
}

// bubble runs f in virtual time: synctest.Wait there means that everything that
// can happen now has happened.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// fast makes the pool believe that handlers are fast, so that bunches are long.
func fast(pl *Pool) { pl.average.Store(1) }

const held = 1 // a halt bit

// together enqueues items so that one worker finds all of them ready.
func together(p *Partition, its []*Item) {
	p.SetHalt(held)
	p.Enqueue(its)
	fast(p.pool)
	p.ClearHalt(held)
}

// streamed is together for records that run inline.
func streamed(p *Partition, its []*Item) {
	p.SetHalt(held)
	fast(p.pool)
	p.Enqueue(its)
	p.ClearHalt(held)
}

// A log is what happened, in order.
type log[T any] struct {
	mu  sync.Mutex
	all []T
}

func (l *log[T]) add(x T) {
	l.mu.Lock()
	l.all = append(l.all, x)
	l.mu.Unlock()
}

func (l *log[T]) take() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

func closePool(t *testing.T, pl *Pool) {
	t.Helper()
	pl.Close(errTest)
	if err := pl.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if pl.Records() != 0 || pl.Bytes() != 0 {
		t.Errorf("after Close the pool counts %d records of %d bytes", pl.Records(), pl.Bytes())
	}
}
