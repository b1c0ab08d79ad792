// Package setup makes the topics that a consumer needs beside the one that it
// reads. It is used by the consumer itself, where it may, and by `orderly setup`.
package setup

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A Topic is one that is there, or is to be made.
type Topic struct {
	Name       string
	Partitions int32
	Replicas   int16
	Configs    map[string]string
}

// headroom is what a record may grow by on its way into a companion topic: the
// headers that say where it came from and why.
const headroom = 64 << 10

// copied are the settings that a companion topic has from its source, where they
// are not the brokers' own.
const (
	minISR   = "min.insync.replicas"
	maxBytes = "max.message.bytes"
)

// Companion says how a topic beside source has to be: as many partitions and
// replicas, no fewer replicas in sync, and room for larger records.
func Companion(ctx context.Context, adm *kadm.Client, source, name string) (Topic, error) {
	md, err := adm.Metadata(ctx, source)
	if err != nil {
		return Topic{}, err
	}
	t := md.Topics[source]
	if t.Err != nil {
		return Topic{}, fmt.Errorf("topic %s: %w", source, t.Err)
	}
	c := Topic{Name: name, Partitions: int32(len(t.Partitions)), Replicas: int16(t.Partitions.NumReplicas()), Configs: map[string]string{}}
	all, err := adm.DescribeTopicConfigs(ctx, source)
	if err != nil {
		return Topic{}, fmt.Errorf("configuration of topic %s: %w", source, err)
	}
	for _, rc := range all {
		if rc.Err != nil {
			return Topic{}, fmt.Errorf("configuration of topic %s: %w", source, rc.Err)
		}
		for _, s := range rc.Configs {
			switch {
			case s.Value == nil:
			case s.Key == minISR:
				c.Configs[minISR] = *s.Value
			case s.Key == maxBytes:
				if n, err := strconv.Atoi(*s.Value); err == nil {
					c.Configs[maxBytes] = strconv.Itoa(min(n, 1<<31-1-headroom) + headroom)
				}
			}
		}
	}
	return c, nil
}

// Create makes the topic. One that is there already is no error.
func Create(ctx context.Context, adm *kadm.Client, t Topic) error {
	configs := make(map[string]*string, len(t.Configs))
	for k, v := range t.Configs {
		configs[k] = &v
	}
	resp, err := adm.CreateTopic(ctx, t.Partitions, t.Replicas, configs, t.Name)
	if err == nil {
		err = resp.Err
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}
