package orderly_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

// What is refused is named as it is in an ACL, with the way out.
func TestProducerAccessErrors(t *testing.T) {
	for _, f := range []struct {
		key            kmsg.Key
		err            *kerr.Error
		resource, does string
		way            string
	}{
		{kmsg.InitProducerID, kerr.ClusterAuthorizationFailed, "cluster", "IdempotentWrite", "grant the user Write on the topic"},
		{kmsg.Metadata, kerr.TopicAuthorizationFailed, "topic", "Describe", "grant the user Describe on this topic"},
		{kmsg.Metadata, kerr.UnknownTopicOrPartition, "topic", "Write", "check the name, create it"},
	} {
		c := prodCluster(t, 1)
		c.Fault(kfake.Fault{Keys: []kmsg.Key{f.key}, Err: f.err, Count: -1})
		p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.StartTimeout = 100 * time.Millisecond })
		err := p.ProduceSync(within30(t), rec("k", "0"))[0].Err
		var access *orderly.AccessError
		if !errors.As(err, &access) || access.Resource != f.resource || access.Operation != f.does || !errors.Is(err, f.err) ||
			!strings.Contains(err.Error(), f.way) {
			t.Errorf("%s: %v", f.err.Message, err)
		}
	}
}
