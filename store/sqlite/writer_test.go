package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly/store"
)

// A partition is taken over while many lanes wait to write: it does not wait for all of
// them, or its time would be over.
func TestTakeoverPassesLanes(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	const lanes = 50
	layout := store.Layout{Lanes: lanes, Hash: 1}
	part := store.Part{Group: "g", Handler: "default", Topic: "t", TopicID: [16]byte{1}}
	if _, err := db.Begin(t.Context(), part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	done := 0
	holds, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	release := sync.OnceFunc(func() { close(goOn) })
	var wg sync.WaitGroup
	defer wg.Wait()
	for lane := range lanes {
		wg.Go(func() {
			err := db.Apply(context.Background(), store.Step{Part: part, Token: 1, Advance: &store.Advance{Lane: lane, From: store.Unknown, To: 1}},
				func(context.Context, any) error {
					once.Do(func() { close(holds) })
					<-goOn
					mu.Lock()
					defer mu.Unlock()
					done++
					return nil
				})
			if err != nil {
				t.Error(err)
			}
		})
	}
	<-holds
	waiting := func(what string, n int, queue func() int) {
		t.Helper()
		tick, late := time.NewTicker(time.Millisecond), time.After(time.Minute)
		defer tick.Stop()
		for {
			db.a.writer.mu.Lock()
			have := queue()
			db.a.writer.mu.Unlock()
			if have == n {
				return
			}
			select {
			case <-tick.C:
			case <-late:
				release()
				t.Fatalf("%d %s wait for the right to write, want %d", have, what, n)
			}
		}
	}
	waiting("lanes", lanes-1, func() int { return len(db.a.writer.lanes) })
	other := part
	other.Partition = 1
	gone, cancel := context.WithCancelCause(t.Context())
	var took int
	wg.Go(func() {
		if _, err := db.Begin(t.Context(), other, layout, 1, 0); err != nil {
			t.Error(err)
		}
		mu.Lock()
		took = done
		mu.Unlock()
	})
	wg.Go(func() {
		third := part
		third.Partition = 2
		if _, err := db.Begin(gone, third, layout, 1, 0); fmt.Sprint(err) != "enough" {
			t.Errorf("%v of one that does not wait any longer", err)
		}
	})
	waiting("takeovers", 2, func() int { return len(db.a.writer.first) })
	cancel(fmt.Errorf("enough"))
	waiting("takeovers", 1, func() int { return len(db.a.writer.first) })
	release()
	wg.Wait()
	if took > lanes/2 {
		t.Errorf("%d lanes came before it", took)
	}
	if done != lanes {
		t.Errorf("%d lanes of %d", done, lanes)
	}
}
