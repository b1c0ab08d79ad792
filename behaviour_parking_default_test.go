package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Trims are worth their writes from fewer entries on in all tests of this package.
func init() { parked.TrimAbove = 200 }

// In key scope a record that cannot go on is parked; a whole partition blocks.
func TestDefaultPolicies(t *testing.T) {
	t.Parallel()
	b := engine(t)
	for _, scope := range []orderly.Scope{orderly.ScopeKey, orderly.ScopePartition} {
		topic := newTopic(t, b, 1)
		c := &calls{bad: alwaysBad}
		g := b.Group(orderly.ConsumerConfig{Group: topic, Topics: []string{topic}, Scope: scope, Handler: c.handle})
		b.Produce(topic, keyed(1, "bad", "good")...)
		m := g.Start()
		if scope == orderly.ScopeKey {
			committed(t, b, m, topic, 0, 2)
			parkedRecords(t, b, m, topic, 1, 1)
		} else {
			b.Eventually("the partition to block", func() bool {
				p, _ := stateOf(m, topic, 0)
				return len(p.Oldest) == 1 && p.Oldest[0].State == "permanent" && p.Parking.Topic == ""
			})
		}
		stopAll(t, m)
	}
}

// A parking topic that is there, and that may not be written to, is found out at the
// start, and not when the first record fails.
func TestParkPolicyRefusedWithoutRights(t *testing.T) {
	t.Parallel()
	allow := func(res kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: res, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	const parkingTopic = "orderly-parked.billing.orders"
	c := fake(t, kfake.SeedTopics(1, "orders", parkingTopic), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.User("PLAIN", "reader", "pw", allow(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationRead), allow(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationDescribeConfigs),
			allow(kmsg.ACLResourceTypeGroup, "billing", kmsg.ACLOperationRead), allow(kmsg.ACLResourceTypeTopic, parkingTopic, kmsg.ACLOperationRead)))
	cons, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: c.ListenAddrs(), Group: "billing", Topics: []string{"orders"}, Handler: nothing,
		KafkaOpts: []kgo.Opt{kgo.SASL(plain.Auth{User: "reader", Pass: "pw"}.AsMechanism())}})
	if err != nil {
		t.Fatal(err)
	}
	err = cons.Run(patient(t))
	var refused *orderly.ParkingTopicError
	if !errors.As(err, &refused) || !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "may not be used for WRITE:") || !strings.Contains(err.Error(), "PolicyBlock") {
		t.Fatalf("Run: %v", err)
	}
}

// Members with different policies: each does what its own says, and one warning names it.
func TestMixedPoliciesAreNamed(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	var warnings seen[orderly.WarningEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: nothing, Events: orderly.Events{Warning: warnings.add}})
	mixed := func() int {
		return len(slices.DeleteFunc(warnings.get(), func(e orderly.WarningEvent) bool { return e.Code != "mixed-policies" }))
	}
	ready := func(m *orderlytest.Member) {
		b.Eventually("all partitions to run", func() bool {
			ps := m.Consumer().State().Partitions
			return len(ps) == 4 && !slices.ContainsFunc(ps, func(p orderly.PartitionState) bool { return len(p.Reasons) > 0 })
		})
		stopAll(t, m)
	}
	ready(g.Start())
	ready(g.Start())
	if n := mixed(); n != 0 {
		t.Errorf("%d warnings about members that agree", n)
	}
	ready(g.Start(func(cfg *orderly.ConsumerConfig) { cfg.OnExhausted = orderly.PolicySkip }))
	if n := mixed(); n != 1 {
		t.Errorf("%d warnings about members with different policies, want one for all partitions", n)
	}
}

// What stood in the parking topic before the group took it into use does not count, and
// is not shown, also where it may not be deleted.
func TestParkedKeysBeginAtTheTrim(t *testing.T) {
	t.Parallel()
	fk := fake(t)
	fk.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	b := orderlytest.Dial(t, fk.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	c := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyBlock, Handler: c.handle})
	b.Produce(topic, keyed(1, "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	stopAll(t, m)
	name := parkingTopic(t, g, topic)
	b.CreateTopic(name, 1)
	for _, e := range []*parking.Entry{
		{Kind: parking.KindMarker, Token: 1, Seq: 1, Marker: &parking.MarkerBody{Owner: "an owner of another time"}},
		{Kind: parking.KindParked, Token: 1, Seq: 2, Key: []byte("old"), Offset: 0, Parked: &parking.ParkedBody{Record: parking.Record{Key: []byte("old")}, Topic: topic}},
	} {
		raw, err := parking.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: name, Key: raw.Key, Value: raw.Value}
		for _, h := range raw.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		if err := b.Client().ProduceSync(patient(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	m = g.Start(func(cfg *orderly.ConsumerConfig) { cfg.OnExhausted = orderly.PolicyPark })
	b.Produce(topic, keyed(1, "bad")...)
	committed(t, b, m, topic, 0, 2)
	keys, err := admin(t, b, g).ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 1 || string(keys[0].Key) != "bad" {
		t.Errorf("%+v, %v", keys, err)
	}
	stopAll(t, m)
}

// A parking partition without a leader holds its own partition at the assignment, by
// name; the others run.
func TestLeaderlessParkingPartition(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 2)
	cs := &calls{}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: cs.handle})
	name := parkingTopic(t, g, topic)
	both := func(value string) {
		b.Produce(topic, orderlytest.Msg("zero", value).Partition(0), orderlytest.Msg("one", value).Partition(1))
	}
	both("0")
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	committed(t, b, m, topic, 1, 1)
	stopAll(t, m)
	var faults []*kfake.FaultHandle
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets} {
		faults = append(faults, c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: name, Partitions: []int32{0}, Err: kerr.NotLeaderForPartition, Count: -1}))
	}
	both("1")
	m = g.Start()
	committed(t, b, m, topic, 1, 2)
	b.Eventually("the other partition to wait by name", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Contains(p.Reasons, "parking-unreadable") && strings.Contains(p.Parking.Cause, "NOT_LEADER")
	})
	if got := cs.of("zero"); len(got) != 1 {
		t.Errorf("handled before the parking topic was read: %v", got)
	}
	for _, f := range faults {
		f.Remove()
	}
	committed(t, b, m, topic, 0, 2)
	stopAll(t, m)
}

// A parking topic that is made again while a member holds the partitions: the one with
// parked records waits by name, the other one goes on, and parks in the new topic.
func TestParkingTopicMadeAgainWhileOwned(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	c := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle, KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)}})
	b.Produce(topic, orderlytest.Msg("bad", "0").Partition(0), orderlytest.Msg("good", "0").Partition(1))
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	committed(t, b, m, topic, 1, 1)
	b.DeleteTopic(parkingTopic(t, g, topic))
	b.Eventually("the partition to wait by name", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Contains(p.Reasons, "parking-mismatch") && strings.Contains(p.Parking.Cause, "parked in it")
	})
	b.Produce(topic, orderlytest.Msg("good", "1").Partition(0), orderlytest.Msg("bad", "1").Partition(1), orderlytest.Msg("good", "2").Partition(1))
	committed(t, b, m, topic, 1, 3)
	b.Eventually("the record to be parked in the new topic", func() bool {
		p, _ := stateOf(m, topic, 1)
		return p.Parking.Records == 1
	})
	if p, _ := stateOf(m, topic, 0); p.Committed != 1 || slices.Contains(c.of("good"), "1") {
		t.Errorf("committed %d, good %v", p.Committed, c.of("good"))
	}
	stopAll(t, m)
}

// A release ends although records of the key keep coming, and faster than it can park
// them: from some point on they wait in memory behind it.
func TestReleaseOfAHotKey(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle})
	n := 2000
	b.Produce(topic, keyed(n, "bad")...)
	m := g.Start()
	committed(t, b, m, topic, 0, int64(n))
	ctx, stop := context.WithCancel(patient(t))
	over := make(chan int)
	go func() {
		at := n
		for ; ctx.Err() == nil; at += 20 {
			var rs []*kgo.Record
			for i := range 20 {
				rs = append(rs, &kgo.Record{Topic: topic, Key: []byte("bad"), Value: fmt.Append(nil, at+i)})
			}
			if err := b.Client().ProduceSync(context.Background(), rs...).FirstErr(); err != nil {
				t.Error(err)
				break
			}
		}
		over <- at
	}()
	c.mended.Store(true)
	ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
	if err != nil || ans.Result != "released" {
		t.Errorf("%+v, %v", ans, err)
	}
	parkedRecords(t, b, m, topic, 0, 0)
	stop()
	n = <-over
	committed(t, b, m, topic, 0, int64(n))
	if got := c.of("bad"); !slices.Equal(got, numbers(0, n)) {
		t.Errorf("%d of %d records, or not in order", len(got), n)
	}
	stopAll(t, m)
}

// What is parked outlasts the trims of its topic, and an owner that comes after them
// knows the same.
func TestParkedThroughTrims(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: func(m *orderly.Message) error {
		switch {
		case string(m.Key) == "bad":
			return orderly.Permanent(errBusy)
		case m.Attempt == 1:
			return errBusy
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 1}, Breaker: orderly.Breaker{Disabled: true}, Handler: c.handle,
		Parking: orderly.Parking{First: time.Millisecond, Longest: time.Millisecond}})
	name := parkingTopic(t, g, topic)
	m := g.Start()
	b.Produce(topic, keyed(3, "bad")...)
	trimmed := func() bool {
		starts, err := b.Admin().ListStartOffsets(patient(t), name)
		o, ok := starts.Lookup(name, 0)
		return err == nil && ok && o.Offset > 0
	}
	produced := 3
	for round := 0; !trimmed(); round++ {
		keys := names("k", 50)
		b.Produce(topic, keyed(1, keys...)...)
		produced += len(keys)
		b.Eventually("all but the bad key to be released", func() bool {
			p, _ := stateOf(m, topic, 0)
			return p.Committed == int64(produced) && p.Parking.Records == 3
		})
		if round == 100 {
			t.Fatal("after 5,000 releases the topic was not trimmed")
		}
	}
	stopAll(t, m)
	m = g.Start()
	parkedRecords(t, b, m, topic, 1, 3)
	keys, err := admin(t, b, g).ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 1 || string(keys[0].Key) != "bad" || keys[0].Records != 3 {
		t.Errorf("%+v, %v", keys, err)
	}
	c.mended.Store(true)
	if ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")}); err != nil || ans.Result != "released" {
		t.Errorf("%+v, %v", ans, err)
	}
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("bad: %v", got)
	}
	g.RequireOrdered(t)
	stopAll(t, m)
}
