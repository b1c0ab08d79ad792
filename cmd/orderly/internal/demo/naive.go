package demo

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// runNaive is the control: a plain client with its usual settings (offsets are
// committed automatically), and a goroutine for each record, so that records are
// processed side by side. As many as orderly's work at a time; a record that
// fails is tried again by its own goroutine.
func (m Member) runNaive(ctx context.Context, l *link, logger *slog.Logger) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(m.Broker),
		kgo.ConsumerGroup(m.Group), kgo.ConsumeTopics(m.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(m.Session), kgo.RebalanceTimeout(2*m.Session), kgo.HeartbeatInterval(m.Session/10),
		kgo.AutoCommitInterval(commitEvery),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			for _, p := range parts[m.Topic] {
				l.tell(message{Kind: owned, Partition: p})
			}
		}),
		kgo.AutoCommitCallback(func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				logger.Warn("commit failed", "error", err)
				return
			}
			reportCommits(l, req, resp)
		}),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	slots := make(chan struct{}, m.Concurrency)
	var wg sync.WaitGroup
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() == nil {
				logger.Warn("fetch failed", "topic", topic, "partition", partition, "error", err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			wg.Go(func() { handleNaively(l, r, slots) })
		})
	}
	wg.Wait()
	return nil
}

func handleNaively(l *link, r *kgo.Record, slots chan struct{}) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		slots <- struct{}{}
		ok, err := attemptNaively(l, r, attempt)
		<-slots
		if ok || err != nil {
			return
		}
		time.Sleep(rand.N(pause)) // as a backoff does
		pause = min(2*pause, longestPause)
	}
}

func attemptNaively(l *link, r *kgo.Record, attempt int) (ok bool, gone error) {
	m := message{Kind: started, Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Attempt: attempt}
	job, err := l.tell(m)
	if err != nil {
		return false, err
	}
	m.Kind, m.OK = ended, work(context.Background(), job) == nil
	if m.OK {
		m.Value = string(r.Value)
	}
	_, err = l.tell(m)
	return m.OK, err
}

// reportCommits tells the demo which offsets the broker has acknowledged.
func reportCommits(l *link, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) {
	refused := map[int32]bool{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			refused[p.Partition] = p.ErrorCode != 0
		}
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if !refused[p.Partition] {
				l.tell(message{Kind: committed, Partition: p.Partition, Offset: p.Offset})
			}
		}
	}
}
