package orderly_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Without the right to make the parking topic the default policy is refused at the
// start, with what it needs and what to do instead.
func TestParkPolicyRefusedAtStart(t *testing.T) {
	t.Parallel()
	allow := func(res kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: res, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	c := fake(t, kfake.SeedTopics(1, "orders"), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.User("PLAIN", "reader", "pw", allow(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationRead), allow(kmsg.ACLResourceTypeGroup, "billing", kmsg.ACLOperationRead)))
	cons, err := orderly.NewConsumer(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Brokers: c.ListenAddrs(), Group: "billing", Topics: []string{"orders"}, Handler: nothing,
		KafkaOpts: []kgo.Opt{kgo.SASL(plain.Auth{User: "reader", Pass: "pw"}.AsMechanism())}})
	if err != nil {
		t.Fatal(err)
	}
	err = cons.Run(patient(t))
	var refused *orderly.ParkingTopicError
	if !errors.As(err, &refused) || refused.Topic != "orderly-parked.billing.orders" || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Fatalf("Run: %v", err)
	}
	for _, word := range []string{"Create", "Write", "PolicyBlock", "PolicyStop", "orderly setup --parking"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in %v", word, err)
		}
	}
}

// While the parking topic cannot be written to, the failed record is not passed and
// none of its key runs, while other keys do; when it can, all goes on in order.
func TestParkingWriteRefusedForAWhile(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	cs := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: cs.handle})
	b.Produce(topic, keyed(1, "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	name := parkingTopic(t, g, topic)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: name, Err: kerr.TopicAuthorizationFailed, Count: 1 << 30})
	b.Produce(topic, keyed(3, "bad", "other")...)
	b.Eventually("the key to say that it waits for the parking topic, and the other one to be done", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Parking.Cause != "" && len(p.Oldest) == 1 && p.Oldest[0].State == "parking-failing" && len(p.Reasons) == 0 && len(cs.of("other")) == 3
	})
	// For longer than any wait between two tries at first.
	b.Produce(topic, keyed(100, "other")...)
	b.Eventually("the other key to go on", func() bool { return len(cs.of("other")) == 103 })
	if p, _ := stateOf(m, topic, 0); p.Committed != 1 || p.Parking.Records != 0 {
		t.Errorf("committed %d, parked %d", p.Committed, p.Parking.Records)
	}
	fault.Remove()
	committed(t, b, m, topic, 0, 107)
	parkedRecords(t, b, m, topic, 1, 3)
	cs.mended.Store(true)
	if ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 1}); err != nil || ans.Result != "released" {
		t.Errorf("%+v, %v", ans, err)
	}
	if got := cs.of("bad"); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("bad: %v", got)
	}
	stopAll(t, m)
}

// A record that the parking topic does not take for its size blocks its key, by name.
func TestParkedRecordTooLarge(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	cs := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: cs.handle})
	b.CreateTopic(parkingTopic(t, g, topic), 1, "max.message.bytes", "20000", "retention.ms", "-1")
	b.Produce(topic, orderlytest.Msg("bad", strings.Repeat("x", 30_000)), orderlytest.Msg("bad", "1"), orderlytest.Msg("good", "0"))
	m := g.Start()
	b.Eventually("the key to block by name", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Oldest) == 1 && p.Oldest[0].State == "parking-refused" && strings.Contains(p.Oldest[0].Cause, "too large") && len(cs.of("good")) == 1
	})
	if p, _ := stateOf(m, topic, 0); p.Committed != 0 || p.Parking.Records != 0 {
		t.Errorf("%+v", p)
	}
	cs.mended.Store(true)
	committed(t, b, m, topic, 0, 3)
	if got := cs.of("bad"); len(got) != 2 || got[1] != "1" {
		t.Errorf("bad: %d records", len(got))
	}
	stopAll(t, m)
}

// An assignment of 500 partitions with empty parking topics reads nothing but markers,
// and takes not much longer than without.
func TestAssignmentOf500EmptyParkingTopics(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 500)
	for _, policy := range []orderly.Policy{orderly.PolicyBlock, orderly.PolicyPark, orderly.PolicyPark} {
		g := b.Group(orderly.ConsumerConfig{Group: fmt.Sprint(topic, policy), Topics: []string{topic}, OnExhausted: policy, Handler: nothing})
		began := time.Now()
		m := g.Start()
		b.Eventually("all partitions to be ready", func() bool {
			ps := m.Consumer().State().Partitions
			return len(ps) == 500 && !slices.ContainsFunc(ps, func(p orderly.PartitionState) bool { return len(p.Reasons) > 0 })
		})
		t.Logf("%s: %s", policy, time.Since(began))
		stopAll(t, m)
	}
}
