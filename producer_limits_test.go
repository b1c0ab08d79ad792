package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// underWay counts produce requests that were written and not answered.
type underWay struct {
	mu        sync.Mutex
	now, most int
	wrote     chan struct{} // one for each
}

func (u *underWay) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key != int16(kmsg.Produce) || err != nil {
		return
	}
	u.mu.Lock()
	u.now++
	u.most = max(u.most, u.now)
	u.mu.Unlock()
	select {
	case u.wrote <- struct{}{}:
	default:
	}
}

func (u *underWay) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Produce) {
		u.mu.Lock()
		u.now--
		u.mu.Unlock()
	}
}

// slowly is a dialer whose answers from the broker wait for the test.
type slowly struct {
	mu    sync.Mutex
	hold  bool
	cond  *sync.Cond
	conns []net.Conn
}

func (s *slowly) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.mu.Unlock()
	return &slowConn{conn, s}, nil
}

// lose cuts all connections, and with them the answers that wait.
func (s *slowly) lose() {
	s.mu.Lock()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
	s.hold = false
	s.mu.Unlock()
	s.cond.Broadcast()
}

type slowConn struct {
	net.Conn
	s *slowly
}

func (c *slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for c.s.hold {
		c.s.cond.Wait()
	}
	if !slices.Contains(c.s.conns, c.Conn) {
		return 0, net.ErrClosed // the answer is lost
	}
	return n, err
}

func (s *slowly) set(hold bool) {
	s.mu.Lock()
	s.hold = hold
	s.mu.Unlock()
	s.cond.Broadcast()
}

func TestProducerInFlight(t *testing.T) {
	for _, want := range []int{5, 1} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			c := prodSite(t, 20)
			u := &underWay{wrote: make(chan struct{}, 1000)}
			s := &slowly{}
			s.cond = sync.NewCond(&s.mu)
			p := producer(t, c, func(cfg *orderly.ProducerConfig) {
				cfg.MaxInFlight = want
				cfg.KafkaOpts = []kgo.Opt{kgo.WithHooks(u), kgo.Dialer(s.dial)}
			})
			ctx := within30(t)
			for _, part := range []int{0, 1} { // until the client allows itself more than one
				if err := p.ProduceSync(ctx, c.rec(inPartition(part, 20, 1)[0], "0")).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				<-u.wrote
			}
			// Partition after partition, while no answer comes.
			s.set(true)
			for part := range 20 {
				p.Produce(ctx, c.rec(inPartition(part, 20, 2)[1], "0"), nil)
				if part < want {
					<-u.wrote
				}
			}
			s.set(false)
			if err := p.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			for i := range 2000 {
				p.Produce(ctx, c.rec(strconv.Itoa(i%100), "0"), nil)
			}
			if err := p.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			u.mu.Lock()
			defer u.mu.Unlock()
			if u.most != want {
				t.Errorf("%d requests were under way at a time, want %d", u.most, want)
			}
		})
	}
}

func TestProducerRefusesRecordsWithoutKey(t *testing.T) {
	c := prodSite(t, 3)
	p := producer(t, c, nil)
	for want, r := range map[string]*kgo.Record{
		"AllowNullKey":  {Topic: c.topic, Value: []byte("v")},
		"AllowEmptyKey": {Topic: c.topic, Key: []byte{}, Value: []byte("v")},
		"no topic":      {Key: []byte("k")},
	} {
		err := p.ProduceSync(within30(t), r)[0].Err
		if !errors.Is(err, orderly.ErrNotWritten) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if len(p.ClosedKeys()) != 0 {
		t.Error("a record that was not allowed closed a key")
	}
	if err := p.ProduceSync(within30(t), c.rec("k", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestProducerAllowsRecordsWithoutKeyByName(t *testing.T) {
	c := prodSite(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.AllowNullKey, cfg.AllowEmptyKey = true, true })
	for i := range 1000 {
		p.Produce(t.Context(), &kgo.Record{Topic: c.topic, Value: []byte(strconv.Itoa(i))}, nil)
		p.Produce(t.Context(), &kgo.Record{Topic: c.topic, Key: []byte{}, Value: []byte(strconv.Itoa(i))}, nil)
	}
	if err := p.Flush(within30(t)); err != nil {
		t.Fatal(err)
	}
	empties := 0
	for part, recs := range readLog(t, c, c.topic) {
		last, nulls := -1, 0
		for _, r := range recs {
			switch {
			case r.Key != nil:
				empties++
				if want := 275646681 % 3; part != want {
					t.Fatalf("the empty key is in partition %d, in Java in %d", part, want)
				}
			default:
				nulls++
				if n, _ := strconv.Atoi(string(r.Value)); n <= last {
					t.Errorf("partition %d: null key record %d behind %d", part, n, last)
				} else {
					last = n
				}
			}
		}
		if nulls < 200 {
			t.Errorf("partition %d has %d of 1000 null keys", part, nulls)
		}
	}
	if empties != 1000 {
		t.Errorf("%d empty keys", empties)
	}
}

// sized returns a record that takes so many bytes in a batch of its own, as the
// client counts.
func (s site) sized(key string, bytes int) *kgo.Record {
	for v := bytes - 80; ; v++ {
		r := s.rec(key, strings.Repeat("x", v))
		n := 1 + 1 + 1 + 1 + len(key) + varint(v) + v + 1
		if n+varint(n)+65 == bytes {
			return r
		}
	}
}

// varint is the length of a number as a signed varint.
func varint(n int) int {
	l := 1
	for n <<= 1; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// A record is too large exactly when the client would say so; it is not sent, and
// its key closes: the next one would pass it.
func TestProducerRefusesTooLarge(t *testing.T) {
	for name, limit := range map[string]int{"MaxBatchBytes": 5000, "max.message.bytes": 3000 + 4} {
		t.Run(name, func(t *testing.T) {
			u := &underWay{wrote: make(chan struct{}, 100)}
			c := prodSite(t, 1)
			if name != "MaxBatchBytes" {
				c.topic = newTopic(t, c.Broker, 1, "max.message.bytes", "3000")
			}
			p := producer(t, c, func(cfg *orderly.ProducerConfig) {
				cfg.MaxBatchBytes = 5000
				cfg.KafkaOpts = []kgo.Opt{kgo.WithHooks(u)}
			})
			ctx := within30(t)
			if err := p.ProduceSync(ctx, c.sized("a", limit)).FirstErr(); err != nil {
				t.Fatalf("a record of the limit: %v", err)
			}
			<-u.wrote
			big := c.sized("a", limit+1)
			rs := p.ProduceSync(ctx, big, c.rec("a", "later"))
			if err := rs[0].Err; !errors.Is(err, kerr.MessageTooLarge) || !errors.Is(err, orderly.ErrNotWritten) ||
				!strings.Contains(err.Error(), strconv.Itoa(limit+1)) || closedBy(t, err).Refused {
				t.Errorf("%v", err)
			}
			if closed := closedBy(t, rs[1].Err); !closed.Refused || closed.First != big {
				t.Errorf("%v", rs[1].Err)
			}
			select {
			case <-u.wrote:
				t.Error("something was sent")
			default:
			}
			if err := p.ProduceSync(ctx, c.rec("b", "0")).FirstErr(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The client refuses one byte more than our limit only: ours is not stricter than
// the largest batch that it sends while it does not know the broker's version.
func TestProducerSizeIsTheClients(t *testing.T) {
	c := prodSite(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchMaxBytes(5000))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	// As long as the version is not known the client counts 65 bytes besides the
	// record, later 62.
	if err := cl.ProduceSync(within30(t), c.sized("a", 5001)).FirstErr(); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("%v", err)
	}
	for _, n := range []int{5000, 5003} {
		if err := cl.ProduceSync(within30(t), c.sized("a", n)).FirstErr(); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// An idle partition waits for Linger, or for a batch's worth, or for Flush.
func TestProducerLingers(t *testing.T) {
	c := prodSite(t, 1)
	const linger = 300 * time.Millisecond
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Linger = linger })
	ctx := within30(t)
	if err := p.ProduceSync(ctx, c.rec("warm", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// Only an idle partition lingers, and this one may not be idle again at once.
	sent := 1
	for took := time.Duration(0); took < linger; sent++ {
		if sent > 10 {
			t.Fatalf("sent after %s", took)
		}
		start, told := time.Now(), make(chan time.Duration)
		p.Produce(ctx, c.rec("a", "0"), func(*kgo.Record, error) { told <- time.Since(start) })
		took = <-told
	}

	// These would wait for a minute.
	p = producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Linger, cfg.MaxBatchBytes = time.Minute, 4096 })
	full := make(chan struct{}, 100)
	for range 20 {
		p.Produce(ctx, c.rec("b", strings.Repeat("x", 400)), func(*kgo.Record, error) { full <- struct{}{} })
	}
	select {
	case <-full:
	case <-ctx.Done():
		t.Fatal("a batch's worth was not sent")
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	p.Produce(ctx, c.rec("a", "1"), nil)
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(readLog(t, c, c.topic)[0]); n != sent+21 {
		t.Errorf("%d records", n)
	}
}
