package orderly_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Keys go where the Java client puts them. The vectors are those of Kafka's own
// tests and of real keys.
func TestProducerPartitionsAsJava(t *testing.T) {
	c := prodSite(t, 12)
	ten := newTopic(t, c.Broker, 10)
	p := producer(t, c, nil)
	for _, v := range []struct {
		topic, key string
		partition  int32
	}{
		{ten, "354afe16-939a-4ea8-8e17-8bb0840b6886", 4},
		{ten, "f562ac3b-2224-4e25-a0ab-56094e10c239", 5},
		{c.topic, "order-1", 10}, {c.topic, "order-2", 3}, {c.topic, "order-42", 0},
		// Utils.murmur2 of Kafka's UtilsTest, & 0x7fffffff, modulo 12.
		{c.topic, "21", int32(uint32(-973932308&0x7fffffff) % 12)},
		{c.topic, "foobar", int32(uint32(-790332482&0x7fffffff) % 12)},
		{c.topic, "a-little-bit-long-string", int32(uint32(-985981536&0x7fffffff) % 12)},
		{c.topic, "a-little-bit-longer-string", int32(uint32(-1486304829&0x7fffffff) % 12)},
	} {
		rs := p.ProduceSync(within30(t), &kgo.Record{Topic: v.topic, Key: []byte(v.key)})
		if err := rs.FirstErr(); err != nil || rs[0].Record.Partition != v.partition {
			t.Errorf("%s: partition %d (%v), in Java %d", v.key, rs[0].Record.Partition, err, v.partition)
		}
	}
}

// lines collects log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func (s site) grow(t *testing.T, to int) {
	t.Helper()
	rs, err := s.Admin().UpdatePartitions(within30(t), to, s.topic)
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// looking has the producer look at its topics all the time.
func looking(cfg *orderly.ProducerConfig) {
	cfg.KafkaOpts = []kgo.Opt{kgo.MetadataMinAge(10 * time.Millisecond), kgo.MetadataMaxAge(10 * time.Millisecond)}
}

// Where the count is configured keys stay when the topic grows, and it is said
// once.
func TestProducerKeepsConfiguredPartitions(t *testing.T) {
	c := prodSite(t, 4)
	log := &lines{}
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		looking(cfg)
		cfg.Partitions = map[string]int{c.topic: 4}
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	ctx := within30(t)
	keys := names("k", 40)
	for round := range 3 {
		if round > 0 {
			c.grow(t, 4+round*4)
		}
		for i := range 20 {
			for _, k := range keys {
				p.Produce(ctx, c.rec(k, strconv.Itoa(round*20+i)), nil)
			}
			if err := p.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for round == 1 && log.count("more partitions") == 0 {
			if err := p.ProduceSync(ctx, c.rec("while", "looking")).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Also those of a producer that starts now.
	p = producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Partitions = map[string]int{c.topic: 4} })
	for _, k := range keys {
		if err := p.ProduceSync(ctx, c.rec(k, "60")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	read := readLog(t, c, c.topic)
	ks := byKey(t, read)
	delete(ks, "while")
	ascending(t, ks)
	for part, recs := range read {
		if part >= 4 && len(recs) > 0 {
			t.Errorf("partition %d has %d records", part, len(recs))
		}
	}
	if n := log.count("more partitions"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// Without one the count is pinned, and when it changes the producer stops, with
// the share of keys that would move.
func TestProducerStopsWhenPartitionsChange(t *testing.T) {
	c := prodSite(t, 6)
	p := producer(t, c, looking)
	ctx := within30(t)
	keys := names("k", 60)
	for _, k := range keys {
		if err := p.ProduceSync(ctx, c.rec(k, "0")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.grow(t, 8)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = p.ProduceSync(ctx, c.rec(keys[n%len(keys)], strconv.Itoa(1+n/len(keys))))[0].Err
	}
	var changed *orderly.PartitionsChangedError
	if !errors.As(err, &changed) || changed.Topic != c.topic || changed.Old != 6 || changed.New != 8 || changed.Moves != 0.75 ||
		!errors.Is(err, orderly.ErrNotWritten) {
		t.Fatalf("%v", err)
	}
	if err := p.ProduceSync(ctx, &kgo.Record{Topic: "other", Key: []byte("k")})[0].Err; !errors.As(err, &changed) {
		t.Errorf("another topic: %v", err)
	}
	read := readLog(t, c, c.topic)
	ascending(t, byKey(t, read))
	for part, recs := range read[6:] {
		if len(recs) > 0 {
			t.Errorf("partition %d has %d records", 6+part, len(recs))
		}
	}
}

func TestProducerRefusesFewerPartitionsThanConfigured(t *testing.T) {
	c := prodSite(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Partitions = map[string]int{c.topic: 5} })
	err := p.ProduceSync(within30(t), c.rec("k", "0"))[0].Err
	var changed *orderly.PartitionsChangedError
	if !errors.As(err, &changed) || changed.Old != 5 || changed.New != 3 || !errors.Is(err, orderly.ErrNotWritten) {
		t.Errorf("%v", err)
	}
}

// A topic that was created anew stops the producer: noticed by looking, or by the
// broker's answer to a batch for the old one.
func TestProducerStopsWhenTopicIsRecreated(t *testing.T) {
	for _, how := range []string{"looking", "writing"} {
		t.Run(how, func(t *testing.T) {
			c := prodSite(t, 2)
			p := producer(t, c, func(cfg *orderly.ProducerConfig) {
				if how == "looking" {
					looking(cfg)
				} else {
					cfg.KafkaOpts = []kgo.Opt{fast, kgo.MetadataMinAge(10 * time.Millisecond)}
				}
			})
			ctx := within30(t)
			if err := p.ProduceSync(ctx, c.rec("k", "0"), c.rec("l", "0")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			c.DeleteTopic(c.topic)
			c.CreateTopic(c.topic, 2)
			var again *orderly.TopicRecreatedError
			var err error
			for err == nil {
				err = p.ProduceSync(ctx, c.rec("k", "1"))[0].Err
			}
			if !errors.As(err, &again) || again.Topic != c.topic || again.Old == again.New || again.New == "" || !strings.Contains(err.Error(), "start a new producer") {
				t.Fatalf("%v", err)
			}
			if err := p.ProduceSync(ctx, c.rec("l", "1"))[0].Err; !errors.As(err, &again) || !errors.Is(err, orderly.ErrNotWritten) {
				t.Errorf("the next record: %v", err)
			}
			if vs := byKey(t, readLog(t, c, c.topic)); len(vs) > 0 {
				t.Errorf("the new topic has %v", vs)
			}
		})
	}
}

func TestProducerTopicThatDoesNotExist(t *testing.T) {
	c := prodSite(t, 1)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.StartTimeout = 100 * time.Millisecond })
	c.topic += "-missing"
	r := c.rec("k", "0")
	ctx := within30(t)
	err := p.ProduceSync(ctx, r)[0].Err
	var access *orderly.AccessError
	if !errors.As(err, &access) || access.Name != c.topic || !errors.Is(err, orderly.ErrNotWritten) {
		t.Fatalf("%v", err)
	}
	// Created, it is found; the key waits for a decision: its first record is missing.
	c.CreateTopic(c.topic, 3)
	err = p.ProduceSync(ctx, c.rec("k", "1"))[0].Err
	if closed := closedBy(t, err); !closed.Refused || closed.First != r {
		t.Errorf("%v", err)
	}
	if !p.Clear(c.topic, []byte("k")) {
		t.Error("not closed")
	}
	if err := p.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Error(err)
	}
}

func TestProducerBrokerThatIsNotThere(t *testing.T) {
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: []string{"127.0.0.1:1"}, StartTimeout: 200 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var connect *orderly.ConnectError
	if err := p.ProduceSync(within30(t), rec("k", "0"))[0].Err; !errors.As(err, &connect) || !errors.Is(err, orderly.ErrNotWritten) ||
		!slices.Equal(connect.Brokers, []string{"127.0.0.1:1"}) {
		t.Errorf("%v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.ProduceSync(short, rec("l", "0"))[0].Err; !errors.Is(err, orderly.ErrNotWritten) && !errors.Is(err, orderly.ErrMaybeWritten) {
		t.Errorf("%v", err)
	}
	if err := p.Close(within30(t)); err != nil {
		t.Error(err)
	}
}

// A broker without idempotence is refused: the client would go on without it.
func TestProducerNeedsIdempotence(t *testing.T) {
	c := prodSite(t, 1)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		old := kversion.Stable()
		old.SetMaxKeyVersion(22, -1)
		cfg.KafkaOpts = []kgo.Opt{kgo.MaxVersions(old)}
	})
	var access *orderly.AccessError
	if err := p.ProduceSync(within30(t), c.rec("k", "0"))[0].Err; !errors.As(err, &access) || access.Operation != "IdempotentWrite" {
		t.Errorf("%v", err)
	}
}
