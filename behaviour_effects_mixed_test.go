package orderly_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// without has a member run a plain handler in place of Effects.
func without(h orderly.Handler) func(*orderly.ConsumerConfig) {
	return func(c *orderly.ConsumerConfig) { c.Effects, c.Handler = orderly.Effects{}, h }
}

// Records that a plain handler has parked are not passed by Effects that follow it in its
// group: Run ends, also where the owner did not live to commit that there are some: then
// the parking topic says so, and the partition has waited by name until the commit does.
// The plain handler goes on where it was.
func TestEffectsAfterParkedOnKafka(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "killed"}[killed], func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var mended atomic.Bool
			c := &calls{bad: badKey("bad")}
			g := commanded(t, b, topic, book, &mended, nil)
			plain := func(cfg *orderly.ConsumerConfig) {
				without(c.handle)(cfg)
				if killed {
					cfg.CommitInterval = time.Hour
				}
			}
			b.Produce(topic, keyed(3, "bad", "good")...)
			m := g.Start(plain)
			parkedRecords(t, b, m, topic, 1, 3)
			if killed {
				m.Kill()
			} else {
				stopAll(t, m)
			}
			var waited atomic.Bool
			m = g.Start(func(cfg *orderly.ConsumerConfig) {
				cfg.Events.Warning = func(e orderly.WarningEvent) {
					if e.Code == "parking-mismatch" && strings.Contains(e.Message, "Effects would pass them") {
						waited.Store(true)
					}
				}
			})
			var bad *orderly.StoreError
			if err := m.Wait(); !errors.As(err, &bad) || !strings.Contains(err.Error(), "Effects would pass them") {
				t.Fatalf("Run: %v", err)
			}
			if waited.Load() != killed {
				t.Errorf("the partition has waited by name: %v", waited.Load())
			}
			if n := book.count(); n > 0 {
				t.Errorf("%d effects", n)
			}
			c.mended.Store(true)
			m = g.Start(without(c.handle))
			ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
			answered(t, ans, err, "done", "released")
			committed(t, b, m, topic, 0, 6)
			stopAll(t, m)
			if killed {
				return // the store was begun, and goes on from there
			}
			mended.Store(true)
			m = g.Start()
			b.Produce(topic, keyed(1, "bad", "good")...)
			committed(t, b, m, topic, 0, 8)
			if n := book.count(); n != 2 {
				t.Errorf("%d effects, want those of the 2 records that came since", n)
			}
			stopAll(t, m)
		})
	}
}

// What the store keeps parked is not passed by a handler that follows in the group and
// knows nothing of it: a plain one, or Effects under another name. The partition waits by
// name until the handler that parked is back, and has released.
func TestHandlersAfterParkedInAStore(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(*orderly.ConsumerConfig){
		"plain":        without(func(context.Context, *orderly.Message) error { return nil }),
		"another name": func(c *orderly.ConsumerConfig) { c.Effects.Name = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := parkInStore(t)
			b, topic, g := s.b, s.topic, s.g
			stopAll(t, s.m)
			m := g.Start(other)
			b.Eventually("the partition to wait by name", func() bool {
				p, ok := stateOf(m, topic, 0)
				return ok && slices.Contains(p.Reasons, "parking-mismatch") && strings.Contains(p.Parking.Cause, `"default"`)
			})
			stopAll(t, m)
			m = g.Start()
			parkedRecords(t, b, m, topic, 1, 3)
			s.mended.Store(true)
			ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
			answered(t, ans, err, "done", "released")
			s.book.require(t, b, 6)
			stopAll(t, m)
			m = g.Start(other)
			b.Produce(topic, keyed(1, "bad", "good")...)
			committed(t, b, m, topic, 0, 8)
			stopAll(t, m)
		})
	}
}

// A reset that drops what is parked lets others in, also without the store.
func TestStoredIsDroppedByReset(t *testing.T) {
	t.Parallel()
	s := parkInStore(t)
	b, topic, g := s.b, s.topic, s.g
	stopAll(t, s.m)
	r := orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(6), Reason: "given up", Parked: orderly.ParkedDrop}
	if _, err := newAdmin(t, b, g).ResetOffsets(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	m := g.Start(without(func(context.Context, *orderly.Message) error { return nil }))
	b.Produce(topic, keyed(1, "bad", "good")...)
	committed(t, b, m, topic, 0, 8)
	stopAll(t, m)
}
