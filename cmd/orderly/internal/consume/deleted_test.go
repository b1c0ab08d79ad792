package consume

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cut deletes partition 0's records before an offset, as retention does.
func cut(t *testing.T, b *orderlytest.Broker, offset int64) {
	t.Helper()
	var before kadm.Offsets
	before.Add(kadm.Offset{Topic: topic, Partition: 0, At: offset, LeaderEpoch: -1})
	if _, err := b.Admin().DeleteRecords(limit(t), before); err != nil {
		t.Fatal(err)
	}
}

// fill writes n records of a size to partition 0.
func fill(t *testing.T, b *orderlytest.Broker, n, size int) {
	t.Helper()
	for range n {
		r := &kgo.Record{Topic: topic, Partition: 0, Key: []byte("k"), Value: []byte(strings.Repeat("x", size))}
		if err := b.Client().ProduceSync(limit(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// A log that was deleted before the group's first run, as a whole or in part: what
// is left is handled, and the end is reached.
func TestTheLogWasDeleted(t *testing.T) {
	for _, c := range []struct {
		name   string
		to     int64
		handed int64
	}{{"all", 10, 0}, {"a part", 7, 3}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := orderlytest.NewBroker(t, topic)
			fill(t, b, 10, 1)
			cut(t, b, c.to)
			res, err := Run(limit(t), options(t, b, new(lines)))
			if err != nil || !res.AtEnd || res.Done != c.handed {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// Retention has overtaken the group: the run ends with an error that says which
// records are gone, and never waits for them.
func TestTheLogWasDeletedAboveTheCommit(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	fill(t, b, 5, 1)
	if _, err := Run(limit(t), options(t, b, new(lines))); err != nil {
		t.Fatal(err)
	}
	fill(t, b, 5, 1)
	cut(t, b, 8)
	res, err := Run(limit(t), options(t, b, new(lines)))
	gone, ok := errors.AsType[*orderly.OffsetRangeError](err)
	if !ok || gone.Offset != 5 || gone.Start != 8 || res.AtEnd {
		t.Errorf("%+v, %v", res, err)
	}
}

// The same in the middle of a run, before the end that was seen at its start:
// what was read already is handled, and the rest is named.
func TestTheLogIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	const n = 1000
	fill(t, b, n, 1)
	out := &lines{got: func(i int) {
		if i == 1 {
			cut(t, b, n)
		}
	}}
	o := options(t, b, out)
	o.Concurrency = 1
	o.Cluster.Opts = append(o.Cluster.Opts, kgo.FetchMaxPartitionBytes(1)) // one of them in each fetch
	res, err := Run(limit(t), o)
	gone, ok := errors.AsType[*orderly.OffsetRangeError](err)
	if !ok || gone.Start != n || gone.Offset < 1 || res.AtEnd {
		t.Errorf("%+v, %v", res, err)
	}
	if handed := len(out.records(t)); res.Done < 1 || int64(handed) != res.Done || res.Done >= n {
		t.Errorf("%d printed, %d done", handed, res.Done)
	}
}

// What was never handed over to anybody is deleted below a commit that stays: the
// records of an aborted transaction. There is nothing left to wait for.
func TestTheLogIsDeletedBelowTheEnd(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	fill(t, b, 3, 1)
	abort := begin(t, b, "a", 3)
	begin(t, b, "b", 1) // stays open: the abort's marker is behind it
	abort(false)
	end := b.End(topic, 0)
	w := &watch{cl: b.Client(), adm: b.Admin(), topic: topic}
	for _, c := range []struct {
		cut, from, to int64
		held, want    bool
	}{
		{0, 3, 6, false, true},
		{0, 2, 6, false, false},
		{4, 2, 6, false, true},
		{4, 2, 6, true, false}, // somebody may have the record at 2
		{6, 2, 6, false, true},
		{6, 2, end, false, false}, // the open transaction's
	} {
		cut(t, b, c.cut)
		if got, err := w.nothingBetween(limit(t), 0, c.from, c.to, c.held); err != nil || got != c.want {
			t.Errorf("log from %d: nothing from %d to %d: %v, %v", c.cut, c.from, c.to, got, err)
		}
	}
}
