package orderly_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
)

// shorten deletes the records of a topic's partition 0 before an offset.
func shorten(t *testing.T, b *orderlytest.Broker, topic string, to int64) {
	t.Helper()
	if _, err := b.Admin().DeleteRecords(t.Context(), kadm.Offsets{topic: {0: {Topic: topic, At: to, LeaderEpoch: -1}}}); err != nil {
		t.Fatal(err)
	}
}

// Where a partition waits because of its parking topic, a reset that drops what is parked
// lets it go on; one that says nothing, or keeps, is refused by name.
func TestResetOfAParkingTopicThatIsNotAsItWas(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]struct {
		state string
		spoil func(t *testing.T, b *orderlytest.Broker, parking string)
		says  string
	}{
		"gone": {"parking-mismatch", func(_ *testing.T, b *orderlytest.Broker, parking string) { b.DeleteTopic(parking) }, "the parking topic is gone"},
		"made again": {"parking-mismatch", func(_ *testing.T, b *orderlytest.Broker, parking string) {
			b.DeleteTopic(parking)
			b.CreateTopic(parking, 1)
		}, "deleted and created again"},
		"empty":     {"parking-mismatch", func(t *testing.T, b *orderlytest.Broker, parking string) { shorten(t, b, parking, b.End(parking, 0)) }, "something else has deleted records"},
		"shortened": {"parking-mismatch", func(t *testing.T, b *orderlytest.Broker, parking string) { shorten(t, b, parking, 1) }, "something else has deleted records"},
		"damaged": {"parking-damaged", func(_ *testing.T, b *orderlytest.Broker, parking string) {
			b.Produce(parking, orderlytest.Msg("not", "an entry"), orderlytest.Msg("nor", "this"))
		}, "no entry of a parking topic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			c := &calls{bad: alwaysBad}
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle})
			b.Produce(topic, keyed(2, "bad")...)
			m := g.Start()
			parkedRecords(t, b, m, topic, 1, 2)
			committed(t, b, m, topic, 0, 2)
			stopAll(t, m)
			is.spoil(t, b, parkingTopic(t, g, topic))
			m = g.Start(func(cfg *orderly.ConsumerConfig) { cfg.Parking.NoCreate, cfg.OnExhausted = true, orderly.PolicyBlock })
			b.Eventually("the partition to wait by name", func() bool {
				p, ok := stateOf(m, topic, 0)
				return ok && slices.Contains(p.Reasons, is.state) && strings.Contains(p.Parking.Cause, is.says)
			})
			stopAll(t, m)
			a := newAdmin(t, b, g)
			r := orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(0), Reason: "given up"}
			for _, r.Parked = range []string{"", orderly.ParkedKeep} {
				if _, err := a.ResetOffsets(t.Context(), r); err == nil || !strings.Contains(err.Error(), `only "drop" is possible`) || !strings.Contains(err.Error(), is.says) {
					t.Errorf("parked: %q: %v", r.Parked, err)
				}
			}
			r.Parked = orderly.ParkedDrop
			if steps, err := a.ResetOffsets(t.Context(), r); err != nil || !steps[0].Done {
				t.Fatalf("%+v, %v", steps, err)
			}
			c.mended.Store(true)
			m = g.Start()
			b.Produce(topic, keyed(2, "good")...)
			committed(t, b, m, topic, 0, 4)
			if got := c.of("bad"); !slices.Equal(got, []string{"0", "1"}) {
				t.Errorf("what came again: %v", got)
			}
			c.mended.Store(false) // and is parked again
			b.Produce(topic, keyed(1, "bad")...)
			parkedRecords(t, b, m, topic, 1, 1)
			stopAll(t, m)
		})
	}
}
