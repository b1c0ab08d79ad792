package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// outage makes a producer whose connections the test can cut.
func outage(t *testing.T, c *kfake.Cluster, timeout time.Duration) (*orderly.Producer, *cutter) {
	d := &cutter{}
	return producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.DeliveryTimeout = timeout
		cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(d.dial), fast, kgo.MetadataMinAge(20 * time.Millisecond)}
	}), d
}

// Broker down before anything is sent: records wait until their deadline and are
// surely not written.
func TestProducerBrokerDownNotWritten(t *testing.T) {
	c := prodCluster(t, 2)
	p, d := outage(t, c, time.Second)
	ctx := within30(t)
	a, b, other := inPartition(0, 2, 2)[0], inPartition(0, 2, 2)[1], inPartition(1, 2, 1)[0]
	if err := p.ProduceSync(ctx, rec(a, "0"), rec(b, "0"), rec(other, "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cutAndNoticed(p, rec(other, "1"))
	start := time.Now()
	rs := p.ProduceSync(ctx, rec(a, "1"), rec(b, "1"), rec(a, "2"))
	if took := time.Since(start); took < 600*time.Millisecond {
		t.Errorf("given up after %s", took)
	}
	for _, r := range rs {
		closed := closedBy(t, r.Err)
		if !errors.Is(r.Err, orderly.ErrNotWritten) || !errors.Is(r.Err, errCut) {
			t.Errorf("%v", r.Err)
		}
		if string(closed.First.Value) != "1" {
			t.Errorf("first failed record %s", closed.First.Value)
		}
	}
	d.mend()
	p.ClearAll()
	for _, r := range rs {
		if err := p.ProduceSync(ctx, r.Record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	ascending(t, byKey(t, readLog(t, c, "t")))
}

// Broker down for less than the deadline: nothing happens.
func TestProducerBrokerBackInTime(t *testing.T) {
	c := prodCluster(t, 2)
	p, d := outage(t, c, time.Minute)
	var told results
	for i := range 2000 {
		if i == 500 {
			if err := p.Flush(within30(t)); err != nil {
				t.Fatal(err)
			}
		}
		if i%400 == 399 {
			d.cut()
		}
		p.Produce(t.Context(), rec(fmt.Sprintf("k%d", i%10), strconv.Itoa(i/10)), told.add)
		if i%400 == 399 {
			d.mend()
		}
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
	for k, vs := range keys {
		if len(vs) != 200 {
			t.Errorf("key %s: %d records", k, len(vs))
		}
	}
}

// A batch is written and its answer never comes: its records may have been
// written; what was never sent is not. When the broker answers again, the
// partition goes on behind them.
func TestProducerUnknownOutcome(t *testing.T) {
	c := prodCluster(t, 1)
	p, _ := outage(t, c, time.Second)
	ctx := within30(t)
	if err := p.ProduceSync(ctx, rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	unanswered := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: kerr.RequestTimedOut, Count: -1})
	var told results
	sent := rec("a", "1")
	p.Produce(ctx, sent, told.add)
	if err := unanswered.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	p.Produce(ctx, rec("a", "2"), told.add)
	p.Produce(ctx, rec("b", "0"), told.add)
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got := told.get()
	if len(got) != 3 {
		t.Fatalf("told %d times", len(got))
	}
	for i, want := range []error{orderly.ErrMaybeWritten, orderly.ErrNotWritten, orderly.ErrNotWritten} {
		closed := closedBy(t, got[i].err)
		if !errors.Is(got[i].err, want) {
			t.Errorf("record %d: %v, want %v", i, got[i].err, want)
		}
		if first := string(closed.First.Value); i < 2 && first != "1" {
			t.Errorf("record %d: first failed record %s", i, first)
		}
	}
	if got[0].rec == sent || string(got[0].rec.Value) != "1" {
		t.Error("the client may still write to the record that the caller has back")
	}
	unanswered.Remove()
	p.ClearAll()
	if err := p.ProduceSync(ctx, rec("a", "3")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if vs := byKey(t, readLog(t, c, "t"))["a"]; !slices.Equal(vs, []string{"0", "1", "3"}) {
		t.Errorf("log: %v", vs)
	}
}

// A batch is written and its answer is lost; the next tries are answered, and say
// that nothing was written. The record is in the log all the same.
func TestProducerLostAnswerMayBeWritten(t *testing.T) {
	for _, later := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.TopicAuthorizationFailed} {
		t.Run(later.Message, func(t *testing.T) {
			c := prodCluster(t, 1)
			s := &slowly{}
			s.cond = sync.NewCond(&s.mu)
			p := producer(t, c, func(cfg *orderly.ProducerConfig) {
				cfg.DeliveryTimeout = 2 * time.Second
				cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(s.dial), fast, kgo.MetadataMinAge(20 * time.Millisecond)}
			})
			ctx := within30(t)
			if err := p.ProduceSync(ctx, rec("a", "0")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			s.set(true)
			told := make(chan error, 1)
			p.Produce(ctx, rec("a", "1"), func(_ *kgo.Record, err error) { told <- err })
			for c.PartitionInfo("t", 0).HighWatermark < 2 && ctx.Err() == nil {
				runtime.Gosched() // until it is written
			}
			refuse(c, later, -1)
			s.lose()
			if err := <-told; !errors.Is(err, orderly.ErrMaybeWritten) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestProducerBufferIsBounded(t *testing.T) {
	c := prodCluster(t, 1)
	d := &cutter{}
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.Buffer.Records = 10
		cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(d.dial), fast}
	})
	ctx := within30(t)
	if err := p.ProduceSync(ctx, rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cut()
	var told results
	for i := range 10 {
		p.Produce(ctx, rec("a", strconv.Itoa(i+1)), told.add)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	p.Produce(short, rec("b", "0"), told.add) // returns only because its context ends
	if short.Err() == nil {
		t.Error("an eleventh record was taken in")
	}
	p.Produce(ctx, &kgo.Record{Topic: "t"}, told.add) // refused without room
	waits := make(chan struct{})
	go func() { p.Produce(ctx, rec("c", "0"), told.add); close(waits) }()
	d.mend()
	<-waits
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, r := range told.get() {
		switch {
		case r.err == nil:
			continue
		case string(r.rec.Key) == "b":
			closed := closedBy(t, r.err)
			if !errors.Is(r.err, context.DeadlineExceeded) || !errors.Is(r.err, orderly.ErrNotWritten) || closed.Refused {
				t.Errorf("%v", r.err)
			}
		}
		failed++
	}
	if failed != 2 {
		t.Errorf("%d of 13 records failed", failed)
	}
	// What was not taken in closes its key: the next one would pass it.
	if err := p.ProduceSync(ctx, rec("b", "1"))[0].Err; !closedBy(t, err).Refused {
		t.Errorf("%v", err)
	}
	ascending(t, byKey(t, readLog(t, c, "t")))
}

func TestProducerBufferBoundsBytes(t *testing.T) {
	c := prodCluster(t, 1)
	d := &cutter{}
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.MaxBatchBytes, cfg.Buffer.Bytes = 1024, 4096
		cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(d.dial), fast}
	})
	if err := p.ProduceSync(within30(t), rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cut()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	taken := 0
	for short.Err() == nil {
		p.Produce(short, rec(strconv.Itoa(taken), strings.Repeat("x", 700)), nil)
		taken++
	}
	if taken != 5 { // four of 957 bytes, and the one that waited in vain
		t.Errorf("%d records were given until one waited", taken)
	}
	d.mend()
}

func TestProducerCloseWaitsForAll(t *testing.T) {
	c := prodCluster(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Linger = time.Minute })
	var told results
	for i := range 3000 {
		p.Produce(t.Context(), rec(fmt.Sprintf("k%d", i%30), strconv.Itoa(i/30)), told.add)
	}
	if err := p.Close(within30(t)); err != nil {
		t.Fatal(err)
	}
	if n := len(told.get()); n != 3000 {
		t.Errorf("%d told", n)
	}
	ascending(t, byKey(t, readLog(t, c, "t")))
	err := p.ProduceSync(t.Context(), rec("k0", "100"))[0].Err
	if !errors.Is(err, orderly.ErrProducerClosed) || !errors.Is(err, orderly.ErrNotWritten) {
		t.Errorf("after Close: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// What is unsent at the deadline of Close is returned by name.
func TestProducerCloseNamesWhatIsUnsent(t *testing.T) {
	c := prodCluster(t, 2)
	p, d := outage(t, c, time.Minute)
	ctx := within30(t)
	keys, other := inPartition(0, 2, 2), inPartition(1, 2, 1)[0]
	if err := p.ProduceSync(ctx, rec(keys[0], "0"), rec(other, "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cutAndNoticed(p, rec(other, "1"))
	var told results
	for i := range 7 {
		p.Produce(ctx, rec(keys[i%2], strconv.Itoa(i)), told.add)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := p.Close(short)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %s", took)
	}
	var unsent *orderly.UnsentError
	if !errors.As(err, &unsent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Close: %v", err)
	}
	if len(unsent.Keys) != 3 || string(unsent.Keys[0].Key) != keys[0] || unsent.Keys[0].Records != 4 || unsent.Keys[0].Maybe != 0 ||
		unsent.Keys[1].Records != 3 || unsent.Keys[1].Maybe != 0 || unsent.Keys[1].Topic != "t" || unsent.Keys[1].Partition != 0 ||
		unsent.Keys[2].Records != 1 || unsent.Keys[2].Maybe != 1 || string(unsent.Keys[2].Key) != other {
		t.Errorf("unsent %+v", unsent.Keys)
	}
	for _, want := range []string{"8 records of 3 keys", "1 of which may have been written", fmt.Sprintf("key %q: 4", keys[0])} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	for _, r := range told.get() {
		if !errors.Is(r.err, orderly.ErrProducerClosed) || !errors.Is(r.err, orderly.ErrNotWritten) {
			t.Errorf("%v", r.err)
		}
	}
	if n := len(told.get()); n != 7 {
		t.Errorf("%d told", n)
	}
}

// The same while an answer is awaited: the record may have been written.
func TestProducerCloseWithUnknownOutcome(t *testing.T) {
	c := prodCluster(t, 1)
	p, _ := outage(t, c, time.Minute)
	ctx := within30(t)
	if err := p.ProduceSync(ctx, rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: kerr.RequestTimedOut, Count: -1})
	p.Produce(ctx, rec("a", "1"), nil)
	if err := f.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	var unsent *orderly.UnsentError
	if err := p.Close(short); !errors.As(err, &unsent) || unsent.Keys[0].Maybe != 1 {
		t.Errorf("Close: %v", err)
	}
}

func TestProducerSyncReturnsWithItsContext(t *testing.T) {
	c := prodCluster(t, 1)
	p, d := outage(t, c, time.Minute)
	if err := p.ProduceSync(within30(t), rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cut()
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	rs := p.ProduceSync(short, rec("a", "1"))
	if err := rs[0].Err; !errors.Is(err, orderly.ErrMaybeWritten) || !errors.Is(err, context.DeadlineExceeded) || string(rs[0].Record.Value) != "1" {
		t.Errorf("%v", err)
	}
	d.mend()
	// It is not given up: what follows is written behind it.
	if err := p.ProduceSync(within30(t), rec("a", "2")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ascending(t, byKey(t, readLog(t, c, "t")))
}
