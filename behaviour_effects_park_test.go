package orderly_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// failing is a handler with effects that fails the records of bad keys until they are
// mended.
func (b *effectBook) failing(bad func(*orderly.Message) error, mended *atomic.Bool) orderly.Effects {
	return orderly.Effects{Store: b.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
		if !mended.Load() {
			if err := bad(m); err != nil {
				return err
			}
		}
		b.apply(tx, m)
		return nil
	}}
}

// The default policy parks with Effects too: in the store. The record that used up its
// attempts is parked, those of its key follow without a call of the handler, all others
// run, and the commit passes; the next owner finds it so.
func TestEffectsParkPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	var calls atomic.Int64
	var parkedEvents seen[orderly.ParkedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 2, Retry: orderly.Retry{MaxAttempts: 3, Backoff: time.Millisecond},
		Events: orderly.Events{Parked: parkedEvents.add},
		Effects: book.failing(func(m *orderly.Message) error {
			if string(m.Key) != "bad" {
				return nil
			}
			calls.Add(1)
			return errBusy
		}, &mended)})
	b.Produce(topic, keyed(5, "bad", "good")...)
	m := g.Start()
	book.require(t, b, 5)
	parkedRecords(t, b, m, topic, 1, 5)
	committed(t, b, m, topic, 0, 10)
	for i, e := range parkedEvents.get() {
		if want := int64(2 * i); e.Offset != want || (e.Attempts == 3) != (i == 0) || (e.Reason == "exhausted") != (i == 0) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	stopAll(t, m)
	was := calls.Load()
	m = g.Start()
	b.Produce(topic, keyed(2, "bad", "good")...)
	committed(t, b, m, topic, 0, 14)
	parkedRecords(t, b, m, topic, 1, 7)
	book.require(t, b, 7)
	if calls.Load() != was {
		t.Errorf("the parked key's handler was called %d times more", calls.Load()-was)
	}
	if book.Exceptions() != 7 {
		t.Errorf("%d exceptions in the store, want the 7 that are parked", book.Exceptions())
	}
	if topics, err := b.Admin().ListTopics(t.Context()); err != nil || topics.Has("orderly-parked."+g.Name()+"."+topic) {
		t.Errorf("a parking topic was made (%v): what is parked is in the store", err)
	}
	stopAll(t, m)
}

// On its schedule the key is tried again, in order, and lives again, also when another
// owner does it than the one that parked it.
func TestEffectsParkedKeyIsReleasedOnSchedule(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	var released seen[orderly.ReleasedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 2, Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond},
		Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 50 * time.Millisecond}, Events: orderly.Events{Released: released.add},
		Effects: book.failing(badKey("bad"), &mended)})
	b.Produce(topic, keyed(10, "bad", "good")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 10)
	committed(t, b, m, topic, 0, 20)
	stopAll(t, m)
	m = g.Start()
	mended.Store(true)
	book.require(t, b, 20)
	parkedRecords(t, b, m, topic, 0, 0)
	b.Eventually("all ten to be told", func() bool { return released.len() == 10 })
	b.Produce(topic, keyed(3, "bad")...)
	book.require(t, b, 23)
	caughtUp(t, b, m, topic, 0)
	if n := book.Exceptions(); n != 0 || released.len() != 10 {
		t.Errorf("%d exceptions are left, %d released: the key does not live again", n, released.len())
	}
	stopAll(t, m)
}

// A release stops at the first failure; those before it are done once, those behind it
// wait, and what comes joins the end.
func TestEffectsReleaseStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended, half atomic.Bool
	var wrong atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 1},
		Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 20 * time.Millisecond}, Breaker: orderly.Breaker{Disabled: true},
		Effects: book.failing(func(m *orderly.Message) error {
			if m.Offset > 4 {
				wrong.Add(1)
			}
			if half.Load() && m.Offset < 4 {
				return nil
			}
			return errBusy
		}, &mended)})
	b.Produce(topic, keyed(10, "k")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 10)
	half.Store(true)
	book.require(t, b, 4)
	parkedRecords(t, b, m, topic, 1, 6)
	b.Produce(topic, keyed(2, "k")...)
	parkedRecords(t, b, m, topic, 1, 8)
	if n := wrong.Load(); n != 0 {
		t.Errorf("the handler was called %d times for records behind the one that fails", n)
	}
	mended.Store(true)
	book.require(t, b, 12)
	parkedRecords(t, b, m, topic, 0, 0)
	caughtUp(t, b, m, topic, 0)
	stopAll(t, m)
}

// A key parked by Permanent is not released on the schedule, whoever owns it.
func TestEffectsPermanentWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Parking: orderly.Parking{First: time.Millisecond, Longest: time.Millisecond},
		Retry: orderly.Retry{MaxAttempts: 1}, Effects: book.failing(func(m *orderly.Message) error {
			switch string(m.Key) {
			case "permanent":
				return orderly.Permanent(errBusy)
			case "exhausted":
				return errBusy
			}
			return nil
		}, &mended)})
	b.Produce(topic, keyed(2, "permanent", "exhausted")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 2, 4)
	stopAll(t, m)
	m = g.Start()
	mended.Store(true)
	book.require(t, b, 2) // the other one is released, and releases have their time
	b.Produce(topic, keyed(1, "permanent")...)
	parkedRecords(t, b, m, topic, 1, 3)
	book.require(t, b, 2)
	stopAll(t, m)
}

// Records of a hot key that come while it is released are handled behind the parked ones,
// and the release ends although they do not.
func TestEffectsReleaseOfAHotKeyEnds(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Retry: orderly.Retry{MaxAttempts: 1},
		Parking: orderly.Parking{First: 50 * time.Millisecond, Longest: 50 * time.Millisecond},
		Effects: book.failing(badKey("hot"), &mended)})
	b.Produce(topic, keyed(50, "hot", "other")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 50)
	mended.Store(true)
	n := 100
	b.Eventually("the release to end while records come", func() bool {
		b.Produce(topic, keyed(20, "hot")...)
		n += 20
		p, _ := stateOf(m, topic, 0)
		return p.Parking.Keys == 0
	})
	book.require(t, b, n)
	caughtUp(t, b, m, topic, 0)
	if book.Exceptions() != 0 {
		t.Errorf("%d exceptions are left", book.Exceptions())
	}
	stopAll(t, m)
}

// Members come, go and die, the handler fails now and then, commits fail, are unknown or
// chosen to lose, keys are parked and released all the time: each effect happens once,
// those of a key in order, and in the end nothing is parked.
func TestEffectsParkingOnce(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 3)
	book := newEffectBook()
	book.Fault = commitFaults(3, 4)
	var calls atomic.Int64
	var mended atomic.Bool
	var parkedEvents seen[orderly.ParkedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 4, CommitInterval: 20 * time.Millisecond, Breaker: orderly.Breaker{Disabled: true},
		Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond}, Events: orderly.Events{Parked: parkedEvents.add},
		Parking: orderly.Parking{First: 10 * time.Millisecond, Longest: 20 * time.Millisecond, Caps: orderly.ParkingCaps{RecordsPerKey: 30}},
		Effects: book.failing(func(*orderly.Message) error {
			if calls.Add(1)%7 == 0 {
				return errBusy
			}
			return nil
		}, &mended)})
	n := book.throughChurn(b, g, topic)
	mended.Store(true)
	book.require(t, b, n)
	if parkedEvents.len() < 50 {
		t.Errorf("only %d records were parked: that shows little", parkedEvents.len())
	}
	b.Eventually("nothing to be parked", func() bool { return book.Exceptions() == 0 })
}

// At a cap a key blocks: nothing is dropped, nothing overtakes, and when there is room the
// key goes on.
func TestEffectsParkingCaps(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]orderly.ParkingCaps{
		"records of a key": {RecordsPerKey: 3},
		"keys":             {KeysPerPartition: 1},
		"bytes":            {Bytes: 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var mended atomic.Bool
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond},
				Parking: orderly.Parking{First: 200 * time.Millisecond, Longest: 200 * time.Millisecond, Caps: caps}, Breaker: orderly.Breaker{Disabled: true},
				Effects: book.failing(func(m *orderly.Message) error {
					if string(m.Key) != "good" {
						return errBusy
					}
					return nil
				}, &mended)})
			b.Produce(topic, keyed(8, "a", "b", "good")...)
			m := g.Start()
			book.require(t, b, 8)
			b.Eventually("a key to block at the cap", func() bool {
				p, _ := stateOf(m, topic, 0)
				return p.BlockedStates["parking-refused"] > 0
			})
			p, _ := stateOf(m, topic, 0)
			if limit := caps.RecordsPerKey * 2; limit > 0 && p.Parking.Records > limit || caps.KeysPerPartition > 0 && p.Parking.Keys > 1 {
				t.Errorf("%+v", p.Parking)
			}
			mended.Store(true)
			book.require(t, b, 24)
			caughtUp(t, b, m, topic, 0)
			stopAll(t, m)
		})
	}
}

// With the partition's scope the whole partition is parked when that is asked for.
func TestEffectsParkScopePartition(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: orderly.ScopePartition, OnExhausted: orderly.PolicyPark,
		Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond}, Parking: orderly.Parking{First: 50 * time.Millisecond, Longest: 50 * time.Millisecond},
		Effects: book.failing(func(m *orderly.Message) error {
			if m.Offset >= 7 {
				return errBusy
			}
			return nil
		}, &mended)})
	b.Produce(topic, keyed(10, "a", "b")...)
	m := g.Start()
	book.require(t, b, 7)
	parkedRecords(t, b, m, topic, 1, 13)
	committed(t, b, m, topic, 0, 20)
	mended.Store(true)
	n := 20
	b.Eventually("the release to end while records come", func() bool {
		b.Produce(topic, keyed(5, "a", "b")...)
		n += 10
		p, _ := stateOf(m, topic, 0)
		return p.Parking.Keys == 0
	})
	book.require(t, b, n)
	caughtUp(t, b, m, topic, 0)
	stopAll(t, m)
}

// A release goes on when it meets an outage of the database, or of what the handler
// needs: no attempt is spent, and it ends as if there had been none.
func TestEffectsReleaseThroughAnOutage(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended, began atomic.Bool
	var down atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond},
		Parking: orderly.Parking{First: 50 * time.Millisecond, Longest: 50 * time.Millisecond}, Breaker: orderly.Breaker{Disabled: true},
		Effects: book.failing(func(m *orderly.Message) error {
			if !began.Load() {
				return errBusy
			}
			if m.Offset == 2 && down.Add(1) < 5 {
				book.Down(true)
				time.AfterFunc(20*time.Millisecond, func() { book.Down(false) })
				return orderly.Unavailable(errors.New("down"))
			}
			return nil
		}, &mended)})
	b.Produce(topic, keyed(5, "k")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 5)
	began.Store(true)
	book.require(t, b, 5)
	parkedRecords(t, b, m, topic, 0, 0)
	if down.Load() < 5 {
		t.Errorf("the outage was met %d times", down.Load())
	}
	stopAll(t, m)
}

// A sequence gap parks its key, where that is the policy; what an operator releases is not
// looked at again.
func TestEffectsGapPark(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Sequence: orderly.SequenceGuard{Headers: true, OnGap: orderly.GapPark},
		OnExhausted: orderly.PolicyStop, Parking: orderly.Parking{First: time.Millisecond, Longest: time.Millisecond}, Effects: book.effects(),
		KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)}})
	b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("g", "1", "w", 1, 1), sequenced("k", "4", "w", 1, 4),
		sequenced("k", "5", "w", 1, 5), sequenced("g", "2", "w", 1, 2))
	m := g.Start()
	book.require(t, b, 3)
	parkedRecords(t, b, m, topic, 1, 2) // until an operator releases it
	committed(t, b, m, topic, 0, 5)
	ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("k"), Offset: 2})
	answered(t, ans, err, "done", "released")
	book.require(t, b, 5)
	stopAll(t, m)
}
