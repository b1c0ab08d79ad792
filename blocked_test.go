package orderly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kgo"
)

// slowLetters keeps each write until it is answered.
type slowLetters struct {
	mu   sync.Mutex
	open []func(at place, err error)
}

func (l *slowLetters) send(_ *Message, _ *givenUp, done func(at place, err error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, done)
}

func (l *slowLetters) answer(err error) (n int) {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for _, done := range open {
		done(place{}, err)
	}
	return len(open)
}

// 100,000 keys wait at once, in each way of waiting: no goroutine each, memory of
// the order of a record each, and all go on when their time comes.
func TestManyBlockedKeys(t *testing.T) {
	const n = 100_000
	for name, err := range map[string]error{
		"backoff": errors.New("busy"), "unavailable": Unavailable(errors.New("down")), "dead letters": Permanent(errors.New("poison")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				healed := false
				cfg := ConsumerConfig{OnExhausted: PolicyDeadLetter, Breaker: Breaker{Disabled: true}, Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, Concurrency: 64,
					Retry:  Retry{Backoff: time.Hour, MaxBackoff: 3 * time.Hour},
					Logger: slog.New(slog.DiscardHandler),
					Handler: func(context.Context, *Message) error {
						if healed {
							return nil
						}
						return err
					}}.withDefaults()
				if err := cfg.validate(); err != nil {
					t.Fatal(err)
				}
				h := newHandling(&cfg, func(err *StopError) { t.Error(err) })
				letters := &slowLetters{}
				h.letters = letters
				pool := h.pool(lane.SystemClock{})
				p := pool.Add(h.partition("t", 0), 1)
				ring := progress.NewRing(0)
				heap := func() int64 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					return int64(m.HeapAlloc)
				}
				before, goroutines := heap(), runtime.NumGoroutine()
				recs := make([]*kgo.Record, n)
				for i := range recs {
					recs[i] = &kgo.Record{Topic: "t", Key: fmt.Append(nil, "key-", i), Value: []byte(strings.Repeat("v", 100)), Offset: int64(i)}
				}
				items := h.items(recs, nil)
				for _, it := range items {
					it.Slot, _ = ring.Append(it.Offset)
				}
				p.Enqueue(items)
				recs, items = nil, nil
				synctest.Wait()
				if st := p.Stat(); st.Blocked != n || st.Running != 0 {
					t.Fatalf("%+v, want all %d blocked", st, n)
				}
				if g := runtime.NumGoroutine() - goroutines; g > cfg.Concurrency+5 {
					t.Errorf("%d goroutines for %d blocked keys", g, n)
				}
				each := (heap() - before) / n
				t.Logf("%d bytes for each blocked key of a record with 110 bytes", each)
				if each > 3000 {
					t.Errorf("%d bytes for each blocked key", each)
				}
				healed = true
				for p.Stat().Records > 0 {
					if letters.answer(nil) == 0 {
						time.Sleep(time.Hour)
					}
					synctest.Wait()
				}
				if st := p.Stat(); st.Done != n || st.Blocked != 0 || ring.Reclaim() != 0 {
					t.Errorf("%+v, want all done", st)
				}
				pool.Close(ErrAborted)
				_ = pool.Wait(t.Context())
			})
		})
	}
}

// An acknowledgement that comes after the partition has left settles nothing, is
// counted, and is told to nobody as a dead letter.
func TestLateDeadLetterIsDropped(t *testing.T) {
	var lettered, dropped int
	cfg := ConsumerConfig{OnExhausted: PolicyDeadLetter, Breaker: Breaker{Disabled: true}, Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"},
		Logger: slog.New(slog.DiscardHandler), Handler: func(context.Context, *Message) error { return Permanent(errors.New("poison")) },
		Events: Events{DeadLettered: func(DeadLetteredEvent) { lettered++ }, Dropped: func(e DroppedEvent) {
			if e.Reason == "late-dead-letter" {
				dropped += e.Records
			}
		}}}.withDefaults()
	synctest.Test(t, func(t *testing.T) {
		h := newHandling(&cfg, func(err *StopError) { t.Error(err) })
		letters := &slowLetters{}
		h.letters = letters
		pool := h.pool(lane.SystemClock{})
		p := pool.Add(h.partition("t", 0), 1)
		ring := progress.NewRing(0)
		it := h.items([]*kgo.Record{{Topic: "t", Key: []byte("a")}}, nil)[0]
		it.Slot, _ = ring.Append(0)
		slot := it.Slot
		p.Enqueue([]*lane.Item{it})
		synctest.Wait()
		select {
		case <-p.WaitIdle(): // a drain does not wait for it
		default:
			t.Error("a dead letter under way counts as running")
		}
		p.Close(ErrPartitionLost)
		if n := letters.answer(nil); n != 1 {
			t.Fatalf("%d writes", n)
		}
		if slot.IsDone() || lettered != 0 || dropped != 1 {
			t.Errorf("done %t, %d dead letters, %d dropped", slot.IsDone(), lettered, dropped)
		}
		pool.Close(ErrAborted)
		_ = pool.Wait(t.Context())
	})
}
