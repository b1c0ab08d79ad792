package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// outage makes a producer whose connections the test can cut.
func outage(t *testing.T, c kafka, timeout time.Duration) (*orderly.Producer, *cutter) {
	d := &cutter{}
	return producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.DeliveryTimeout = timeout
		cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(d.dial), fast, kgo.MetadataMinAge(20 * time.Millisecond)}
	}), d
}

// Broker down before anything is sent: records wait until their deadline and are
// surely not written.
func TestProducerBrokerDownNotWritten(t *testing.T) {
	c := prodSite(t, 2)
	p, d := outage(t, c, time.Second)
	ctx := within30(t)
	a, b, other := inPartition(0, 2, 2)[0], inPartition(0, 2, 2)[1], inPartition(1, 2, 1)[0]
	if err := p.ProduceSync(ctx, c.rec(a, "0"), c.rec(b, "0"), c.rec(other, "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cutAndNoticed(p, c.rec(other, "1"))
	start := time.Now()
	rs := p.ProduceSync(ctx, c.rec(a, "1"), c.rec(b, "1"), c.rec(a, "2"))
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
	ascending(t, byKey(t, readLog(t, c, c.topic)))
}

// Broker down for less than the deadline: nothing happens.
func TestProducerBrokerBackInTime(t *testing.T) {
	c := prodSite(t, 2)
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
		p.Produce(t.Context(), c.rec(fmt.Sprintf("k%d", i%10), strconv.Itoa(i/10)), told.add)
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
	keys := byKey(t, readLog(t, c, c.topic))
	ascending(t, keys)
	for k, vs := range keys {
		if len(vs) != 200 {
			t.Errorf("key %s: %d records", k, len(vs))
		}
	}
}

func TestProducerBufferIsBounded(t *testing.T) {
	c := prodSite(t, 1)
	d := &cutter{}
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.Buffer.Records = 10
		cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(d.dial), fast}
	})
	ctx := within30(t)
	if err := p.ProduceSync(ctx, c.rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cut()
	var told results
	for i := range 10 {
		p.Produce(ctx, c.rec("a", strconv.Itoa(i+1)), told.add)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	p.Produce(short, c.rec("b", "0"), told.add) // returns only because its context ends
	if short.Err() == nil {
		t.Error("an eleventh record was taken in")
	}
	p.Produce(ctx, &kgo.Record{Topic: c.topic}, told.add) // refused without room
	waits := make(chan struct{})
	go func() { p.Produce(ctx, c.rec("c", "0"), told.add); close(waits) }()
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
	if err := p.ProduceSync(ctx, c.rec("b", "1"))[0].Err; !closedBy(t, err).Refused {
		t.Errorf("%v", err)
	}
	ascending(t, byKey(t, readLog(t, c, c.topic)))
}

func TestProducerBufferBoundsBytes(t *testing.T) {
	c := prodSite(t, 1)
	d := &cutter{}
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.MaxBatchBytes, cfg.Buffer.Bytes = 1024, 4096
		cfg.KafkaOpts = []kgo.Opt{kgo.Dialer(d.dial), fast}
	})
	if err := p.ProduceSync(within30(t), c.rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cut()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	taken := 0
	for short.Err() == nil {
		p.Produce(short, c.rec(strconv.Itoa(taken), strings.Repeat("x", 700)), nil)
		taken++
	}
	if taken != 5 { // four of 957 bytes, and the one that waited in vain
		t.Errorf("%d records were given until one waited", taken)
	}
	d.mend()
}

func TestProducerCloseWaitsForAll(t *testing.T) {
	c := prodSite(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Linger = time.Minute })
	var told results
	for i := range 3000 {
		p.Produce(t.Context(), c.rec(fmt.Sprintf("k%d", i%30), strconv.Itoa(i/30)), told.add)
	}
	if err := p.Close(within30(t)); err != nil {
		t.Fatal(err)
	}
	for _, r := range told.get() {
		if r.err != nil {
			t.Fatal(r.err)
		}
	}
	if n := len(told.get()); n != 3000 {
		t.Errorf("%d told", n)
	}
	ascending(t, byKey(t, readLog(t, c, c.topic)))
	err := p.ProduceSync(t.Context(), c.rec("k0", "100"))[0].Err
	if !errors.Is(err, orderly.ErrProducerClosed) || !errors.Is(err, orderly.ErrNotWritten) {
		t.Errorf("after Close: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// What is unsent at the deadline of Close is returned by name.
func TestProducerCloseNamesWhatIsUnsent(t *testing.T) {
	c := prodSite(t, 2)
	p, d := outage(t, c, time.Minute)
	ctx := within30(t)
	keys, other := inPartition(0, 2, 2), inPartition(1, 2, 1)[0]
	if err := p.ProduceSync(ctx, c.rec(keys[0], "0"), c.rec(other, "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cutAndNoticed(p, c.rec(other, "1"))
	var told results
	for i := range 7 {
		p.Produce(ctx, c.rec(keys[i%2], strconv.Itoa(i)), told.add)
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
		unsent.Keys[1].Records != 3 || unsent.Keys[1].Maybe != 0 || unsent.Keys[1].Topic != c.topic || unsent.Keys[1].Partition != 0 ||
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

func TestProducerSyncReturnsWithItsContext(t *testing.T) {
	c := prodSite(t, 1)
	p, d := outage(t, c, time.Minute)
	if err := p.ProduceSync(within30(t), c.rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.cut()
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	rs := p.ProduceSync(short, c.rec("a", "1"))
	if err := rs[0].Err; !errors.Is(err, orderly.ErrMaybeWritten) || !errors.Is(err, context.DeadlineExceeded) || string(rs[0].Record.Value) != "1" {
		t.Errorf("%v", err)
	}
	d.mend()
	// It is not given up: what follows is written behind it.
	if err := p.ProduceSync(within30(t), c.rec("a", "2")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ascending(t, byKey(t, readLog(t, c, c.topic)))
}

// Broker down in the middle of a stream: each record has an outcome, and the log
// agrees with it. Of each key it has what was acknowledged, in order, then at most
// what may have been written, and nothing that is said not to be.
func TestProducerBrokerDownInTheMiddle(t *testing.T) {
	for range 3 {
		after := 1 + rand.IntN(20_000)
		t.Run(fmt.Sprintf("after-%d", after), func(t *testing.T) {
			c := prodSite(t, 3)
			p, d := outage(t, c, time.Second)
			ctx := within30(t)
			keys := names("k", 30)
			var told results
			var count, failed atomic.Int64
			for i := 0; failed.Load() < 1000; i++ {
				for _, k := range keys {
					p.Produce(ctx, c.rec(k, strconv.Itoa(i)), func(r *kgo.Record, err error) {
						if told.add(r, err); err != nil {
							failed.Add(1)
						}
						if count.Add(1) == int64(after) {
							d.cut()
						}
					})
				}
			}
			if err := p.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			d.mend()
			p.ClearAll()
			for _, k := range keys { // behind what the client still holds
				if err := p.ProduceSync(ctx, c.rec(k, "end")).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			acked, maybe := map[string][]string{}, map[string][]string{}
			for _, r := range told.get() {
				k, v := string(r.rec.Key), string(r.rec.Value)
				switch {
				case r.err == nil:
					acked[k] = append(acked[k], v)
				default:
					closedBy(t, r.err)
					if errors.Is(r.err, orderly.ErrMaybeWritten) {
						maybe[k] = append(maybe[k], v)
					}
				}
			}
			log := byKey(t, readLog(t, c, c.topic))
			for _, k := range keys {
				got, n := log[k], len(acked[k])
				if len(got) <= n || !slices.Equal(got[:n], acked[k]) {
					t.Errorf("key %s: %d records in the log, %d were acknowledged, or they are others", k, len(got), n)
					continue
				}
				rest := got[n : len(got)-1]
				if got[len(got)-1] != "end" || len(rest) > 0 && !slices.Equal(rest, maybe[k][:min(len(rest), len(maybe[k]))]) {
					t.Errorf("key %s: the log goes on with %v, and may with %v", k, got[n:], maybe[k])
				}
			}
		})
	}
}
