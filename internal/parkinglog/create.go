package parkinglog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ours is what an entry may add to a source record.
const ours = 1 << 20

// A Plan is what a parking topic is to be, and what is to be done for that.
type Plan struct {
	Topic      string
	Create     bool
	Partitions int // at least as many as the source topic has
	Grow       bool
	Replicas   int
	Configs    map[string]string
}

// A Topic is what a broker says of a topic.
type Topic struct {
	Exists     bool
	ID         [16]byte
	Partitions int
	Replicas   int // of the partition that has the most
}

// Find asks a broker for a topic: what the client knows may be seconds old.
func Find(ctx context.Context, cl *kgo.Client, topic string) (Topic, error) {
	resp, err := metadata(ctx, cl, topic)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return Topic{}, nil
	case err != nil:
		return Topic{}, fmt.Errorf("looking for topic %s: %w", topic, err)
	}
	found := Topic{Exists: true, ID: resp.TopicID, Partitions: len(resp.Partitions)}
	for _, p := range resp.Partitions {
		found.Replicas = max(found.Replicas, len(p.Replicas))
	}
	return found, nil
}

func metadata(ctx context.Context, cl *kgo.Client, topic string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil && len(resp.Topics) != 1 {
		err = errors.New("the broker's answer does not name it")
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	return &resp.Topics[0], nil
}

// Allowed reports that a topic may be read and written, as far as the brokers say what
// is allowed. It says nothing of one that is not there.
func Allowed(ctx context.Context, cl *kgo.Client, topic string) error {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	req.IncludeTopicAuthorizedOperations = true
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		return err
	}
	const unknown = math.MinInt32 // of brokers that do not say
	ops := resp.Topics[0].AuthorizedOperations
	var missing []string
	for _, op := range []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite} {
		if ops != unknown && ops&(1<<op) == 0 {
			missing = append(missing, op.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("parking topic %s: it may not be used for %s: %w", topic, strings.Join(missing, " and "), kerr.TopicAuthorizationFailed)
	}
	return nil
}

// Make compares the parking topic with its source topic. It changes nothing.
func Make(ctx context.Context, cl *kgo.Client, source, topic string) (Plan, error) {
	from, err := Find(ctx, cl, source)
	if err == nil && !from.Exists {
		err = errors.New("it does not exist")
	}
	if err != nil {
		return Plan{}, fmt.Errorf("parking topic %s: its source topic %s: %w", topic, source, err)
	}
	to, err := Find(ctx, cl, topic)
	if err != nil {
		return Plan{}, fmt.Errorf("parking topic %s: %w", topic, err)
	}
	p := Plan{Topic: topic, Create: !to.Exists, Partitions: max(from.Partitions, to.Partitions), Replicas: from.Replicas}
	if to.Exists {
		p.Grow = to.Partitions < from.Partitions
		return p, nil
	}
	p.Configs = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
	all, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, source)
	if err != nil {
		return Plan{}, fmt.Errorf("parking topic %s: the configuration of its source topic: %w", topic, err)
	}
	of, err := all.On(source, nil)
	if err = errors.Join(err, of.Err); err != nil {
		return Plan{}, fmt.Errorf("parking topic %s: the configuration of its source topic: %w", topic, err)
	}
	for _, c := range of.Configs {
		switch {
		case c.Value == nil:
		case c.Key == "min.insync.replicas":
			p.Configs[c.Key] = *c.Value
		case c.Key == "max.message.bytes":
			if n, err := strconv.ParseInt(*c.Value, 10, 32); err == nil {
				p.Configs[c.Key] = strconv.FormatInt(min(n+ours, 1<<31-1), 10)
			}
		}
	}
	return p, nil
}

// Carry out what the plan says. That another has done it meanwhile is no error.
func (p Plan) Carry(ctx context.Context, cl *kgo.Client) error {
	adm := kadm.NewClient(cl)
	if p.Create {
		configs := make(map[string]*string, len(p.Configs))
		for k, v := range p.Configs {
			configs[k] = &v
		}
		resp, err := adm.CreateTopic(ctx, int32(p.Partitions), int16(p.Replicas), configs, p.Topic)
		if err = errors.Join(err, resp.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("creating the parking topic %s with %d partitions, %d replicas and %v: %w", p.Topic, p.Partitions, p.Replicas, p.Configs, err)
		}
	}
	if p.Grow {
		resp, err := adm.UpdatePartitions(ctx, p.Partitions, p.Topic)
		if err == nil {
			err = resp.Error()
		}
		if err != nil && !errors.Is(err, kerr.InvalidPartitions) {
			return fmt.Errorf("growing the parking topic %s to %d partitions: %w", p.Topic, p.Partitions, err)
		}
	}
	return nil
}
