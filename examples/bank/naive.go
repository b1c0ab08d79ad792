package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	naiveConcurrency = 16
	naiveAttempts    = 3
)

// consumeNaively is the control: a plain client that commits automatically, a goroutine
// for each record so that they are handled side by side, each in a transaction, three
// attempts for one that fails.
func (m member) consumeNaively(ctx context.Context, b *books) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(m.Brokers...), kgo.ConsumerGroup(m.Group), kgo.ConsumeTopics(m.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(m.Session), kgo.RebalanceTimeout(2*m.Session), kgo.HeartbeatInterval(m.Session/10),
		kgo.AutoCommitInterval(200*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	slots := make(chan struct{}, naiveConcurrency)
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, 200)
		fetches.EachRecord(func(r *kgo.Record) {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := handleNaively(b, r); err != nil {
					fmt.Fprintf(os.Stderr, "partition %d offset %d is given up: %v\n", r.Partition, r.Offset, err)
				}
			})
		})
	}
	return nil
}

func handleNaively(b *books, r *kgo.Record) (err error) {
	var e entry
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return err
	}
	ctx := context.Background() // what was begun is finished
	for range naiveAttempts {
		think()
		if err = b.alone(ctx, func(exec execer) error { return move(ctx, exec, e) }); err == nil {
			return nil
		}
	}
	return err
}
