package orderly_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record that an operator skips is given up: its number is remembered as a gap of its
// own, what follows it is in its place, and no gap parks it. So it is where the record is
// blocked, where it is parked, and in a store also for the next owner.
func TestSequenceOfASkippedRecord(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"blocked", "parked", "blocked with effects", "parked with effects"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var mended atomic.Bool
			var events seen[orderly.SequenceEvent]
			bad := func(m *orderly.Message) error {
				if string(m.Value) == "bad" {
					return orderly.Permanent(errBusy)
				}
				return nil
			}
			c := &calls{bad: bad}
			g := commanded(t, b, topic, book, &mended, func(cfg *orderly.ConsumerConfig) {
				cfg.Sequence = orderly.SequenceGuard{Headers: true, OnGap: orderly.GapPark}
				cfg.Events.Sequence = events.add
				cfg.OnExhausted = orderly.PolicyBlock
				cfg.KafkaOpts = []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)}
				switch form {
				case "blocked":
					without(c.handle)(cfg)
				case "parked":
					without(c.handle)(cfg)
					cfg.OnExhausted = orderly.PolicyPark
				case "parked with effects":
					cfg.OnExhausted = orderly.PolicyPark
					fallthrough
				default:
					cfg.Effects = book.failing(bad, &mended)
				}
			})
			b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("k", "bad", "w", 1, 2), sequenced("g", "1", "w", 1, 1))
			m := g.Start()
			if strings.HasPrefix(form, "parked") {
				parkedRecords(t, b, m, topic, 1, 1)
			} else {
				blockedIn(t, b, m, topic, "permanent")
			}
			ans, err := admin(t, b, g).Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("k"), Offset: 1, Reason: "broken"})
			answered(t, ans, err, "done", "skipped")
			committed(t, b, m, topic, 0, 3)
			if strings.HasSuffix(form, "effects") { // the numbers outlive their owner
				stopAll(t, m)
				m = g.Start()
			}
			b.Produce(topic, sequenced("k", "3", "w", 1, 3), sequenced("k", "mended", "w", 1, 2))
			committed(t, b, m, topic, 0, 5)
			parkedRecords(t, b, m, topic, 0, 0)
			if got := found(&events); len(got) != 1 || got[0] != "4 late" {
				t.Errorf("found %v, want that the one that was skipped came late", got)
			}
			stopAll(t, m)
		})
	}
}

// The numbers of parked records are learned when they are released, with their effects: a
// duplicate that was parked behind its first is skipped then, and one that comes after the
// next owner began is known for what it is.
func TestSequenceOfReleasedRecords(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var mended atomic.Bool
	var events seen[orderly.SequenceEvent]
	g := commanded(t, b, topic, book, &mended, func(cfg *orderly.ConsumerConfig) {
		cfg.Sequence = orderly.SequenceGuard{Headers: true}
		cfg.Events.Sequence = events.add
		cfg.Effects = book.failing(badKey("k"), &mended)
	})
	b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("k", "2", "w", 1, 2), sequenced("k", "1 again", "w", 1, 1), sequenced("k", "4", "w", 1, 4))
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 4)
	stopAll(t, m)
	m = g.Start()
	mended.Store(true)
	ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("k")})
	answered(t, ans, err, "done", "released")
	book.require(t, b, 3)
	stopAll(t, m)
	m = g.Start()
	b.Produce(topic, sequenced("k", "2 again", "w", 1, 2), sequenced("k", "3", "w", 1, 3), sequenced("k", "5", "w", 1, 5))
	committed(t, b, m, topic, 0, 7)
	book.require(t, b, 5)
	if got, want := found(&events), []string{"2 duplicate", "3 gap 1", "4 duplicate", "5 late"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if n := book.Exceptions(); n != 0 {
		t.Errorf("%d exceptions are left", n)
	}
	stopAll(t, m)
}
