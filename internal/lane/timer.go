package lane

import (
	"sync"
	"time"
)

// timer is the pool's one timer: it is set for the earliest time at which a
// partition has something to do, so that keys in backoff cost no goroutine and
// no timer each.
type timer struct {
	mu     sync.Mutex
	closed bool
	due    time.Duration // zero: not set
	stop   func() bool
	gen    uint64 // of the setting: one that fires although it was replaced is stale
}

// arm sees to it that the pool looks at its partitions at due.
func (pl *Pool) arm(due time.Duration) {
	t := &pl.timer
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.due != 0 && due >= t.due {
		return
	}
	if t.stop != nil {
		t.stop()
	}
	t.due = due
	t.gen++
	gen := t.gen
	t.stop = pl.cfg.Clock.AfterFunc(due-pl.now(), func() { pl.fire(gen) })
}

func (t *timer) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.gen++
	if t.stop != nil {
		t.stop()
	}
}

func (pl *Pool) fire(gen uint64) {
	t := &pl.timer
	t.mu.Lock()
	if gen != t.gen {
		t.mu.Unlock()
		return
	}
	// Who arms from here on sets a new timer, and who armed before has put its
	// unit where it is found below.
	t.due, t.stop = 0, nil
	t.mu.Unlock()
	pl.mu.Lock()
	parts := make([]*Partition, 0, len(pl.parts))
	for p := range pl.parts {
		parts = append(parts, p)
	}
	pl.mu.Unlock()
	now := pl.now()
	for _, p := range parts {
		if next := p.expire(now); next != 0 {
			pl.arm(next)
		}
	}
}
