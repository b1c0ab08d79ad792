package group

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicInfo is what the session knows of a topic.
type topicInfo struct {
	id         [16]byte
	partitions int
	initial    int // partitions when the session began: the others came later
	replicas   int // of the partition that has the fewest, when the session began
	brokers    int // of the cluster, then
}

type topicNow struct {
	id         [16]byte
	partitions int
	replicas   int // of the partition that has the fewest
	brokers    int // of the cluster
	err        error
}

var errNotNamed = errors.New("the cluster does not name it")

// topicsNow asks a broker. The client's own metadata may be seconds old, and a
// topic that was created anew in between would be taken for the old one.
func (s *Session) topicsNow(ctx context.Context, cl *kgo.Client) (map[string]topicNow, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range s.cfg.Topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	out := make(map[string]topicNow, len(resp.Topics))
	for _, t := range resp.Topics {
		if t.Topic != nil {
			out[*t.Topic] = topicNow{id: t.TopicID, partitions: len(t.Partitions), replicas: fewest(t.Partitions), brokers: len(resp.Brokers), err: kerr.ErrorForCode(t.ErrorCode)}
		}
	}
	return out, nil
}

// readTopics asks for ids and partition counts. A topic that is missing or
// refused is an AccessError.
func (s *Session) readTopics(ctx context.Context, cl *kgo.Client) (map[string]topicInfo, error) {
	topics, err := s.topicsNow(ctx, cl)
	if err != nil {
		if a := access("cluster", strings.Join(s.cfg.Brokers, ","), "Describe", err); a != nil {
			return nil, a
		}
		return nil, fmt.Errorf("metadata of topics %s: %w", strings.Join(s.cfg.Topics, ", "), err)
	}
	out := make(map[string]topicInfo, len(s.cfg.Topics))
	for _, name := range s.cfg.Topics {
		t, ok := topics[name]
		if !ok {
			t.err = errNotNamed
		}
		if t.err != nil {
			return nil, &AccessError{Resource: "topic", Name: name, Operation: "Describe", Err: t.err}
		}
		out[name] = topicInfo{id: t.id, partitions: t.partitions, initial: t.partitions, replicas: t.replicas, brokers: t.brokers}
	}
	return out, nil
}

// checkTopics looks whether the topics are still the ones that we consume.
func (s *Session) checkTopics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Session)
	defer cancel()
	topics, err := s.topicsNow(ctx, s.cl)
	if err != nil {
		return // the client's own requests tell
	}
	for _, name := range s.cfg.Topics {
		t, ok := topics[name]
		s.mu.Lock()
		known := s.topics[name]
		if !ok || errors.Is(t.err, kerr.UnknownTopicOrPartition) {
			since, seen := s.gone[name]
			if !seen {
				s.gone[name] = time.Now()
			}
			s.mu.Unlock()
			// A broker that has just started may not know a topic for a moment.
			if seen && time.Since(since) > s.cfg.Session {
				s.fail(&RecreatedError{Topic: name, Old: known.id})
				return
			}
			continue
		}
		delete(s.gone, name)
		s.mu.Unlock()
		if t.err != nil {
			continue // refused: reading it says so
		}
		if known.id != [16]byte{} && t.id != [16]byte{} && t.id != known.id {
			s.fail(&RecreatedError{Topic: name, Old: known.id, New: t.id})
			return
		}
		if n := t.partitions; n > known.partitions && known.partitions > 0 {
			s.mu.Lock()
			s.topics[name] = topicInfo{id: known.id, partitions: n, initial: known.initial}
			s.mu.Unlock()
			s.cfg.Hooks.Warning("partitions-grew", fmt.Sprintf("topic %s grew from %d to %d partitions: about %.0f %% of the keys now go to another partition, "+
				"and their new records may be handled before the old ones; the new partitions are read from their oldest record",
				name, known.partitions, n, 100*moved(known.partitions, n)))
		}
	}
}

// moved is the share of keys whose hash modulo n differs from that modulo m.
func moved(n, m int) float64 {
	stay, total := 0, 0
	for h := range n * m {
		total++
		if h%n == h%m {
			stay++
		}
	}
	return 1 - float64(stay)/float64(total)
}
