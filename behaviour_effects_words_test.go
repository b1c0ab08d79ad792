package orderly_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// commanded is a group with effects that parks, and whose parking topic is there or is
// looked for soon.
func commanded(t *testing.T, b *orderlytest.Broker, topic string, book *effectBook, mended *atomic.Bool, change func(*orderly.ConsumerConfig)) *orderlytest.Group {
	t.Helper()
	cfg := orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 2, Breaker: orderly.Breaker{Disabled: true},
		Retry:     orderly.Retry{MaxAttempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour},
		KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)},
		Effects:   book.failing(badKey("bad"), mended)}
	if change != nil {
		change(&cfg)
	}
	return b.Group(cfg)
}

// parkedInStore is a topic of one partition whose key "bad" the running member has parked in
// its store, with three records, while those of "good" are done and all six committed.
type parkedInStore struct {
	b      *orderlytest.Broker
	topic  string
	book   *effectBook
	mended atomic.Bool
	g      *orderlytest.Group
	m      *orderlytest.Member
}

func parkInStore(t *testing.T) *parkedInStore {
	t.Helper()
	s := &parkedInStore{b: engine(t), book: newEffectBook()}
	s.topic = newTopic(t, s.b, 1)
	s.g = commanded(t, s.b, s.topic, s.book, &s.mended, nil)
	s.b.Produce(s.topic, keyed(3, "bad", "good")...)
	s.m = s.g.Start()
	parkedRecords(t, s.b, s.m, s.topic, 1, 3)
	committed(t, s.b, s.m, s.topic, 0, 6)
	return s
}

// A key that is parked in the store is released by word. The first command makes the
// parking topic, which the owner notices; the answer says what came of it, a repeat does
// nothing more.
func TestEffectsRetryByWord(t *testing.T) {
	t.Parallel()
	s := parkInStore(t)
	b, topic, book, g, m := s.b, s.topic, s.book, s.g, s.m
	a := admin(t, b, g)
	word := orderly.Command{Topic: topic, Key: []byte("bad"), ID: "one"}
	ans, err := a.Retry(patient(t), word)
	answered(t, ans, err, "done", "failed again: "+errBusy.Error())
	s.mended.Store(true)
	again, err := a.Retry(patient(t), word)
	answered(t, again, err, "done", "failed again")
	book.require(t, b, 3)
	// Another owner, which reads the command's answer and not its own.
	stopAll(t, m)
	m = g.Start()
	parkedRecords(t, b, m, topic, 1, 3)
	ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
	answered(t, ans, err, "done", "released")
	book.require(t, b, 6)
	parkedRecords(t, b, m, topic, 0, 0)
	caughtUp(t, b, m, topic, 0)
	all, err := a.Commands(t.Context(), topic)
	if err != nil || len(all) != 2 || all[0].ID != "one" || all[1].Result != "released" {
		t.Errorf("%+v, %v", all, err)
	}
	stopAll(t, m)
}

// The oldest parked record is skipped by word, in the store with who and why, and those
// behind it wait no longer for it; one behind it is not skipped.
func TestEffectsSkipByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	var skipped seen[orderly.SkippedEvent]
	g := commanded(t, b, topic, book, &mended, func(c *orderly.ConsumerConfig) {
		c.Events.Skipped = skipped.add
		c.Effects = book.failing(func(m *orderly.Message) error {
			if string(m.Key) == "bad" && m.Offset == 0 {
				return orderly.Permanent(errBusy)
			}
			return nil
		}, &mended)
	})
	b.Produce(topic, keyed(4, "bad", "good")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 4)
	a := admin(t, b, g)
	ans, err := a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 2, Reason: "x"})
	answered(t, ans, err, "refused", "the record waits behind")
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Reason: "broken"})
	answered(t, ans, err, "done", "skipped")
	book.require(t, b, 7)
	parkedRecords(t, b, m, topic, 0, 0)
	if es := skipped.get(); len(es) != 1 || es[0].Offset != 0 || es[0].Reason != "operator" || !strings.Contains(es[0].Err.Error(), "broken") {
		t.Errorf("%+v", es)
	}
	if as := book.Audits(); len(as) != 1 || as[0].Offset != 0 || as[0].Decision != "skip" || as[0].By == "" || !strings.Contains(as[0].Why, "broken") || string(as[0].Key) != "bad" {
		t.Errorf("%+v", as)
	}
	caughtUp(t, b, m, topic, 0)
	stopAll(t, m)
}

// A blocked key is tried, parked and skipped by word, with either scope.
func TestEffectsWordsAboutABlockedKey(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]orderly.Scope{"key": orderly.ScopeKey, "partition": orderly.ScopePartition} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var mended atomic.Bool
			g := commanded(t, b, topic, book, &mended, func(c *orderly.ConsumerConfig) { c.OnExhausted, c.Scope = orderly.PolicyBlock, scope })
			b.Produce(topic, keyed(3, "bad")...)
			m := g.Start()
			blockedIn(t, b, m, topic, "exhausted")
			a := admin(t, b, g)
			of := orderly.Command{Topic: topic, Reason: "broken"}
			if scope == orderly.ScopeKey {
				of.Key = []byte("bad")
			}
			ans, err := a.Retry(patient(t), of)
			answered(t, ans, err, "done", "failed again: "+errBusy.Error())
			ans, err = a.Skip(patient(t), of)
			answered(t, ans, err, "done", "skipped")
			b.Eventually("the next one to block", func() bool {
				p, _ := stateOf(m, topic, 0)
				return len(p.Oldest) == 1 && p.Oldest[0].Offset == 1 && p.Oldest[0].State == "exhausted"
			})
			of.Offset = 1
			ans, err = a.Park(patient(t), of)
			answered(t, ans, err, "done", "its key is parked")
			parkedRecords(t, b, m, topic, 1, 2)
			committed(t, b, m, topic, 0, 3)
			as := book.Audits()
			if len(as) != 2 || as[0].Decision != "skip" || as[1].Decision != "park" || as[1].Offset != 1 || !strings.Contains(as[1].Why, "broken") {
				t.Errorf("%+v", as)
			}
			mended.Store(true)
			ans, err = a.Retry(patient(t), of)
			answered(t, ans, err, "done", "released")
			book.require(t, b, 2)
			caughtUp(t, b, m, topic, 0)
			stopAll(t, m)
		})
	}
}

// A key that is paused waits, the others of its lane go on; a parked one is not released
// until it is resumed. A paused partition starts nothing.
func TestEffectsPauseByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	g := commanded(t, b, topic, book, &mended, func(c *orderly.ConsumerConfig) {
		c.Lanes = 1
		c.Parking = orderly.Parking{First: 10 * time.Millisecond, Longest: 10 * time.Millisecond}
	})
	b.Produce(topic, keyed(1, "a", "c")...)
	m := g.Start()
	book.require(t, b, 2)
	a := admin(t, b, g)
	key := func(k string) orderly.Target {
		return orderly.Target{Topic: topic, Partitions: []int32{0}, Keyed: true, Key: []byte(k), Reason: "a look"}
	}
	paused := func(all []orderly.PartitionAnswer, err error) {
		t.Helper()
		if err != nil || len(all) != 1 || all[0].State != "done" {
			t.Fatalf("%+v, %v", all, err)
		}
	}
	paused(a.Pause(patient(t), key("a")))
	paused(a.Pause(patient(t), key("bad")))
	b.Produce(topic, keyed(5, "a", "c")...)
	book.require(t, b, 7)
	blockedIn(t, b, m, topic, "paused")
	stopAll(t, m) // the next owner holds it, too
	m = g.Start()
	b.Produce(topic, keyed(1, "a", "c")...)
	book.require(t, b, 8)
	paused(a.Resume(patient(t), key("a")))
	book.require(t, b, 14)
	paused(a.Resume(patient(t), key("bad")))
	b.Produce(topic, keyed(2, "bad")...)
	parkedRecords(t, b, m, topic, 1, 2)
	paused(a.Pause(patient(t), key("bad")))
	mended.Store(true)
	whole := orderly.Target{Topic: topic, Partitions: []int32{0}, Reason: "all of it"}
	paused(a.Pause(patient(t), whole))
	paused(a.Resume(patient(t), key("bad")))
	b.Produce(topic, keyed(2, "c")...)
	b.Eventually("the partition to name its pause", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Reasons) == 1 && p.Reasons[0] == "paused"
	})
	book.require(t, b, 14)
	paused(a.Resume(patient(t), whole))
	book.require(t, b, 18)
	caughtUp(t, b, m, topic, 0)
	stopAll(t, m)
}

// At a cap a blocked key cannot be parked by word: the answer says why, and it stays blocked.
func TestEffectsParkByWordAtACap(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	g := commanded(t, b, topic, book, &mended, func(c *orderly.ConsumerConfig) {
		c.OnExhausted, c.Parking.Caps = orderly.PolicyBlock, orderly.ParkingCaps{KeysPerPartition: 1}
		c.Effects = book.failing(func(*orderly.Message) error { return errBusy }, &mended)
	})
	b.Produce(topic, keyed(1, "a", "b")...)
	m := g.Start()
	b.Eventually("both keys to block", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.BlockedStates["exhausted"] == 2
	})
	a := admin(t, b, g)
	ans, err := a.Park(patient(t), orderly.Command{Topic: topic, Key: []byte("a"), Reason: "broken"})
	answered(t, ans, err, "done", "its key is parked")
	ans, err = a.Park(patient(t), orderly.Command{Topic: topic, Key: []byte("b"), Offset: 1, Reason: "broken"})
	answered(t, ans, err, "refused", "it cannot be parked: 1 keys of the partition are parked, which is the cap")
	parkedRecords(t, b, m, topic, 1, 1)
	mended.Store(true)
	for i, key := range []string{"a", "b"} {
		ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte(key), Offset: int64(i)})
		answered(t, ans, err, "done", "")
	}
	book.require(t, b, 2)
	stopAll(t, m)
}
