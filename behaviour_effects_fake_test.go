package orderly_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store/storetest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partitions that are granted together ask once where their logs begin and end: each
// question is about all of the topic.
func TestEffectsGrantsShareAListing(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	const partitions = 24
	topic := newTopic(t, b, partitions)
	var asked atomic.Int64
	c.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: orderly.Effects{Store: storetest.NewMemory(),
		Handler: func(context.Context, any, *orderly.Message) error { return nil }}})
	m := g.Start()
	b.Eventually("all partitions", func() bool {
		for p := range int32(partitions) {
			if g.Owner(topic, p) == nil {
				return false
			}
		}
		return true
	})
	if n := asked.Load(); n >= partitions {
		t.Errorf("%d questions about offsets for %d partitions", n, partitions)
	}
	stopAll(t, m)
}
