package orderly_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A site is the suite's Kafka with a topic of the test's own.
type site struct {
	*orderlytest.Broker
	topic string
}

func prodSite(t *testing.T, partitions int32, configs ...string) site {
	t.Helper()
	b := engine(t)
	return site{b, newTopic(t, b, partitions, configs...)}
}

// ListenAddrs is what a kfake.Cluster has too.
func (s site) ListenAddrs() []string { return s.Addrs() }

func (s site) rec(key, value string) *kgo.Record {
	return &kgo.Record{Topic: s.topic, Key: []byte(key), Value: []byte(value)}
}

// A kafka is a site, or a kfake.Cluster.
type kafka interface{ ListenAddrs() []string }

// producer makes one that is closed with the test.
func producer(t *testing.T, c kafka, change func(*orderly.ProducerConfig)) *orderly.Producer {
	t.Helper()
	cfg := orderly.ProducerConfig{Brokers: c.ListenAddrs(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if change != nil {
		change(&cfg)
	}
	p, err := orderly.NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	})
	return p
}

func within30(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// result is what a caller was told of a record.
type result struct {
	rec *kgo.Record
	err error
}

// results collects them, in order.
type results struct {
	mu  sync.Mutex
	all []result
}

func (r *results) add(rec *kgo.Record, err error) {
	r.mu.Lock()
	r.all = append(r.all, result{rec, err})
	r.mu.Unlock()
}

func (r *results) get() []result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// readLog returns all records of the topic, by partition, in the order of the log.
func readLog(t *testing.T, c kafka, topic string) [][]*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(within30(t), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]*kgo.Record, len(ends[topic]))
	want := 0
	for _, end := range ends[topic] {
		want += int(end.Offset)
	}
	for n := 0; n < want; {
		fs := cl.PollFetches(within30(t))
		if err := fs.Err0(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) { out[r.Partition] = append(out[r.Partition], r); n++ })
	}
	return out
}

// byKey returns the values of each key, in the order of the log, and fails when a
// key is in two partitions.
func byKey(t *testing.T, log [][]*kgo.Record) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	where := map[string]int32{}
	for _, part := range log {
		for _, r := range part {
			k := string(r.Key)
			if p, ok := where[k]; ok && p != r.Partition {
				t.Errorf("key %q is in partitions %d and %d", k, p, r.Partition)
			}
			where[k] = r.Partition
			out[k] = append(out[k], string(r.Value))
		}
	}
	return out
}

// ascending fails unless each key's values count up, in steps of one.
func ascending(t *testing.T, keys map[string][]string) {
	t.Helper()
	for k, vs := range keys {
		for i, v := range vs {
			if v != strconv.Itoa(i) {
				t.Errorf("key %q: value %s at place %d: %v", k, v, i, vs[max(0, i-2):min(len(vs), i+3)])
				break
			}
		}
	}
}

func TestProducerKeepsOrderOfManyKeys(t *testing.T) {
	c := prodSite(t, 6)
	p := producer(t, c, nil)
	const routines, keys, each = 8, 25, 100
	var told sync.Map // key → number of results
	var wg sync.WaitGroup
	for g := range routines {
		wg.Go(func() {
			next := make([]int, keys)
			for i := range each {
				for k := range keys {
					key := fmt.Sprintf("g%d-k%d", g, k)
					p.Produce(t.Context(), c.rec(key, strconv.Itoa(i)), func(r *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
						if string(r.Value) != strconv.Itoa(next[k]) {
							t.Errorf("key %s: told of %s, the next is %d", key, r.Value, next[k])
						}
						next[k]++
						told.Store(key, next[k])
					})
				}
			}
		})
	}
	wg.Wait()
	if err := p.Flush(within30(t)); err != nil {
		t.Fatal(err)
	}
	keysRead := byKey(t, readLog(t, c, c.topic))
	ascending(t, keysRead)
	if len(keysRead) != routines*keys {
		t.Errorf("%d keys in the log", len(keysRead))
	}
	for k, vs := range keysRead {
		if n, _ := told.Load(k); len(vs) != each || n != each {
			t.Errorf("key %s: %d in the log, %v told", k, len(vs), n)
		}
	}
	if err := p.Close(within30(t)); err != nil {
		t.Error(err)
	}
}

func TestProducerSyncReturnsResultsInOrder(t *testing.T) {
	c := prodSite(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Linger = time.Minute })
	rs := p.ProduceSync(within30(t), c.rec("a", "0"), c.rec("b", "0"), c.rec("a", "1"))
	if err := rs.FirstErr(); err != nil {
		t.Fatal(err)
	}
	if string(rs[1].Record.Key) != "b" || rs[0].Record.Partition != rs[2].Record.Partition || rs[2].Record.Offset != rs[0].Record.Offset+1 {
		t.Errorf("results %+v", rs)
	}
}

// cutter is a dialer whose connections a test can cut.
type cutter struct {
	mu     sync.Mutex
	down   bool
	conns  map[net.Conn]bool
	failed chan struct{} // closed by a produce request that could not be written
}

// cutConn tells of such requests.
type cutConn struct {
	net.Conn
	d *cutter
}

func (c *cutConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.Produce) {
		c.d.mu.Lock()
		defer c.d.mu.Unlock()
		if c.d.failed != nil {
			close(c.d.failed)
			c.d.failed = nil
		}
	}
	return n, err
}

var errCut = errors.New("cut by the test")

func (d *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errCut}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if d.conns == nil {
		d.conns = map[net.Conn]bool{}
	}
	d.conns[conn] = true
	return &cutConn{conn, d}, nil
}

func (d *cutter) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
	for conn := range d.conns {
		conn.Close()
	}
	clear(d.conns)
}

// cutAndNoticed cuts, and has the producer notice it with a record of its own: the
// client writes the next request to the connection that is gone, and then cannot
// tell whether it arrived.
func (d *cutter) cutAndNoticed(p *orderly.Producer, r *kgo.Record) {
	d.cut()
	d.mu.Lock()
	noticed := make(chan struct{})
	d.failed = noticed
	d.mu.Unlock()
	p.Produce(context.Background(), r, nil)
	<-noticed
}

// inPartition returns keys of a partition.
func inPartition(p, partitions, n int) (keys []string) {
	hash := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for i := 0; len(keys) < n; i++ {
		k := fmt.Sprintf("p%d-%d", p, i)
		if hash.Partition(&kgo.Record{Key: []byte(k)}, partitions) == p {
			keys = append(keys, k)
		}
	}
	return keys
}

func (d *cutter) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = false
}

// A record without a timestamp gets that of its call; one that has one keeps it.
func TestProducerStampsRecords(t *testing.T) {
	c := prodSite(t, 1)
	p := producer(t, c, nil)
	const apart = time.Second // that clocks may be moved meanwhile
	own := c.rec("a", "own")
	own.Timestamp = time.UnixMilli(1_700_000_000_123)
	if err := p.ProduceSync(within30(t), own).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		told := make(chan *kgo.Record, 1)
		before := time.Now()
		p.Produce(t.Context(), c.rec("a", "x"), func(r *kgo.Record, _ error) { told <- r })
		after := time.Now()
		if r := <-told; r.Timestamp.Before(before.Add(-apart)) || r.Timestamp.After(after.Add(apart)) {
			t.Errorf("stamped %s, between %s and %s", r.Timestamp, before, after)
		}
	}
	if r := readLog(t, c, c.topic)[0][0]; r.Timestamp.UnixMilli() != own.Timestamp.UnixMilli() {
		t.Errorf("%s in the log, it was %s", r.Timestamp, own.Timestamp)
	}
}
