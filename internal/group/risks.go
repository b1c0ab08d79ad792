package group

import (
	"context"
	"time"

	"github.com/orderly-go/orderly/internal/rules"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fewest is the smallest number of replicas of a partition.
func fewest(partitions []kmsg.MetadataResponseTopicPartition) (n int) {
	for i, p := range partitions {
		if i == 0 || len(p.Replicas) < n {
			n = len(p.Replicas)
		}
	}
	return n
}

// riskTimeout bounds the question: nothing depends on its answer.
const riskTimeout = 2 * time.Second

// tellRisks says what of the topics' settings can lose acknowledged records. Who may
// not read them is told of the replicas only, which the metadata have.
func (s *Session) tellRisks(ctx context.Context, cl *kgo.Client, topics map[string]topicInfo) {
	if s.cfg.Risks == nil {
		return
	}
	found := make(map[string]rules.Topic, len(topics))
	req := kmsg.NewPtrDescribeConfigsRequest()
	for name, t := range topics {
		found[name] = rules.Topic{Replicas: t.replicas}
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, name, rules.TopicConfigs
		req.Resources = append(req.Resources, r)
	}
	ctx, cancel := context.WithTimeout(ctx, riskTimeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		s.cfg.Logger.Debug("orderly: the topics' settings cannot be read", "group", s.cfg.Group, "error", err)
	} else {
		for _, r := range resp.Resources {
			t := found[r.ResourceName]
			for _, c := range r.Configs {
				if c.Value != nil {
					t.Set(c.Name, *c.Value)
				}
			}
			found[r.ResourceName] = t
		}
	}
	for name, t := range topics {
		s.cfg.Risks(name, found[name], t.brokers)
	}
}
