package orderly_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Whatever the brokers say to the write of a dead letter, its key waits in a named
// state, no later record of it runs, other keys run, and it goes on when the
// write works again. Under stop Run ends instead, with the cause.
func TestRowDeadLetterWriteRefused(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas, kerr.UnknownTopicOrPartition,
		kerr.MessageTooLarge, kerr.InvalidRecord, kerr.PolicyViolation, kerr.UnknownServerError,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c := fake(t)
			b := orderlytest.Dial(t, c.ListenAddrs()...)
			topic := newTopic(t, b, 1)
			dlt, id := deadLetterTopic(t, b, topic)
			var refuse atomic.Bool
			refuse.Store(true)
			c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				r := req.(*kmsg.ProduceRequest)
				if len(r.Topics) == 0 || r.Topics[0].Topic != dlt && r.Topics[0].TopicID != id || !refuse.Load() {
					return nil, nil, false
				}
				resp := req.ResponseKind().(*kmsg.ProduceResponse)
				rt := kmsg.NewProduceResponseTopic()
				rt.Topic, rt.TopicID = r.Topics[0].Topic, r.Topics[0].TopicID
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = r.Topics[0].Partitions[0].Partition, e.Code
				rt.Partitions = append(rt.Partitions, rp)
				resp.Topics = append(resp.Topics, rt)
				return resp, nil, true
			})
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter,
				Retry: orderly.Retry{MaxAttempts: 3},
				Handler: func(_ context.Context, m *orderly.Message) error {
					if string(m.Value) == "poison" {
						return orderly.Permanent(errBusy)
					}
					return nil
				}}
			g := b.Group(cfg)
			b.Produce(topic, append(msgs("bad:0", "bad:1", "bad:poison", "bad:2"), keyed(3, "good")...)...)
			m := g.Start()
			b.Eventually("other keys to be done, and the state of the key", func() bool {
				p, _ := stateOf(m, topic, 0)
				return g.Left() == 2 && len(p.Oldest) == 1 && strings.HasPrefix(p.Oldest[0].State, "dead-letter-") && p.Committed == 2
			})
			refuse.Store(false)
			g.WaitDone()
			committed(t, b, m, topic, 0, 7)
			g.RequireComplete(t)
			if l := readAll(t, b, dlt, 1); string(l[0].Value) != "poison" {
				t.Errorf("%s", l[0].Value)
			}
		})
	}
}

// A backoff longer than the session rebalances nothing: members are members by
// their heartbeats.
func TestBackoffLongerThanTheSession(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	var attempts atomic.Int64
	var assigned seen[orderly.AssignedEvent]
	var lost seen[orderly.LostEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: 3 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		Events: orderly.Events{Assigned: assigned.add, Lost: lost.add}, Retry: orderly.Retry{MaxBackoff: time.Hour},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 0 && attempts.Add(1) == 1 {
				return orderly.RetryAfter(errBusy, 5*time.Second)
			}
			return nil
		}})
	b.Produce(topic, keyed(3, "a", "b")...)
	m := g.Start()
	g.WaitDone()
	committed(t, b, m, topic, 0, 6)
	g.RequireComplete(t)
	if attempts.Load() != 2 || assigned.len() != 1 || lost.len() != 0 {
		t.Errorf("%d attempts, assigned %v, lost %v", attempts.Load(), assigned.get(), lost.get())
	}
}

// deadLetterTopic makes a topic's dead-letter topic, and returns its name and id.
func deadLetterTopic(t *testing.T, b *orderlytest.Broker, topic string) (dlt string, id [16]byte) {
	t.Helper()
	dlt = topic + "-dlt"
	b.CreateTopic(dlt, 1)
	md, err := b.Admin().Metadata(t.Context(), dlt)
	if err != nil {
		t.Fatal(err)
	}
	return dlt, md.Topics[dlt].ID
}
