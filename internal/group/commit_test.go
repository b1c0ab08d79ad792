package group

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What an owner before us had done stays known until we have read it, and the two
// parts meet where the snapshot ends, also when the ring has grown since: a record
// in between that nobody names would run after a later one of its key.
func TestInheritedDoneAheadMeetsTheSnapshot(t *testing.T) {
	t.Parallel()
	ring := progress.NewRing(500)
	if _, err := ring.Append(500); err != nil {
		t.Fatal(err)
	}
	var snap progress.Snapshot
	ring.Snapshot(&snap, 0)
	if err := ring.AppendDone(1000); err != nil { // read while we look
		t.Fatal(err)
	}
	before := progress.Meta{CompleteUpTo: 6000, Ahead: []progress.Run{{From: 1000, To: 1001}, {From: 5000, To: 5001}}}
	ahead, upTo := inherit(&snap, before)
	if s := fmt.Sprint(ahead, upTo); s != "[{1000 1001} {5000 5001}] 6000" {
		t.Errorf("inherited %s", s)
	}
}

// Several partitions of one commit are refused for one limit: it is halved once.
func TestMetadataLimitIsHalvedOnceForACommit(t *testing.T) {
	t.Parallel()
	s := New(Config{Logger: slog.New(slog.DiscardHandler)})
	for range 5 {
		it := commitItem{limit: 4096, err: kerr.OffsetMetadataTooLarge}
		if got := s.judge(&it); got != tryAgain {
			t.Errorf("judged %v", got)
		}
	}
	if n := s.metaLimit.Load(); n != 2048 {
		t.Errorf("limit %d after one commit of five partitions, want 2048", n)
	}
	s.judge(&commitItem{limit: 200, err: kerr.OffsetMetadataTooLarge})
	var refused *AccessError
	if err := <-s.failed; !errors.As(err, &refused) || refused.Operation != "OffsetCommit" {
		t.Errorf("a limit that leaves no room for the token: %v", err)
	}
}

type noParking struct{ Parking }

func (noParking) MinLimit() int { return 60 }

// Where there is little room for metadata, fewer records are named with which processes
// ended: a commit that fails for them would fail for ever.
func TestCommitNamesFewerEndsWhereThereIsLittleRoom(t *testing.T) {
	t.Parallel()
	for _, parking := range []Parking{nil, noParking{}} {
		s := New(Config{Logger: slog.New(slog.DiscardHandler), Parking: parking})
		guard := progress.Field{Tag: "guard", Value: "0123456789abcdef0123456789abcdef.1234.1"}
		var ended []progress.Attempt
		for i := range int64(16) {
			ended = append(ended, progress.Attempt{Offset: 1<<40 + i<<20, Count: 3})
		}
		m := progress.Meta{Token: 1 << 40, TopicID: [16]byte{1}, Extra: progress.WithEnded([]progress.Field{guard}, 0, ended)}
		text, dropped, err := s.encode(1<<40, m, progress.MinLimit+60)
		if err != nil || dropped.Extra > 0 {
			t.Fatalf("%v, %d fields are left out", err, dropped.Extra)
		}
		got, err := progress.Decode(1<<40, text)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(progress.Ended(got.Extra)); n < 2 || n == len(ended) || progress.Ended(got.Extra)[0] != ended[0] {
			t.Errorf("%d are named, of %d", n, len(ended))
		}
		if got.Extra[0] != guard {
			t.Errorf("%+v", got.Extra)
		}
	}
}

// A session timeout that the brokers do not allow never passes.
func TestSessionTimeoutRefused(t *testing.T) {
	t.Parallel()
	s := New(Config{Group: "g", Logger: slog.New(slog.DiscardHandler)})
	s.sessionError(kerr.InvalidSessionTimeout)
	var refused *AccessError
	if err := <-s.failed; !errors.As(err, &refused) || refused.Operation != "Join" {
		t.Errorf("failed with %v", err)
	}
}
