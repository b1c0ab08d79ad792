package proxy

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	testTopic  = "orders"
	testParts  = 4
	testKeys   = 20
	testClient = "writer"
	patience   = 60 * time.Second
)

// byValue knows test records: the value is the number.
var byValue = func() Identify {
	id, err := NumberAt(".")
	if err != nil {
		panic(err)
	}
	return id
}()

func startCluster(t testing.TB, nodes int, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(nodes), kfake.SeedTopics(testParts, testTopic)}, opts...)
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A stand is a proxy in front of a cluster, with the hits it had.
type stand struct {
	*Proxy
	mu   sync.Mutex
	more *sync.Cond
	hits []Hit
}

func startProxy(t testing.TB, upstream []string, cfg Config) *stand {
	t.Helper()
	s := &stand{}
	s.more = sync.NewCond(&s.mu)
	cfg.Upstream = upstream
	cfg.OnHit = func(h *Hit) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hits = append(s.hits, *h)
		s.more.Broadcast()
	}
	p, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Proxy = p
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("facts: %+v", p.Facts())
		}
	})
	return s
}

func (s *stand) all() []Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Hit(nil), s.hits...)
}

// await waits until the hits are as wanted.
func (s *stand) await(t testing.TB, what string, ok func([]Hit) bool) []Hit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.mu.Lock(); s.more.Broadcast(); s.mu.Unlock() })()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ok(s.hits) {
		if ctx.Err() != nil {
			t.Fatalf("waited %s for: %s; hits: %+v", patience, what, s.hits)
		}
		s.more.Wait()
	}
	return append([]Hit(nil), s.hits...)
}

func client(t testing.TB, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	// A retry waits for newer metadata, by default for 5 s.
	opts = append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond })}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Configurations of producers.
var (
	safe     = []kgo.Opt{kgo.ProducerBatchCompression(kgo.SnappyCompression())}
	inflight = func(n int, acks kgo.Acks) []kgo.Opt {
		return []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(n), kgo.RequiredAcks(acks)}
	}
)

// write sends so many records through the proxy, numbered by key. It returns how
// many the client says have failed.
func write(t testing.TB, addr string, records int, opts ...kgo.Opt) (failed int) {
	t.Helper()
	opts = append([]kgo.Opt{
		kgo.ClientID(testClient), kgo.DefaultProduceTopic(testTopic), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(1 << 10), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(2000),
	}, opts...)
	cl := client(t, []string{addr}, opts...)
	defer cl.Close()
	var mu sync.Mutex
	for i := range records {
		cl.Produce(t.Context(), numberedRecord(i), func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed++
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cl.Flush(ctx); err != nil {
		t.Fatalf("not all of %d records were answered in %s: %v", records, patience, err)
	}
	return failed
}

func numberedRecord(i int) *kgo.Record {
	return &kgo.Record{Key: []byte("key-" + strconv.Itoa(i%testKeys)), Value: []byte(strconv.Itoa(i / testKeys))}
}

// A tally is what the log shows of each key's numbers.
type tally struct{ records, distinct, inversions, duplicates int }

func (t tally) String() string {
	return fmt.Sprintf("%d records, %d distinct, %d inversions, %d duplicates", t.records, t.distinct, t.inversions, t.duplicates)
}

// readLog reads the topic from the brokers themselves. An inversion is a record
// that is seen for the first time behind a higher number of its key.
func readLog(t testing.TB, addrs []string) tally {
	t.Helper()
	return readTopic(t, addrs, testTopic)
}

func readTopic(t testing.TB, addrs []string, topic string) tally {
	t.Helper()
	cl := client(t, addrs, kgo.ClientID("log reader"), kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer cl.Close()
	ends := endOffsets(t, cl, topic)
	var out tally
	seen := make(map[string]bool)
	highest := make(map[string]int)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at := make(map[int32]int64)
	for !reached(at, ends) {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatal(err, at, ends)
		}
		fs.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			out.records++
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				t.Error(err)
			}
			id := string(r.Key) + " " + string(r.Value)
			switch {
			case seen[id]:
				out.duplicates++
				return
			case n < highest[string(r.Key)]:
				out.inversions++
			}
			seen[id] = true
			out.distinct++
			highest[string(r.Key)] = max(highest[string(r.Key)], n)
		})
	}
	return out
}

func reached(at, ends map[int32]int64) bool {
	for p, end := range ends {
		if at[p] < end {
			return false
		}
	}
	return true
}

func endOffsets(t testing.TB, cl *kgo.Client, topic string) map[int32]int64 {
	t.Helper()
	all, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	ends := make(map[int32]int64)
	all.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}
