package orderly_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The same record sent again keeps its number, and no other gets it.
func TestProducerSequenceSentAgainKeepsNumber(t *testing.T) {
	c := prodCluster(t, 1)
	p := producer(t, c, numbering)
	ctx := within30(t)
	if err := p.ProduceSync(ctx, rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	refuse(c, kerr.InvalidRecord, 1)
	failed := []*kgo.Record{rec("a", "1"), rec("a", "2"), rec("a", "3")}
	for _, r := range p.ProduceSync(ctx, failed...) {
		closedBy(t, r.Err)
	}
	first := headers(t, failed[0])
	if first.number != 2 {
		t.Errorf("numbered %+v", first)
	}
	p.Clear("t", []byte("a"))
	for i := range 3 { // some of them had no number, as they were refused
		if err := p.ProduceSync(ctx, failed[i]).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if again := headers(t, failed[0]); again != first {
		t.Errorf("%+v became %+v", first, again)
	}
	if err := p.ProduceSync(ctx, rec("a", "4")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i, r := range readLog(t, c, "t")[0] {
		if n := headers(t, r); n.number != uint64(i+1) || string(r.Value) != strconv.Itoa(i) {
			t.Errorf("record %d: %+v value %s", i, n, r.Value)
		}
	}
}

// A record that failed keeps its number for itself: filled with another value, or
// sent again twice, it is another record.
func TestProducerSequenceOfFailedRecords(t *testing.T) {
	c := prodCluster(t, 1)
	p := producer(t, c, numbering)
	ctx := within30(t)
	fail := func(r *kgo.Record) *kgo.Record {
		t.Helper()
		refuse(c, kerr.UnknownServerError, 1)
		res := p.ProduceSync(ctx, r)[0]
		closedBy(t, res.Err)
		p.Clear("t", r.Key)
		return res.Record
	}
	send := func(r *kgo.Record, want uint64) {
		t.Helper()
		if err := p.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if n := headers(t, r); n.number != want {
			t.Errorf("%s: %+v, want number %d", r.Value, n, want)
		}
	}
	filled := fail(rec("a", "one")) // number 1
	filled.Value = []byte("two")
	send(filled, 2)
	again := fail(rec("a", "three"))
	if r := fail(again); headers(t, r).number != 3 {
		t.Errorf("failed again: %+v", headers(t, r))
	}
	twin := *again
	send(again, 3)
	send(&twin, 4)
	send(again, 5) // it was acknowledged since
}

// A record that ProduceSync did not wait for has its number when its copy is sent
// again: who reads both sees that they are one.
func TestProducerSequenceOfAbandonedRecords(t *testing.T) {
	c := prodCluster(t, 1)
	p := producer(t, c, numbering)
	if err := p.ProduceSync(within30(t), rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	came, answer := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		close(came)
		c.SleepControl(func() { <-answer })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(within30(t))
	go func() {
		<-came
		cancel()
	}()
	left := p.ProduceSync(ctx, rec("a", "1"))[0]
	close(answer)
	if !errors.Is(left.Err, orderly.ErrMaybeWritten) || left.Record == nil {
		t.Fatalf("%+v", left)
	}
	if err := p.ProduceSync(within30(t), left.Record, rec("a", "2")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, r := range readLog(t, c, "t")[0] {
		got = append(got, headers(t, r).number)
	}
	if !slices.Equal(got, []uint64{1, 2, 2, 3}) {
		t.Errorf("numbers %v", got)
	}
}
