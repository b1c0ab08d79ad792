package progress

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const window = 1_000_000

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	r, next := NewRing(0), int64(0)
	for b.Loop() {
		slot, err := r.Append(next)
		if err != nil {
			b.Fatal(err)
		}
		slot.Done()
		if next++; next%500 == 0 {
			r.Reclaim()
		}
	}
}

// The way of the poll loop: batches of 500 appended, completed, reclaimed. One
// operation is one record.
func BenchmarkAppendNDoneReclaim(b *testing.B) {
	b.ReportAllocs()
	r, next := NewRing(0), int64(0)
	offsets, slots := make([]int64, 500), make([]Slot, 0, 500)
	for done := 0; done < b.N; done += len(offsets) {
		for i := range offsets {
			offsets[i], next = next, next+1
		}
		var err error
		if slots, err = r.AppendN(offsets, slots[:0]); err != nil {
			b.Fatal(err)
		}
		for _, slot := range slots {
			slot.Done()
		}
		r.Reclaim()
	}
}

// All workers complete neighbours in the same words.
func BenchmarkDoneContended(b *testing.B) {
	_, slots := benchRing(b, func(int) bool { return false })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			slots[i%window].Done()
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name    string
		maxRuns int
		done    func(i int) bool
	}{
		{"window=1M/nothing-done", 0, func(int) bool { return false }},
		{"window=1M/one-stuck", 0, func(i int) bool { return i != 0 }},
		{"window=1M/half-done", 0, func(int) bool { return random.IntN(2) == 0 }},
		{"window=1M/half-done-limited", MaxRuns(DefaultLimit), func(int) bool { return random.IntN(2) == 0 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, _ := benchRing(b, c.done)
			s := new(Snapshot)
			r.Snapshot(s, c.maxRuns)
			b.ReportAllocs()
			for b.Loop() {
				r.Snapshot(s, c.maxRuns)
			}
		})
	}
	b.Run("window=0", func(b *testing.B) {
		r, slots := NewRing(0), []Slot(nil)
		slots, _ = r.AppendN(sequence(0, 1000), slots)
		for _, slot := range slots {
			slot.Done()
		}
		s := new(Snapshot)
		r.Snapshot(s, 0)
		b.ReportAllocs()
		for b.Loop() {
			r.Snapshot(s, 0)
		}
	})
}

func benchRing(b *testing.B, done func(i int) bool) (*Ring, []Slot) {
	b.Helper()
	r := NewRing(0)
	slots, err := r.AppendN(sequence(0, window), nil)
	if err != nil {
		b.Fatal(err)
	}
	for i, slot := range slots {
		if done(i) {
			slot.Done()
		}
	}
	return r, slots
}

func BenchmarkMeta(b *testing.B) {
	for _, share := range []float64{0, 0.0001, 0.5} {
		random := rand.New(rand.NewPCG(1, 2))
		r, _ := benchRing(b, func(i int) bool { return i > 0 && random.Float64() >= share })
		s := new(Snapshot)
		r.Snapshot(s, MaxRuns(DefaultLimit))
		m := Meta{Token: 1 << 40, TopicID: someTopic, CompleteUpTo: s.CompleteUpTo, Ahead: s.Runs}
		text, _ := mustEncode(b, s.Watermark, m, DefaultLimit)
		b.Run(fmt.Sprintf("encode/open=%v/%dchars", share, len(text)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustEncode(b, s.Watermark, m, DefaultLimit)
			}
		})
		b.Run(fmt.Sprintf("decode/open=%v", share), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustDecode(b, s.Watermark, text)
			}
		})
	}
}
