package orderly_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Leaders move while records are written: nothing is lost, doubled or passed.
func TestProducerFollowsLeaders(t *testing.T) {
	c := prodCluster(t, 4, kfake.NumBrokers(3))
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.KafkaOpts = []kgo.Opt{fast, kgo.MetadataMinAge(10 * time.Millisecond)}
	})
	var told results
	for i := range 6000 {
		if i%500 == 250 {
			c.ShufflePartitionLeaders()
		}
		p.Produce(t.Context(), rec("k"+strconv.Itoa(i%20), strconv.Itoa(i/20)), told.add)
	}
	if err := p.Flush(within30(t)); err != nil {
		t.Fatal(err)
	}
	for _, r := range told.get() {
		if r.err != nil {
			t.Fatal(r.err)
		}
	}
	keys := byKey(t, readLog(t, c, "t"))
	ascending(t, keys)
	if len(keys) != 20 || len(keys["k7"]) != 300 {
		t.Errorf("%d keys, %d records of one", len(keys), len(keys["k7"]))
	}
}
