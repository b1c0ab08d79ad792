package group

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An extent is where a partition's log begins and ends for this consumer: read
// committed, the end is the last stable offset, and what lies behind it belongs
// to transactions that are still open.
type extent struct {
	start, end int64
	at         time.Time // zero: not known
}

const extentEvery = 10 * time.Second

// saw takes what came with a fetch. Called with Session.mu held.
func (s *Session) saw(p *Partition, f *kgo.FetchPartition) {
	end := f.LastStableOffset
	if s.cfg.ReadUncommitted || end < 0 {
		end = f.HighWatermark
	}
	if p.extent.at.IsZero() || end < p.extent.end || f.LogStartOffset < 0 {
		return // an answer from before the last look, or of an old broker
	}
	p.extent = extent{start: max(f.LogStartOffset, p.extent.start), end: end, at: time.Now()}
}

// tendExtents looks up now and then where the logs begin and end. Fetches say so
// too, but not of a partition that is paused: just then it matters.
func (s *Session) tendExtents(now time.Time) {
	s.mu.Lock()
	due := len(s.parts) > 0 && !now.Before(s.nextExtents)
	for _, p := range s.parts {
		due = due || p.state == live && p.extent.at.IsZero() && !now.Before(s.nextExtents.Add(time.Second-extentEvery))
	}
	s.mu.Unlock()
	if !due || !s.measuring.CompareAndSwap(false, true) {
		return
	}
	// Members that started together must not ask together for ever.
	s.mu.Lock()
	s.nextExtents = now.Add(extentEvery + rand.N(extentEvery/5))
	s.mu.Unlock()
	s.aside(func(ctx context.Context) {
		defer s.measuring.Store(false)
		s.readExtents(ctx)
	})
}

func (s *Session) readExtents(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, extentEvery)
	defer cancel()
	parts := s.all()
	const first, last = -2, -1 // what ListOffsets takes for a timestamp
	starts, ends := s.listOffsets(ctx, parts, first), s.listOffsets(ctx, parts, last)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, p := range parts {
		start, ok1 := starts[p.tp]
		end, ok2 := ends[p.tp]
		if ok1 && ok2 {
			p.extent = extent{start: start, end: end, at: now}
		}
	}
}

// listOffsets asks the leaders of these partitions alone, not of whole topics.
// What is not answered is left out: it is asked again soon.
func (s *Session) listOffsets(ctx context.Context, parts []*Partition, timestamp int64) map[tp]int64 {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	if !s.cfg.ReadUncommitted {
		req.IsolationLevel = 1
	}
	topics := make(map[string]int)
	for _, p := range parts {
		n, ok := topics[p.topic]
		if !ok {
			n = len(req.Topics)
			topics[p.topic] = n
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p.partition, timestamp, -1
		req.Topics[n].Partitions = append(req.Topics[n].Partitions, rp)
	}
	out := make(map[tp]int64, len(parts))
	for _, shard := range s.cl.RequestSharded(ctx, req) {
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if shard.Err != nil || !ok {
			continue
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if kerr.ErrorForCode(p.ErrorCode) == nil && p.Offset >= 0 {
					out[tp{t.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	return out
}
