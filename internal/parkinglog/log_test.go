package parkinglog

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "orderly-parked.g.orders"

func setUp(t *testing.T) (context.Context, *kgo.Client, *Log) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(append(Options(), kgo.SeedBrokers(c.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p, err := Make(ctx, cl, "orders", topic)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Create || p.Partitions != 3 || p.Configs["retention.ms"] != "-1" || p.Configs["cleanup.policy"] != "delete" {
		t.Fatalf("%+v", p)
	}
	for range 2 { // that it is there already is no error
		if err := p.Carry(ctx, cl); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(ctx, cl, topic)
	if err != nil || !found.Exists || found.Partitions != 3 || found.Replicas != p.Replicas {
		t.Fatalf("%+v, %v", found, err)
	}
	return ctx, cl, New(cl, topic, found.ID)
}

func write(ctx context.Context, t *testing.T, l *Log, e *parking.Entry) int64 {
	t.Helper()
	at := make(chan int64, 1)
	l.Write(ctx, 1, e, func(pos int64, _ parking.WriteError, err error) {
		if err != nil {
			t.Error(err)
		}
		at <- pos
	})
	return <-at
}

// fetch reads until it has n entries: the first fetch may meet a client that
// does not know the topic yet.
func fetch(ctx context.Context, t *testing.T, l *Log, from int64, n int) (all []Read) {
	t.Helper()
	for len(all) < n {
		page, err := l.Fetch(ctx, 1, from, 1<<20, 100)
		var at *PositionError
		if errors.As(err, &at) || ctx.Err() != nil {
			t.Fatal(err)
		}
		if err == nil {
			all, from = append(all, page.Entries...), page.Next
		}
	}
	return all
}

func TestEntriesComeBackFromKafka(t *testing.T) {
	ctx, _, l := setUp(t)
	want := []*parking.Entry{
		{Kind: parking.KindMarker, Token: 3, Seq: 1, Marker: &parking.MarkerBody{Owner: "a"}},
		{Kind: parking.KindParked, Token: 3, Seq: 2, Key: []byte("k"), Offset: 7, Parked: &parking.ParkedBody{Topic: "orders", Partition: 1,
			Record: parking.Record{Key: []byte("k"), Value: []byte{0, 255}, Headers: []parking.Header{{Key: "h", Value: []byte("1")}}}}},
		{Kind: parking.KindParked, Token: 3, Seq: 3, Key: []byte{}, Offset: 8, Parked: &parking.ParkedBody{Record: parking.Record{Key: []byte{}}}},
		{Kind: parking.KindResolved, Token: 3, Seq: 4, Key: []byte("k"), Offset: 7, Resolved: &parking.ResolvedBody{Last: 7}},
	}
	for i, e := range want {
		if pos := write(ctx, t, l, e); pos != int64(i) {
			t.Errorf("entry %d stands at %d", i, pos)
		}
	}
	for _, again := range []bool{false, true} { // what was just written need not be decoded, once
		for i, r := range fetch(ctx, t, l, 0, len(want)) {
			if !reflect.DeepEqual(r.Entry, want[i]) || r.Pos != int64(i) {
				t.Errorf("read    %+v (again: %v)\nwritten %+v", r.Entry, again, want[i])
			}
		}
	}
	if got := fetch(ctx, t, l, 1, 3); got[0].Pos != 1 {
		t.Errorf("from 1: %d", got[0].Pos)
	}
	if err := l.Delete(ctx, 1, 2); err != nil {
		t.Fatal(err)
	}
	page, err := l.Fetch(ctx, 1, 2, 1<<20, 0)
	if err != nil || page.Start != 2 || page.End != 4 || page.Next != 4 {
		t.Errorf("%+v, %v", page, err)
	}
}

// Something else has written to the topic: what stands before it is returned, and
// the place is named.
func TestAForeignRecordIsNamed(t *testing.T) {
	ctx, cl, l := setUp(t)
	write(ctx, t, l, &parking.Entry{Kind: parking.KindMarker, Token: 3, Seq: 1, Marker: &parking.MarkerBody{}})
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 1, Value: []byte("hello")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	write(ctx, t, l, &parking.Entry{Kind: parking.KindMarker, Token: 3, Seq: 2, Marker: &parking.MarkerBody{}})
	page, err := l.Fetch(ctx, 1, 0, 1<<20, 0)
	var at *PositionError
	var damaged *parking.DamagedError
	if !errors.As(err, &at) || at.Pos != 1 || !errors.As(err, &damaged) || len(page.Entries) != 1 || page.Next != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestAnEntryTooLargeIsSaidSo(t *testing.T) {
	ctx, _, l := setUp(t)
	got := make(chan parking.WriteError, 1)
	l.Write(ctx, 1, &parking.Entry{Kind: parking.KindParked, Parked: &parking.ParkedBody{Record: parking.Record{Value: make([]byte, 3<<20)}}},
		func(_ int64, why parking.WriteError, err error) {
			if err == nil {
				t.Error("written")
			}
			got <- why
		})
	if why := <-got; why != parking.TooLarge {
		t.Errorf("%v", why)
	}
	// A write that was given up may have happened.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	l.Write(gone, 1, &parking.Entry{Kind: parking.KindSettled}, func(_ int64, why parking.WriteError, _ error) { got <- why })
	if why := <-got; why != parking.Unknown {
		t.Errorf("%v", why)
	}
}

func TestTheTopicGrowsWithItsSource(t *testing.T) {
	ctx, cl, _ := setUp(t)
	if _, err := kadm.NewClient(cl).UpdatePartitions(ctx, 5, "orders"); err != nil {
		t.Fatal(err)
	}
	p, err := Make(ctx, cl, "orders", topic)
	if err != nil || p.Create || !p.Grow || p.Partitions != 5 {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := p.Carry(ctx, cl); err != nil {
		t.Fatal(err)
	}
	if p, err = Make(ctx, cl, "orders", topic); err != nil || p.Grow || p.Create {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Make(ctx, cl, "nothing", topic); err == nil {
		t.Error("a source topic that is not there is taken")
	}
}
