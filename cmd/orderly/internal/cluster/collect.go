// Package cluster looks at a cluster from outside, and changes nothing: settings of
// brokers and topics, replicas, features, groups and their lag, producers and open
// transactions. What a user may not see is told, with the rules that need it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options say what is looked at.
type Options struct {
	Topics []string // none: all that this user may see, without Kafka's own
	Groups []string // none: all
	Now    time.Time
	Window time.Duration // a producer that wrote within it is active
}

// Facts are what the cluster said.
type Facts struct {
	Now       time.Time
	Window    time.Duration
	Named     bool // topics were named: they are the ones that need order
	Embedded  bool // it is the embedded broker of orderly
	Brokers   []Broker
	Topics    []Topic
	Groups    []Group
	Producers []Producer
	Features  map[string]Feature

	failed map[string]error // by API
}

// A Broker and its settings.
type Broker struct {
	ID       int32
	Version  string // a guess
	Settings map[string]Setting
}

// A Setting of a broker or topic.
type Setting struct {
	Value   string
	Default bool // Kafka's own
	File    bool // it comes from the broker's file, or its own dynamic setting
	Wide    bool // it is set for the whole cluster
}

// A Feature of the cluster.
type Feature struct{ Level, Most int16 }

// A Topic and its partitions.
type Topic struct {
	Name       string
	Internal   bool
	Settings   map[string]Setting
	Partitions []Partition
}

// A Partition of a topic.
type Partition struct {
	ID, Leader             int32
	Replicas, ISR, Offline []int32
	ELR                    []int32
	Start, Stable, End     int64
	listed                 bool // the offsets are known
}

// A Group and how far it is.
type Group struct {
	Name, Type, State, Assignor string
	Members                     []Member
	Commits                     []Commit
}

// A Member of a group.
type Member struct {
	ClientID, Host, InstanceID string
	Topics                     []string
}

// A Commit of a group.
type Commit struct {
	Topic     string
	Partition int32
	Offset    int64
	// Next is the time of the record at the offset; zero: not known.
	Next time.Time
}

// A Producer that a partition's leader keeps the state of.
type Producer struct {
	Topic     string
	Partition int32
	ID        int64
	Epoch     int16
	Last      time.Time
	TxnStart  int64 // offset of its open transaction; -1: none
}

// The APIs, as they are named where they fail.
const (
	apiConfigsBroker = "DescribeConfigs of brokers (DescribeConfigs on the cluster)"
	apiConfigsTopic  = "DescribeConfigs of topics (DescribeConfigs on the topic)"
	apiVersions      = "ApiVersions"
	apiELR           = "DescribeTopicPartitions (Kafka 3.7 and later; Describe on the topic)"
	apiOffsets       = "ListOffsets (Describe on the topic)"
	apiGroups        = "ListGroups (Describe on the cluster, or on groups)"
	apiDescribe      = "DescribeGroups (Describe on the group)"
	apiCommits       = "OffsetFetch (Describe on the group and the topic)"
	apiProducers     = "DescribeProducers (Read on the topic)"
	apiRecords       = "Fetch (Read on the topic)"
)

// Collect asks the cluster.
func Collect(ctx context.Context, cl *kgo.Client, o Options) (*Facts, error) {
	c := &collector{cl: cl, adm: kadm.NewClient(cl), o: o,
		f: &Facts{Now: o.Now, Window: o.Window, Named: len(o.Topics) > 0, Features: map[string]Feature{}, failed: map[string]error{}}}
	if err := c.topics(ctx); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context){c.versions, c.brokerSettings, c.topicSettings, c.eligible, c.offsets, c.producers, c.groups, c.commits, c.ages} {
		step(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return c.f, nil
}

type collector struct {
	cl  *kgo.Client
	adm *kadm.Client
	o   Options
	f   *Facts
}

// fail remembers the first error of an API.
func (c *collector) fail(api string, err error) {
	if err != nil && c.f.failed[api] == nil {
		c.f.failed[api] = err
	}
}

func (c *collector) names() (names []string) {
	for _, t := range c.f.Topics {
		names = append(names, t.Name)
	}
	return names
}

func (c *collector) topic(name string) *Topic {
	for i := range c.f.Topics {
		if c.f.Topics[i].Name == name {
			return &c.f.Topics[i]
		}
	}
	return nil
}

func (c *collector) partition(topic string, p int32) *Partition {
	if t := c.topic(topic); t != nil {
		for i := range t.Partitions {
			if t.Partitions[i].ID == p {
				return &t.Partitions[i]
			}
		}
	}
	return nil
}

// kafkasOwn are looked at whether topics are named or not: the state of groups and
// transactions is there.
var kafkasOwn = []string{"__consumer_offsets", "__transaction_state"}

func (c *collector) topics(ctx context.Context) error {
	md, err := c.adm.Metadata(ctx)
	if err != nil {
		return err
	}
	c.f.Embedded = localbroker.Is(md.Cluster)
	for _, b := range md.Brokers {
		c.f.Brokers = append(c.f.Brokers, Broker{ID: b.NodeID})
	}
	slices.SortFunc(c.f.Brokers, func(a, b Broker) int { return int(a.ID - b.ID) })
	for _, name := range c.o.Topics {
		if md.Topics[name].Topic == "" || md.Topics[name].Err != nil {
			err := md.Topics[name].Err
			if err == nil {
				err = kerr.UnknownTopicOrPartition
			}
			return &logread.TopicError{Topic: name, Err: err}
		}
	}
	for _, t := range md.Topics.Sorted() {
		own := slices.Contains(kafkasOwn, t.Topic)
		if t.Err != nil || !own && (t.IsInternal || len(c.o.Topics) > 0 && !slices.Contains(c.o.Topics, t.Topic)) {
			continue
		}
		out := Topic{Name: t.Topic, Internal: own}
		for _, p := range t.Partitions.Sorted() {
			out.Partitions = append(out.Partitions, Partition{ID: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR, Offline: p.OfflineReplicas})
		}
		c.f.Topics = append(c.f.Topics, out)
	}
	return nil
}

func (c *collector) versions(ctx context.Context) {
	all, err := c.adm.ApiVersions(ctx)
	if err != nil {
		c.fail(apiVersions, err)
		return
	}
	for i := range c.f.Brokers {
		v, ok := all[c.f.Brokers[i].ID]
		if !ok || v.Err != nil {
			c.fail(apiVersions, errors.Join(v.Err, fmt.Errorf("broker %d does not tell", c.f.Brokers[i].ID)))
			continue
		}
		if c.f.Brokers[i].Version = v.VersionGuess(); c.f.Embedded {
			c.f.Brokers[i].Version = embeddedVersion
		}
		raw := v.Raw()
		for _, s := range raw.SupportedFeatures {
			f := c.f.Features[s.Name]
			f.Most = max(f.Most, s.MaxVersion)
			c.f.Features[s.Name] = f
		}
		for _, s := range raw.FinalizedFeatures {
			f := c.f.Features[s.Name]
			f.Level = s.MaxVersionLevel
			c.f.Features[s.Name] = f
		}
	}
}

func setting(s kadm.Config) Setting {
	out := Setting{Value: s.MaybeValue(), Default: s.Source == kmsg.ConfigSourceDefaultConfig}
	for _, syn := range append(s.Synonyms, kadm.ConfigSynonym{Source: s.Source}) {
		switch syn.Source {
		case kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigSourceDynamicBrokerConfig:
			out.File = true
		case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
			out.Wide = true
		}
	}
	return out
}

func (c *collector) brokerSettings(ctx context.Context) {
	for i := range c.f.Brokers {
		b := &c.f.Brokers[i]
		rs, err := c.adm.DescribeBrokerConfigs(ctx, b.ID)
		for _, r := range rs {
			err = errors.Join(err, r.Err)
			for _, s := range r.Configs {
				if b.Settings == nil {
					b.Settings = map[string]Setting{}
				}
				if !s.Sensitive {
					b.Settings[s.Key] = setting(s)
				}
			}
		}
		c.fail(apiConfigsBroker, err)
	}
}

func (c *collector) topicSettings(ctx context.Context) {
	rs, err := c.adm.DescribeTopicConfigs(ctx, c.names()...)
	c.fail(apiConfigsTopic, err)
	for _, r := range rs {
		c.fail(apiConfigsTopic, r.Err)
		t := c.topic(r.Name)
		if t == nil || r.Err != nil {
			continue
		}
		t.Settings = map[string]Setting{}
		for _, s := range r.Configs {
			t.Settings[s.Key] = setting(s)
		}
	}
}

// eligible asks for replicas that may lead although they are not in sync.
func (c *collector) eligible(ctx context.Context) {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, name := range c.names() {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		req.Topics = append(req.Topics, t)
	}
	req.ResponsePartitionLimit = 2000
	for {
		resp, err := req.RequestWith(ctx, c.cl)
		if err != nil {
			c.fail(apiELR, err)
			return
		}
		for _, t := range resp.Topics {
			if t.Topic == nil {
				continue
			}
			for _, p := range t.Partitions {
				if to := c.partition(*t.Topic, p.Partition); to != nil {
					to.ELR = p.EligibleLeaderReplicas
				}
			}
		}
		if resp.NextCursor == nil {
			return
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		req.Cursor = &next
	}
}

func (c *collector) offsets(ctx context.Context) {
	for i, ask := range []func(context.Context, ...string) (kadm.ListedOffsets, error){c.adm.ListStartOffsets, c.adm.ListCommittedOffsets, c.adm.ListEndOffsets} {
		listed, err := ask(ctx, c.names()...)
		c.fail(apiOffsets, err)
		listed.Each(func(o kadm.ListedOffset) {
			c.fail(apiOffsets, o.Err)
			if p := c.partition(o.Topic, o.Partition); p != nil && o.Err == nil {
				*[]*int64{&p.Start, &p.Stable, &p.End}[i] = o.Offset
				p.listed = i == 2
			}
		})
	}
}

func (c *collector) producers(ctx context.Context) {
	set := kadm.TopicsSet{}
	for _, t := range c.f.Topics {
		if !t.Internal {
			set.Add(t.Name)
		}
	}
	if len(set) == 0 {
		return
	}
	all, err := c.adm.DescribeProducers(ctx, set)
	c.fail(apiProducers, err)
	all.EachPartition(func(p kadm.DescribedProducersPartition) {
		c.fail(apiProducers, p.Err)
		p.ActiveProducers.Each(func(a kadm.DescribedProducer) {
			c.f.Producers = append(c.f.Producers, Producer{p.Topic, p.Partition, a.ProducerID, a.ProducerEpoch, time.UnixMilli(a.LastTimestamp), a.CurrentTxnStartOffset})
		})
	})
}
