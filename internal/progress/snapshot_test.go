package progress

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is a Ring as one would write it without hurry.
type model struct {
	start   int64
	offsets []int64
	done    map[int64]bool
}

func (m *model) snapshot(maxRuns int) Snapshot {
	end := m.start
	if n := len(m.offsets); n > 0 {
		end = m.offsets[n-1] + 1
	}
	s := Snapshot{Watermark: end, CompleteUpTo: end}
	open, before := false, false // a record was open; the one before was
	for _, offset := range m.offsets {
		switch {
		case !open && m.done[offset]:
			continue
		case !open:
			open, s.Watermark = true, offset
		case m.done[offset] && before:
			s.Runs = append(s.Runs, Run{offset, offset + 1})
		case m.done[offset]:
			s.Runs[len(s.Runs)-1].To = offset + 1
		}
		s.Window++
		if before = !m.done[offset]; !before {
			s.Ahead++
		}
	}
	if maxRuns > 0 && len(s.Runs) > maxRuns {
		s.CompleteUpTo = s.Runs[maxRuns].From
		s.Runs = s.Runs[:maxRuns]
		for _, offset := range m.offsets {
			if offset >= s.CompleteUpTo && m.done[offset] {
				s.Unlisted++
			}
		}
	}
	return s
}

func sameSnapshot(a, b *Snapshot) bool {
	return a.Watermark == b.Watermark && a.CompleteUpTo == b.CompleteUpTo && slices.Equal(a.Runs, b.Runs) &&
		a.Window == b.Window && a.Ahead == b.Ahead && a.Unlisted == b.Unlisted
}

func TestSnapshotIsWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{start: rapid.Int64Range(0, 1000).Draw(t, "start"), done: map[int64]bool{}}
		r, s := NewRing(m.start), new(Snapshot)
		slots := map[int64]Slot{}
		offset := m.start
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		// Segments and words are big against what rapid draws, so a step is a
		// batch or many completions.
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n := rapid.IntRange(1, 3000).Draw(t, "n")
				gaps := rapid.IntRange(0, 50).Draw(t, "gaps in %")
				var batch []int64
				for range n {
					if random.IntN(100) < gaps {
						offset += 1 + random.Int64N(20)
					}
					batch = append(batch, offset)
					offset++
				}
				added, err := r.AppendN(batch, nil)
				if err != nil {
					t.Fatal(err)
				}
				for i, slot := range added {
					slots[batch[i]] = slot
				}
				m.offsets = append(m.offsets, batch...)
			},
			"append done": func(t *rapid.T) {
				if err := r.AppendDone(offset); err != nil {
					t.Fatal(err)
				}
				m.offsets, m.done[offset] = append(m.offsets, offset), true
				offset++
			},
			"complete": func(t *rapid.T) {
				if len(m.offsets) == 0 {
					return
				}
				for range rapid.IntRange(1, 2000).Draw(t, "n") {
					o := m.offsets[random.IntN(len(m.offsets))]
					slots[o].Done() // the zero Slot for one appended done
					m.done[o] = true
				}
			},
			"complete the front": func(t *rapid.T) {
				n := min(rapid.IntRange(1, 5000).Draw(t, "n"), len(m.offsets))
				for _, o := range m.offsets[:n] {
					slots[o].Done()
					m.done[o] = true
				}
			},
			"reclaim": func(t *rapid.T) {
				if got, want := r.Reclaim(), m.snapshot(0).Window; got != want {
					t.Fatalf("len %d after Reclaim, want %d", got, want)
				}
			},
			"": func(t *rapid.T) {
				maxRuns := rapid.SampledFrom([]int{0, 0, 1, 2, 17}).Draw(t, "max runs")
				r.Snapshot(s, maxRuns)
				if want := m.snapshot(maxRuns); !sameSnapshot(s, &want) {
					t.Fatalf("snapshot %+v\nwant     %+v", s, want)
				}
				if got := r.NextOffset(); got != offset {
					t.Fatalf("next offset %d, want %d", got, offset)
				}
			},
		})
	})
}

func TestOneStuckRecordInAWideWindow(t *testing.T) {
	const n = 100_000
	for _, stuck := range []int{0, 1, 63, 64, segmentSlots - 1, segmentSlots, n / 2, n - 1} {
		r := NewRing(7)
		slots, err := r.AppendN(sequence(7, n), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range rand.New(rand.NewPCG(1, uint64(stuck))).Perm(n) {
			if i != stuck {
				slots[i].Done()
			}
		}
		r.Reclaim()
		want := Snapshot{Watermark: int64(7 + stuck), CompleteUpTo: 7 + n, Window: n - stuck, Ahead: n - stuck - 1}
		if want.Ahead > 0 {
			want.Runs = []Run{{int64(8 + stuck), 7 + n}}
		}
		if s := take(r); !sameSnapshot(s, &want) {
			t.Errorf("stuck at %d: %+v, want %+v", stuck, s, want)
		}
		slots[stuck].Done()
		if s := take(r); s.Watermark != 7+n || r.Reclaim() != 0 {
			t.Errorf("stuck at %d, then done: %+v", stuck, s)
		}
	}
}

func TestSnapshotIntoUsedBuffersAllocatesNothing(t *testing.T) {
	r := NewRing(0)
	slots, err := r.AppendN(sequence(0, 20_000), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, slot := range slots {
		if bits.OnesCount(uint(i))%2 == 1 {
			slot.Done()
		}
	}
	s := take(r)
	if n := testing.AllocsPerRun(20, func() { r.Snapshot(s, 0) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	for _, seg := range s.segs {
		if seg != nil {
			t.Fatal("the buffer keeps segments alive")
		}
	}
}

func TestMaxRunsIsNeverTooFew(t *testing.T) {
	// Every other offset done is the most runs per character.
	m := Meta{CompleteUpTo: 1 << 20}
	for o := int64(1); o < m.CompleteUpTo; o += 2 {
		m.Ahead = append(m.Ahead, Run{o, o + 1})
	}
	text, dropped, err := Encode(0, m, DefaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(0, text)
	if err != nil || dropped.Ahead == 0 || len(got.Ahead) > MaxRuns(DefaultLimit) {
		t.Errorf("%d runs kept, %d allowed, %d offsets dropped, %v", len(got.Ahead), MaxRuns(DefaultLimit), dropped.Ahead, err)
	}
}
