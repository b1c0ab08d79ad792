package orderly

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A record that has waited already, for room or for its topic, does not linger until
// its time is over.
func TestLingersUntilTheRecordIsDue(t *testing.T) {
	p := &Producer{begin: time.Now(), cfg: ProducerConfig{Linger: time.Minute}}
	s := newSender(p, &topic{name: "t"}, 0, 1000)
	for due, most := range map[time.Duration]time.Duration{20 * time.Second: 10 * time.Second, -time.Second: 0, time.Hour: time.Minute} {
		s.part = produce.Partition{}
		s.part.Add(&produce.Item{Due: due})
		if got := s.lingers(); got > most {
			t.Errorf("due in %s: lingers for %s", due, got)
		}
	}
}

// The producer is stopped while a topic is looked up: nothing is written to it.
func TestStoppedDuringALookUp(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := NewProducer(ProducerConfig{Brokers: c.ListenAddrs(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("stopped")
	c.ControlKey(int16(kmsg.DescribeConfigs), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		p.stop(why)
		return nil, nil, false
	})
	res := p.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Key: []byte("k")})
	if !errors.Is(res[0].Err, why) || !errors.Is(res[0].Err, ErrNotWritten) {
		t.Errorf("%v", res[0].Err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if end := c.PartitionInfo("t", 0).HighWatermark; end != 0 {
		t.Errorf("%d records in the log", end)
	}
}
