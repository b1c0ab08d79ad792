package orderly_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// From producer to consumer, on whichever engine: what many goroutines send is
// written and handled in the order of each key, and where the Java client would
// put it.
func TestProducerToConsumer(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 6)
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: b.Addrs(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	const routines, keys, each = 4, 10, 50
	var wg sync.WaitGroup
	for g := range routines {
		wg.Go(func() {
			for i := range each {
				for k := range keys {
					p.Produce(t.Context(), &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "g%d-k%d", g, k), Value: []byte(strconv.Itoa(i))}, func(_ *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
	wg.Wait()
	if err := p.Close(within30(t)); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	next, done := map[string]int{}, 0
	java := kgo.StickyKeyPartitioner(nil).ForTopic(topic) // murmur2 as in the Java client
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: func(_ context.Context, m *orderly.Message) error {
		mu.Lock()
		defer mu.Unlock()
		key := string(m.Key)
		if got, _ := strconv.Atoi(string(m.Value)); got != next[key] {
			t.Errorf("key %s: %s comes, the next is %d", key, m.Value, next[key])
		}
		if want := java.Partition(m.Record, 6); int32(want) != m.Partition {
			t.Errorf("key %s is in partition %d, Java's would be %d", key, m.Partition, want)
		}
		next[key]++
		done++
		return nil
	}})
	m := g.Start()
	b.Eventually("all records to be handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done == routines*keys*each
	})
	stopAll(t, m)
}
