package orderly_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestSmoke(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, _ := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	defer cl.Close()
	const n = 20000
	for i := range n {
		cl.Produce(context.Background(), &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, "k%d", i%100), Value: fmt.Appendf(nil, "%d", i)}, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	last := map[string]int64{}
	done := 0
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fails := map[string]bool{}
	start := func() (*orderly.Consumer, chan error) {
		co, err := orderly.NewConsumer(orderly.ConsumerConfig{
			Brokers: c.ListenAddrs(), Group: "g", Topics: []string{"orders"}, CommitInterval: 100 * time.Millisecond,
			Retry: orderly.Retry{Backoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond},
			Handler: func(ctx context.Context, m *orderly.Message) error {
				mu.Lock()
				defer mu.Unlock()
				k := fmt.Sprintf("%d/%s", m.Partition, m.Key)
				id := fmt.Sprintf("%d/%d", m.Partition, m.Offset)
				if m.Offset%97 == 0 && !fails[id] {
					fails[id] = true
					return fmt.Errorf("first time fails")
				}
				if l, ok := last[k]; ok && m.Offset <= l {
					t.Errorf("%s: %d after %d", k, m.Offset, l)
				}
				last[k] = m.Offset
				done++
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ch := make(chan error, 1)
		go func() { ch <- co.Run(ctx) }()
		return co, ch
	}
	a, ach := start()
	_, bch := start()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		d := done
		mu.Unlock()
		if d >= n {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("done %d, state %+v", d, a.State())
			break
		}
	}
	cancel()
	for _, ch := range []chan error{ach, bch} {
		if err := <-ch; err != nil {
			t.Error(err)
		}
	}
	if done != n {
		t.Errorf("done %d", done)
	}
}
