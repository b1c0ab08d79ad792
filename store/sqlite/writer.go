package sqlite

import (
	"context"
	"slices"
	"sync"
)

// A writer is the right to write, among the lanes of this process: those that wait for
// SQLite's own lock look for it now and then, and one can starve. Who takes a partition
// over is served first: behind all lanes that are busy it would run out of time, each
// time anew.
type writer struct {
	mu           sync.Mutex
	taken        bool
	first, lanes []chan struct{}
}

// take waits for the right; leave gives it back.
func (w *writer) take(ctx context.Context, first bool) error {
	w.mu.Lock()
	if !w.taken {
		w.taken = true
		w.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	queue := &w.lanes
	if first {
		queue = &w.first
	}
	*queue = append(*queue, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	i := slices.Index(*queue, turn)
	if i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	}
	w.mu.Unlock()
	if i < 0 { // its turn came meanwhile
		w.leave()
	}
	return context.Cause(ctx)
}

func (w *writer) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, queue := range []*[]chan struct{}{&w.first, &w.lanes} {
		if len(*queue) > 0 {
			next := (*queue)[0]
			*queue = slices.Delete(*queue, 0, 1)
			close(next)
			return
		}
	}
	w.taken = false
}
