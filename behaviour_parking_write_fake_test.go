package orderly_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Under OnWriteFailure stop Run ends when the parking topic has not taken a record for
// Retry.MaxAttempts tries: each is told, nothing is passed, and the error names both
// causes. The next member begins at the record.
func TestParkingWriteFailsAndStops(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	cs := &calls{bad: badKey("bad")}
	var failed seen[orderly.WriteFailedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnWriteFailure: orderly.PolicyStop, Handler: cs.handle, Breaker: orderly.Breaker{Disabled: true},
		Retry: orderly.Retry{MaxAttempts: 3, Backoff: time.Millisecond, MaxBackoff: time.Millisecond}, Events: orderly.Events{WriteFailed: failed.add}})
	b.Produce(topic, keyed(1, "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	name := parkingTopic(t, g, topic)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: name, Err: kerr.TopicAuthorizationFailed, Count: 1 << 30})
	b.Produce(topic, keyed(2, "bad", "good")...)
	err := m.Wait()
	var stop *orderly.StopError
	if !errors.As(err, &stop) || stop.Offset != 1 || string(stop.Key) != "bad" || stop.Attempts != 3 || !errors.Is(err, errBusy) ||
		!errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), name) {
		t.Fatalf("Run: %v", err)
	}
	es := failed.get()
	if len(es) != 3 || es[0].Writes != 1 || es[0].GaveUp || es[0].Next <= 0 || !es[2].GaveUp || es[2].Next != 0 || es[2].Writes != 3 || es[0].ParkingTopic != name || es[0].DeadLetterTopic != "" || es[0].Offset != 1 {
		t.Errorf("%+v", es)
	}
	fault.Remove()
	m = g.Start()
	committed(t, b, m, topic, 0, 5)
	parkedRecords(t, b, m, topic, 1, 2)
	stopAll(t, m)
}

// A record that is too large for the parking topic stops Run under OnWriteFailure stop;
// a cap does not: its key blocks.
func TestParkingTooLargeStops(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	cs := &calls{bad: func(m *orderly.Message) error {
		if strings.HasPrefix(string(m.Key), "bad") {
			return orderly.Permanent(errBusy)
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnWriteFailure: orderly.PolicyStop, Handler: cs.handle,
		Parking: orderly.Parking{Caps: orderly.ParkingCaps{KeysPerPartition: 1}}})
	b.CreateTopic(parkingTopic(t, g, topic), 1, "max.message.bytes", "20000", "retention.ms", "-1")
	b.Produce(topic, orderlytest.Msg("bad", "0"))
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 1)
	b.Produce(topic, orderlytest.Msg("bad2", "0"))
	b.Eventually("the second key to block at the cap", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Parking.Keys == 1 && len(p.Oldest) == 1 && p.Oldest[0].State == "parking-refused"
	})
	b.Produce(topic, orderlytest.Msg("good", "0"))
	b.Eventually("others to go on", func() bool { return len(cs.of("good")) == 1 })
	stopAll(t, m)

	topic = newTopic(t, b, 1)
	g = b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnWriteFailure: orderly.PolicyStop, Handler: cs.handle})
	b.CreateTopic(parkingTopic(t, g, topic), 1, "max.message.bytes", "20000", "retention.ms", "-1")
	b.Produce(topic, orderlytest.Msg("bad", strings.Repeat("x", 30_000)))
	m = g.Start()
	err := m.Wait()
	var stop *orderly.StopError
	if !errors.As(err, &stop) || stop.Offset != 0 || !strings.Contains(err.Error(), "too large") || !errors.Is(err, errBusy) {
		t.Errorf("Run: %v", err)
	}
}

// When a parked key is tried next is told by the schedule of the group, and not by the
// default one.
func TestParkedKeySaysWhenItIsTriedNext(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	cs := &calls{bad: badKey("bad")}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: cs.handle, Retry: orderly.Retry{MaxAttempts: 1},
		Parking: orderly.Parking{First: 2 * time.Hour, Longest: 4 * time.Hour}})
	b.Produce(topic, keyed(1, "bad")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 1)
	keys, err := admin(t, b, g).ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%+v, %v", keys, err)
	}
	if next := keys[0].Next.Sub(keys[0].Since); next < 2*time.Hour || next > 2*time.Hour+time.Minute {
		t.Errorf("it is tried %s after its failure", next)
	}
	if p, _ := stateOf(m, topic, 0); !p.Parking.Oldest.Equal(keys[0].Since) {
		t.Errorf("oldest %s, parked since %s", p.Parking.Oldest, keys[0].Since)
	}
	stopAll(t, m)
}
