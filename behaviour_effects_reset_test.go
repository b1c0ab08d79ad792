package orderly_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/store/storetest"
)

// What a store keeps parked is listed and shown with the store, and without it the way out
// is named, whether there is a parking topic or not.
func TestEffectsParkedKeysAreShown(t *testing.T) {
	t.Parallel()
	s := parkInStore(t)
	b, topic, book, g, m := s.b, s.topic, s.book, s.g, s.m
	blind := newAdmin(t, b, g)
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: b.Addrs(), Group: g.Name(), Who: "ada", Store: book.Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	wayOut := map[string]string{"missing": "it is not there", "there": "name that, too (--store"}
	for _, topicIs := range []string{"missing", "there"} {
		if _, err := blind.ParkedKeys(t.Context(), topic); err == nil || !strings.Contains(err.Error(), wayOut[topicIs]) || !strings.Contains(err.Error(), "--store") {
			t.Errorf("the parking topic is %s, keys without the store: %v", topicIs, err)
		}
		if _, err := blind.ParkedRecords(t.Context(), topic, 0, []byte("bad"), 10); err == nil || !strings.Contains(err.Error(), wayOut[topicIs]) {
			t.Errorf("the parking topic is %s, records without the store: %v", topicIs, err)
		}
		keys, err := a.ParkedKeys(t.Context(), topic)
		if err != nil || len(keys) != 1 || string(keys[0].Key) != "bad" || keys[0].FirstOffset != 0 || keys[0].Records != 3 || keys[0].Cause != errBusy.Error() ||
			keys[0].Handler != "default" || keys[0].Permanent || keys[0].Since.IsZero() || keys[0].Next.IsZero() || keys[0].Attempts != 1 {
			t.Errorf("the parking topic is %s: %+v, %v", topicIs, keys, err)
		}
		recs, err := a.ParkedRecords(t.Context(), topic, 0, []byte("bad"), 2)
		if err != nil || len(recs) != 2 || recs[1].Record.Offset != 2 || string(recs[1].Record.Value) != "1" || string(recs[1].Record.Key) != "bad" || recs[0].Cause == "" || recs[1].Cause != "" {
			t.Errorf("the parking topic is %s: %+v, %v", topicIs, recs, err)
		}
		if recs, err := a.ParkedRecords(t.Context(), topic, 0, []byte("good"), 2); err != nil || len(recs) != 0 {
			t.Errorf("the parking topic is %s: of a key that is not parked %+v, %v", topicIs, recs, err)
		}
		if all, err := a.Commands(t.Context(), topic); err != nil || (len(all) > 0) != (topicIs == "there") {
			t.Errorf("the parking topic is %s: commands %+v, %v", topicIs, all, err)
		}
		if topicIs == "missing" {
			ans, err := a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
			answered(t, ans, err, "done", "failed again")
			b.Eventually("a commit that names the topic", func() bool {
				_, err := blind.ParkedKeys(t.Context(), topic)
				return err != nil && strings.Contains(err.Error(), wayOut["there"])
			})
		}
	}
	stopAll(t, m)
}

// A reset says what becomes of what a store keeps parked: kept, it waits where it was, and
// records of its keys that come again join it in order; dropped, it comes again with the
// rest.
func TestResetEffectsWithParkedRecords(t *testing.T) {
	t.Parallel()
	for _, how := range []string{orderly.ParkedKeep, orderly.ParkedDrop} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var mended atomic.Bool
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Breaker: orderly.Breaker{Disabled: true}, Retry: orderly.Retry{MaxAttempts: 1},
				Parking: orderly.Parking{First: time.Second, Longest: time.Second},
				Effects: book.failing(func(m *orderly.Message) error {
					if string(m.Key) == "bad" && m.Offset >= 4 {
						return errBusy
					}
					return nil
				}, &mended)})
			b.Produce(topic, keyed(5, "bad", "good")...) // bad: 0 2 4 6 8
			m := g.Start()
			parkedRecords(t, b, m, topic, 1, 3)
			committed(t, b, m, topic, 0, 10)
			stopAll(t, m)
			a := newAdmin(t, b, g)
			now := offsetsOf(t, a, topic, book.Memory)
			if now.ParkedKeys != 1 || now.ParkedRecords != 3 {
				t.Errorf("%+v", now)
			}
			r := orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(1), Reason: "to see", Store: book.Memory}
			if _, err := a.ResetOffsets(t.Context(), r); err == nil || !strings.Contains(err.Error(), "from offset 4 on") || !strings.Contains(err.Error(), "--parked") {
				t.Fatalf("without a word about what is parked: %v", err)
			}
			r.Parked, r.To, r.DryRun = how, orderly.ToOffset(7), true
			steps, err := a.ResetOffsets(t.Context(), r)
			if want := map[string]int{orderly.ParkedKeep: 0, orderly.ParkedDrop: 2}[how]; err != nil || steps[0].Parked != 3 || steps[0].Lost != want {
				t.Errorf("%+v, %v", steps, err)
			}
			r.To, r.DryRun = orderly.ToOffset(1), false
			if _, err := a.ResetOffsets(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			mended.Store(true)
			var again seen[int64]
			m = g.Start(func(c *orderly.ConsumerConfig) {
				c.Effects.Handler = countOffsets(&again)
			})
			b.Eventually("the records to come again", func() bool { return again.len() >= 9 })
			caughtUp(t, b, m, topic, 0)
			parkedRecords(t, b, m, topic, 0, 0)
			var bad []int64
			for _, o := range again.get() {
				if o%2 == 0 {
					bad = append(bad, o)
				}
			}
			if want := []int64{2, 4, 6, 8}; !slices.Equal(bad, want) {
				t.Errorf("of the key came %v, want %v", bad, want)
			}
			if again.len() != 9 || book.Exceptions() != 0 {
				t.Errorf("%d effects, %d exceptions are left", again.len(), book.Exceptions())
			}
			stopAll(t, m)
		})
	}
}

// A reset forward, over what a store keeps parked: kept, it is released with its effects;
// dropped, it is gone, and counted as lost before.
func TestResetEffectsOverParkedRecords(t *testing.T) {
	t.Parallel()
	for how, lost := range map[string]int{orderly.ParkedKeep: 0, orderly.ParkedDrop: 3} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var mended atomic.Bool
			g := commanded(t, b, topic, book, &mended, func(c *orderly.ConsumerConfig) {
				c.Parking = orderly.Parking{First: 20 * time.Millisecond, Longest: 20 * time.Millisecond}
			})
			b.Produce(topic, keyed(3, "bad", "good")...)
			m := g.Start()
			parkedRecords(t, b, m, topic, 1, 3)
			committed(t, b, m, topic, 0, 6)
			stopAll(t, m)
			steps, err := newAdmin(t, b, g).ResetOffsets(t.Context(), orderly.OffsetReset{Topic: topic, To: orderly.ToLatest(), Reason: "to see", Store: book.Memory, Parked: how})
			if err != nil || steps[0].Parked != 3 || steps[0].Lost != lost {
				t.Fatalf("%+v, %v", steps, err)
			}
			if n := book.Exceptions(); n != 3-lost {
				t.Errorf("%d exceptions", n)
			}
			mended.Store(true)
			m = g.Start()
			b.Produce(topic, keyed(1, "bad", "good")...)
			book.require(t, b, 5+3-lost)
			caughtUp(t, b, m, topic, 0)
			parkedRecords(t, b, m, topic, 0, 0)
			stopAll(t, m)
		})
	}
}

// countOffsets notes the offsets of records when their effects are committed.
func countOffsets(into *seen[int64]) func(context.Context, any, *orderly.Message) error {
	return func(_ context.Context, tx any, m *orderly.Message) error {
		at := m.Offset
		tx.(*storetest.MemoryTx).Do(func() { into.add(at) })
		return nil
	}
}
