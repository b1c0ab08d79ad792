package progress

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func mustAppend(t testing.TB, r *Ring, offset int64) Slot {
	t.Helper()
	slot, err := r.Append(offset)
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

func sequence(from int64, n int) []int64 {
	offsets := make([]int64, n)
	for i := range offsets {
		offsets[i] = from + int64(i)
	}
	return offsets
}

func take(r *Ring) *Snapshot {
	s := new(Snapshot)
	r.Snapshot(s, 0)
	return s
}

func TestEmptyRingStandsAtItsStart(t *testing.T) {
	r := NewRing(42)
	s := take(r)
	if s.Watermark != 42 || s.CompleteUpTo != 42 || len(s.Runs) != 0 || s.Window != 0 || s.Ahead != 0 {
		t.Errorf("snapshot = %+v, want everything at 42", s)
	}
	if r.NextOffset() != 42 || r.Len() != 0 || r.Reclaim() != 0 {
		t.Errorf("next %d, len %d, want 42 and 0", r.NextOffset(), r.Len())
	}
}

func TestOffsetsThatDoNotIncreaseAreRefused(t *testing.T) {
	r := NewRing(10)
	refused := func(err error, offset, next int64) {
		t.Helper()
		var order *OrderError
		if !errors.As(err, &order) || order.Offset != offset || order.Next != next {
			t.Errorf("error = %v, want an OrderError for %d with next %d", err, offset, next)
		}
	}
	slot, err := r.Append(9)
	refused(err, 9, 10)
	slot.Done() // of nobody
	mustAppend(t, r, 10)
	_, err = r.Append(10)
	refused(err, 10, 11)
	refused(r.AppendDone(4), 4, 11)
	_, err = r.Append(math.MaxInt64)
	refused(err, math.MaxInt64, 11)

	slots, err := r.AppendN([]int64{20, 21, 21, 22}, nil)
	refused(err, 21, 22)
	if len(slots) != 2 {
		t.Fatalf("%d slots, want those of the two records before the refused one", len(slots))
	}
	for _, slot := range slots {
		slot.Done()
	}
	if s := take(r); s.Watermark != 10 || s.Window != 3 || !slices.Equal(s.Runs, []Run{{20, 22}}) {
		t.Errorf("snapshot = %+v, want 10 open and [20, 22) done", s)
	}
}

func TestAppendNPublishesAcrossSegments(t *testing.T) {
	r := NewRing(0)
	n := 2*segmentSlots + 7
	slots, err := r.AppendN(sequence(5, n), make([]Slot, 3))
	if err != nil || len(slots) != n+3 {
		t.Fatalf("%d slots, %v; want %d after the 3 that were there", len(slots), err, n)
	}
	if r.Len() != n || r.NextOffset() != int64(5+n) {
		t.Fatalf("len %d, next %d", r.Len(), r.NextOffset())
	}
	for i := n - 1; i >= 0; i-- {
		slots[3+i].Done()
		s := take(r)
		want := Snapshot{Watermark: 5, CompleteUpTo: int64(5 + n)}
		if i == 0 {
			want.Watermark = want.CompleteUpTo
		}
		if s.Watermark != want.Watermark || s.CompleteUpTo != want.CompleteUpTo {
			t.Fatalf("after %d: %+v, want %+v", i, s, want)
		}
	}
}

func TestReclaimDropsWhatIsDone(t *testing.T) {
	r := NewRing(0)
	slots, err := r.AppendN(sequence(100, 3*segmentSlots), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots[1:] {
		slot.Done()
	}
	if n := r.Reclaim(); n != 3*segmentSlots || len(r.segs) != 3 {
		t.Fatalf("len %d in %d segments behind one open record, want all", n, len(r.segs))
	}
	slots[0].Done()
	if n := r.Len(); n != 3*segmentSlots {
		t.Errorf("len %d before Reclaim, want what it was", n)
	}
	if n := r.Reclaim(); n != 0 || len(r.segs) != 0 {
		t.Fatalf("len %d in %d segments, want nothing", n, len(r.segs))
	}
	end := int64(100 + 3*segmentSlots)
	if s := take(r); s.Watermark != end || r.NextOffset() != end {
		t.Errorf("watermark %d, next %d, want %d", s.Watermark, r.NextOffset(), end)
	}

	// A slot held beyond its segment's end marks nobody else's record.
	slot := mustAppend(t, r, end+5)
	for _, late := range slots {
		late.Done()
	}
	if s := take(r); s.Watermark != end+5 || s.Window != 1 || r.Reclaim() != 1 {
		t.Errorf("snapshot = %+v, want the new record open", s)
	}
	slot.Done()
	if r.Reclaim() != 0 || take(r).Watermark != end+6 {
		t.Errorf("len %d, watermark %d after the last record", r.Len(), take(r).Watermark)
	}
}

func TestUndoneGoesUpAndStops(t *testing.T) {
	r := NewRing(0)
	slots, err := r.AppendN(sequence(0, segmentSlots+10), nil)
	if err != nil {
		t.Fatal(err)
	}
	open := []int64{0, 63, 64, 200, segmentSlots - 1, segmentSlots, segmentSlots + 9}
	for i, slot := range slots {
		if !slices.Contains(open, int64(i)) {
			slot.Done()
		}
	}
	var got []int64
	r.Undone(func(offset int64) bool { got = append(got, offset); return true })
	if !slices.Equal(got, open) {
		t.Errorf("undone %v, want %v", got, open)
	}
	got = nil
	r.Undone(func(offset int64) bool { got = append(got, offset); return len(got) < 2 })
	if !slices.Equal(got, open[:2]) {
		t.Errorf("undone %v after stopping at the second, want %v", got, open[:2])
	}
}

func TestAppendAllocatesOncePerSegment(t *testing.T) {
	r := NewRing(0)
	offsets, slots := make([]int64, segmentSlots), make([]Slot, 0, segmentSlots)
	next := int64(0)
	allocs := testing.AllocsPerRun(50, func() {
		for i := range offsets {
			offsets[i], next = next, next+1
		}
		var err error
		if slots, err = r.AppendN(offsets, slots[:0]); err != nil {
			t.Fatal(err)
		}
		for _, slot := range slots {
			slot.Done()
		}
		r.Reclaim()
	})
	// One segment and, now and then, room in the list of segments.
	if allocs > 2 {
		t.Errorf("%v allocations per %d records, want at most 2", allocs, segmentSlots)
	}
}
