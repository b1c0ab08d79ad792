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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Keys go where the Java client puts them. The vectors are those of Kafka's own
// tests and of real keys.
func TestProducerPartitionsAsJava(t *testing.T) {
	c := prodCluster(t, 12)
	if err := c.CreateTopic("ten", 10, nil); err != nil {
		t.Fatal(err)
	}
	p := producer(t, c, nil)
	for _, v := range []struct {
		topic, key string
		partition  int32
	}{
		{"ten", "354afe16-939a-4ea8-8e17-8bb0840b6886", 4},
		{"ten", "f562ac3b-2224-4e25-a0ab-56094e10c239", 5},
		{"t", "order-1", 10}, {"t", "order-2", 3}, {"t", "order-42", 0},
		// Utils.murmur2 of Kafka's UtilsTest, & 0x7fffffff, modulo 12.
		{"t", "21", int32(uint32(-973932308&0x7fffffff) % 12)},
		{"t", "foobar", int32(uint32(-790332482&0x7fffffff) % 12)},
		{"t", "a-little-bit-long-string", int32(uint32(-985981536&0x7fffffff) % 12)},
		{"t", "a-little-bit-longer-string", int32(uint32(-1486304829&0x7fffffff) % 12)},
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

func grow(t *testing.T, c *kfake.Cluster, to int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	rs, err := kadm.NewClient(cl).UpdatePartitions(t.Context(), to, "t")
	if err != nil || rs["t"].Err != nil {
		t.Fatal(err, rs["t"].Err)
	}
}

// looking has the producer look at its topics all the time.
func looking(cfg *orderly.ProducerConfig) {
	cfg.KafkaOpts = []kgo.Opt{kgo.MetadataMinAge(10 * time.Millisecond), kgo.MetadataMaxAge(10 * time.Millisecond)}
}

// Where the count is configured keys stay when the topic grows, and it is said
// once.
func TestProducerKeepsConfiguredPartitions(t *testing.T) {
	c := prodCluster(t, 4)
	log := &lines{}
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		looking(cfg)
		cfg.Partitions = map[string]int{"t": 4}
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	ctx := within30(t)
	keys := names("k", 40)
	for round := range 3 {
		if round > 0 {
			grow(t, c, 4+round*4)
		}
		for i := range 20 {
			for _, k := range keys {
				p.Produce(ctx, rec(k, strconv.Itoa(round*20+i)), nil)
			}
			if err := p.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for round == 1 && log.count("more partitions") == 0 {
			if err := p.ProduceSync(ctx, rec("while", "looking")).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Also those of a producer that starts now.
	p = producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Partitions = map[string]int{"t": 4} })
	for _, k := range keys {
		if err := p.ProduceSync(ctx, rec(k, "60")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	read := readLog(t, c, "t")
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
	c := prodCluster(t, 6)
	p := producer(t, c, looking)
	ctx := within30(t)
	keys := names("k", 60)
	for _, k := range keys {
		if err := p.ProduceSync(ctx, rec(k, "0")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	grow(t, c, 8)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = p.ProduceSync(ctx, rec(keys[n%len(keys)], strconv.Itoa(1+n/len(keys))))[0].Err
	}
	var changed *orderly.PartitionsChangedError
	if !errors.As(err, &changed) || changed.Topic != "t" || changed.Old != 6 || changed.New != 8 || changed.Moves != 0.75 ||
		!errors.Is(err, orderly.ErrNotWritten) {
		t.Fatalf("%v", err)
	}
	if err := p.ProduceSync(ctx, &kgo.Record{Topic: "other", Key: []byte("k")})[0].Err; !errors.As(err, &changed) {
		t.Errorf("another topic: %v", err)
	}
	read := readLog(t, c, "t")
	ascending(t, byKey(t, read))
	for part, recs := range read[6:] {
		if len(recs) > 0 {
			t.Errorf("partition %d has %d records", 6+part, len(recs))
		}
	}
}

func TestProducerRefusesFewerPartitionsThanConfigured(t *testing.T) {
	c := prodCluster(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Partitions = map[string]int{"t": 5} })
	err := p.ProduceSync(within30(t), rec("k", "0"))[0].Err
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
			c := prodCluster(t, 2)
			p := producer(t, c, func(cfg *orderly.ProducerConfig) {
				if how == "looking" {
					looking(cfg)
				} else {
					cfg.KafkaOpts = []kgo.Opt{fast, kgo.MetadataMinAge(10 * time.Millisecond)}
				}
			})
			ctx := within30(t)
			if err := p.ProduceSync(ctx, rec("k", "0"), rec("l", "0")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			old := c.TopicInfo("t").TopicID
			if err := c.DeleteTopic("t"); err != nil {
				t.Fatal(err)
			}
			if err := c.CreateTopic("t", 2, nil); err != nil {
				t.Fatal(err)
			}
			var again *orderly.TopicRecreatedError
			var err error
			for err == nil {
				err = p.ProduceSync(ctx, rec("k", "1"))[0].Err
			}
			if !errors.As(err, &again) || again.Topic != "t" || again.Old == again.New || again.New == "" ||
				old == c.TopicInfo("t").TopicID || !strings.Contains(err.Error(), "start a new producer") {
				t.Fatalf("%v", err)
			}
			if err := p.ProduceSync(ctx, rec("l", "1"))[0].Err; !errors.As(err, &again) || !errors.Is(err, orderly.ErrNotWritten) {
				t.Errorf("the next record: %v", err)
			}
			if vs := byKey(t, readLog(t, c, "t")); len(vs) > 0 {
				t.Errorf("the new topic has %v", vs)
			}
		})
	}
}

func TestProducerTopicThatDoesNotExist(t *testing.T) {
	c := prodCluster(t, 1)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.StartTimeout = 100 * time.Millisecond })
	r := &kgo.Record{Topic: "missing", Key: []byte("k"), Value: []byte("0")}
	ctx := within30(t)
	err := p.ProduceSync(ctx, r)[0].Err
	var access *orderly.AccessError
	if !errors.As(err, &access) || access.Name != "missing" || !errors.Is(err, orderly.ErrNotWritten) {
		t.Fatalf("%v", err)
	}
	// Created, it is found; the key waits for a decision: its first record is missing.
	if err := c.CreateTopic("missing", 3, nil); err != nil {
		t.Fatal(err)
	}
	err = p.ProduceSync(ctx, &kgo.Record{Topic: "missing", Key: []byte("k"), Value: []byte("1")})[0].Err
	if closed := closedBy(t, err); !closed.Refused || closed.First != r {
		t.Errorf("%v", err)
	}
	if !p.Clear("missing", []byte("k")) {
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
	c := prodCluster(t, 1)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		old := kversion.Stable()
		old.SetMaxKeyVersion(22, -1)
		cfg.KafkaOpts = []kgo.Opt{kgo.MaxVersions(old)}
	})
	var access *orderly.AccessError
	if err := p.ProduceSync(within30(t), rec("k", "0"))[0].Err; !errors.As(err, &access) || access.Operation != "IdempotentWrite" {
		t.Errorf("%v", err)
	}
}

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
