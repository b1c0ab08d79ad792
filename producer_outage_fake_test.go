package orderly_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

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

// Disk full under the broker: it answers that it cannot write. As long as that
// passes within the deadline nothing happens; else the records fail and their keys
// close. What reached the disk before the error nobody can tell.
func TestProducerDiskFull(t *testing.T) {
	c := prodCluster(t, 1)
	p, _ := outage(t, c, time.Second)
	ctx := within30(t)
	refuse(c, kerr.KafkaStorageError, 5)
	if err := p.ProduceSync(ctx, rec("a", "0"), rec("a", "1")).FirstErr(); err != nil {
		t.Fatalf("there was room again in time: %v", err)
	}
	full := refuse(c, kerr.KafkaStorageError, -1)
	var told results
	p.Produce(ctx, rec("a", "2"), told.add)
	if err := full.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	p.Produce(ctx, rec("a", "3"), told.add)
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{orderly.ErrMaybeWritten, orderly.ErrNotWritten} {
		r := told.get()[i]
		closed := closedBy(t, r.err)
		if !errors.Is(r.err, want) || string(closed.First.Value) != "2" {
			t.Errorf("record %d: %v, want %v", i, r.err, want)
		}
	}
	full.Remove()
	p.ClearAll()
	if err := p.ProduceSync(ctx, rec("a", "4")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if vs := byKey(t, readLog(t, c, "t"))["a"]; !slices.Equal(vs, []string{"0", "1", "4"}) {
		t.Errorf("log: %v", vs)
	}
}
