package produce

import (
	"context"
	"sync"
	"testing"
)

func TestBudgetServesInOrder(t *testing.T) {
	b := NewBudget(2, 100)
	ctx := t.Context()
	b.Acquire(ctx, nil, 60)
	b.Acquire(ctx, nil, 10)
	empty := b.Empty()
	const n = 20
	order := make(chan int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if !b.Acquire(ctx, nil, 90) {
				t.Error("refused without a reason")
			}
			order <- i
		})
		for { // until it waits
			b.mu.Lock()
			waiting := len(b.waiters)
			b.mu.Unlock()
			if waiting == i+1 {
				break
			}
		}
	}
	b.Release(2, 70)
	for i := range n {
		if got := <-order; got != i {
			t.Fatalf("waiter %d was served as number %d", got, i)
		}
		b.Release(1, 90)
	}
	wg.Wait()
	<-empty
	if r, by := b.InUse(); r != 0 || by != 0 {
		t.Errorf("in use %d records, %d bytes", r, by)
	}
}

func TestBudgetEndsWithItsContext(t *testing.T) {
	b := NewBudget(1, 100)
	b.Acquire(t.Context(), nil, 1000) // more than all of it: goes alone
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b.Acquire(ctx, nil, 1) {
		t.Fatal("room for a second record")
	}
	stop := make(chan struct{})
	close(stop)
	if b.Acquire(t.Context(), stop, 1) {
		t.Fatal("room for a second record")
	}
	b.Release(1, 1000)
	if !b.Acquire(ctx, nil, 1) {
		t.Fatal("no room after the release")
	}
}

// What comes after Close is not let in, so that empty stays empty; who waits for
// that, in vain too, costs nothing.
func TestBudgetCloses(t *testing.T) {
	b := NewBudget(2, 100)
	if !b.Acquire(t.Context(), nil, 1) {
		t.Fatal("no room")
	}
	empty := b.Empty()
	for range 10 {
		if b.Empty() != empty {
			t.Fatal("a channel for each who asks")
		}
	}
	b.Close()
	if b.Acquire(t.Context(), nil, 1) {
		t.Error("let in after Close")
	}
	b.Release(1, 1)
	<-empty
	<-b.Empty()
	if b.Acquire(t.Context(), nil, 1) {
		t.Error("let in after Close")
	}
}
