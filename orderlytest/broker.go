package orderlytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/embedded"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Patience is how long a Broker's methods wait for something before they fail
// the test.
const Patience = 60 * time.Second

// partitions of the topics that NewBroker makes.
const partitions = 4

// A Broker is a Kafka cluster for a test.
type Broker struct {
	t     testing.TB
	addrs []string
	cl    *kgo.Client
	adm   *kadm.Client

	// writing is held while records are written and until they are in the
	// histories: a handler that is given one waits for that.
	writing sync.RWMutex

	mu     sync.Mutex
	groups []*Group
	log    []*kgo.Record
}

// NewBroker starts a broker in this process, in memory, with these topics of 4
// partitions each. It listens on a port of the loopback interface and ends with
// the test. Members may have short sessions.
func NewBroker(t testing.TB, topics ...string) *Broker {
	t.Helper()
	c, err := embedded.New(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...),
		kfake.GroupMinSessionTimeout(100*time.Millisecond),
		// Of groups whose partitions the broker assigns.
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.heartbeat.interval.ms": "100",
			"group.consumer.session.timeout.ms":    "3000",
		}))
	if err != nil {
		t.Fatalf("orderlytest: starting a broker: %v", err)
	}
	t.Cleanup(c.Close)
	return Dial(t, c.ListenAddrs()...)
}

// Dial uses a cluster that runs already. Nothing in it is removed at the end:
// topics and groups should have names of their own.
func Dial(t testing.TB, addrs ...string) *Broker {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.UnknownTopicRetries(20))
	if err != nil {
		t.Fatalf("orderlytest: %v", err)
	}
	t.Cleanup(cl.Close)
	return &Broker{t: t, addrs: addrs, cl: cl, adm: kadm.NewClient(cl)}
}

// partitioner puts a record where it says, and else where its key belongs.
type partitioner struct{ byKey kgo.Partitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return &topicPartitioner{p.byKey.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

func (p *topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

// Addrs are the brokers' addresses.
func (b *Broker) Addrs() []string { return slices.Clone(b.addrs) }

// Client is a client of the cluster, for what Broker has no method for. Records
// that it writes are unknown to RequireOrdered unless Log names them.
func (b *Broker) Client() *kgo.Client { return b.cl }

// Admin is a client for topics, groups and offsets.
func (b *Broker) Admin() *kadm.Client { return b.adm }

// ctx ends with Broker's patience.
func (b *Broker) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Patience)
}

// CreateTopic makes a topic; configs are pairs of name and value. It returns when
// every broker knows the topic, and who leads its partitions.
func (b *Broker) CreateTopic(name string, partitions int32, configs ...string) {
	b.t.Helper()
	ctx, cancel := b.ctx()
	defer cancel()
	m := make(map[string]*string)
	for i := 0; i+1 < len(configs); i += 2 {
		m[configs[i]] = &configs[i+1]
	}
	if _, err := b.adm.CreateTopic(ctx, partitions, -1, m, name); err != nil {
		b.t.Fatalf("orderlytest: creating topic %s: %v", name, err)
	}
	b.Eventually("topic "+name+" is known", func() bool { return b.known(name, int(partitions)) })
}

// GrowTopic gives a topic more partitions, and returns when every broker knows them.
func (b *Broker) GrowTopic(name string, partitions int32) {
	b.t.Helper()
	ctx, cancel := b.ctx()
	defer cancel()
	resp, err := b.adm.UpdatePartitions(ctx, int(partitions), name)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		b.t.Fatalf("orderlytest: growing topic %s: %v", name, err)
	}
	b.Eventually("topic "+name+" has grown", func() bool { return b.known(name, int(partitions)) })
}

// known says whether every broker that is up knows the topic with that many
// partitions: a client may ask any of them, and one that has not heard of it yet
// says that there is none.
func (b *Broker) known(topic string, partitions int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	brokers, err := b.adm.ListBrokers(ctx)
	if err != nil {
		return false
	}
	for _, id := range brokers.NodeIDs() {
		req := kmsg.NewPtrMetadataRequest()
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
		resp, err := req.RequestWith(ctx, b.cl.Broker(int(id)))
		if err != nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 || len(resp.Topics[0].Partitions) != partitions {
			return false
		}
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
	}
	return len(brokers) > 0
}

// DeleteTopic removes a topic, and returns when no broker has any of it: until then
// one may acknowledge records that go with it.
func (b *Broker) DeleteTopic(name string) {
	b.t.Helper()
	ctx, cancel := b.ctx()
	defer cancel()
	was, err := b.adm.ListTopics(ctx, name)
	if err == nil {
		_, err = b.adm.DeleteTopic(ctx, name)
	}
	if err != nil {
		b.t.Fatalf("orderlytest: deleting topic %s: %v", name, err)
	}
	b.Eventually("topic "+name+" is gone", func() bool { return b.gone(name, was[name].Partitions.Numbers()) })
	b.cl.PurgeTopicsFromProducing(name)
}

// gone says whether no broker that is up has one of the topic's partitions.
func (b *Broker) gone(topic string, partitions []int32) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	brokers, err := b.adm.ListBrokers(ctx)
	if err != nil {
		return false
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, n := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.Timestamp = n, -1, -1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	for _, id := range brokers.NodeIDs() {
		resp, err := req.RequestWith(ctx, b.cl.Broker(int(id)))
		if err != nil || len(resp.Topics) != 1 {
			return false
		}
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
				return false
			}
		}
	}
	return len(brokers) > 0
}

// Produce writes records to the topic, in their order, and returns when they are
// there. Where Record.Partition does not say otherwise, the key does.
func (b *Broker) Produce(topic string, recs ...Record) {
	b.t.Helper()
	out := make([]*kgo.Record, len(recs))
	for i, r := range recs {
		out[i] = r.kafka(topic)
	}
	ctx, cancel := b.ctx()
	defer cancel()
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.cl.ProduceSync(ctx, out...).FirstErr(); err != nil {
		b.t.Fatalf("orderlytest: writing to topic %s: %v", topic, err)
	}
	b.Log(out...)
}

// Log names records that somebody else has written and that groups are to
// handle, to be judged by RequireOrdered: all of a partition, in offset order,
// before a member runs.
func (b *Broker) Log(recs ...*kgo.Record) {
	recs = slices.Clone(recs)
	slices.SortStableFunc(recs, func(x, y *kgo.Record) int {
		if c := strings.Compare(x.Topic, y.Topic); c != 0 {
			return c
		}
		if x.Partition != y.Partition {
			return int(x.Partition - y.Partition)
		}
		return int(x.Offset - y.Offset)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, recs...)
	for _, g := range b.groups {
		g.log(recs...)
	}
}

// End is the offset behind a partition's last record.
func (b *Broker) End(topic string, partition int32) int64 {
	b.t.Helper()
	ctx, cancel := b.ctx()
	defer cancel()
	ends, err := b.adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	l, ok := ends.Lookup(topic, partition)
	if err != nil || !ok {
		b.t.Fatalf("orderlytest: end offset of %s/%d: known %v, %v", topic, partition, ok, err)
	}
	return l.Offset
}

// Eventually waits until the condition holds, and fails the test when it does not
// within Patience: what it then prints is what was waited for, and the state of
// all members.
func (b *Broker) Eventually(what string, condition func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(Patience)
	for !condition() {
		if time.Now().After(deadline) {
			b.t.Fatalf("orderlytest: waited %s for: %s\n%s", Patience, what, b.dump())
		}
		pause(2 * time.Millisecond)
	}
}

func (b *Broker) dump() string {
	b.mu.Lock()
	groups := slices.Clone(b.groups)
	b.mu.Unlock()
	var s strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&s, "group %s: %d records not done\n", g.cfg.Group, g.j.left())
		for _, m := range g.Members() {
			fmt.Fprintf(&s, "member %s: %s, %+v\n", m.name, m.phase(), m.c.State())
		}
	}
	return s.String()
}
