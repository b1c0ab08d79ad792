package progress

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSkipKnowsWhatTheMetaSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		done, count := map[int64]bool{}, map[int64]int{}
		var m Meta
		at := int64(10)
		for range rapid.IntRange(0, 20).Draw(t, "runs") {
			from := at + rapid.Int64Range(1, 5).Draw(t, "gap")
			at = from + rapid.Int64Range(1, 5).Draw(t, "length")
			m.Ahead = append(m.Ahead, Run{from, at})
			for o := from; o < at; o++ {
				done[o] = true
			}
		}
		// Below the end of the runs it is a Meta that nothing here writes; no
		// offset at or above it may count all the same.
		m.CompleteUpTo = rapid.Int64Range(10, at+5).Draw(t, "complete up to")
		for o := int64(10); o < at; o += rapid.Int64Range(1, 9).Draw(t, "distance") {
			count[o] = rapid.IntRange(1, 9).Draw(t, "count")
			m.Attempts = append(m.Attempts, Attempt{o, count[o]})
		}
		s := NewSkip(m)
		ask := func(o int64) {
			if got, want := s.Done(o), done[o] && o < m.CompleteUpTo; got != want {
				t.Fatalf("Done(%d) = %v, want %v", o, got, want)
			}
			if got := s.Attempts(o); got != count[o] {
				t.Fatalf("Attempts(%d) = %d, want %d", o, got, count[o])
			}
			if (s.Done(o) || count[o] > 0) && o >= s.End() {
				t.Fatalf("something is known about %d, End is %d", o, s.End())
			}
		}
		for o := int64(0); o < at+10; o += rapid.Int64Range(1, 4).Draw(t, "step") {
			ask(o)
		}
		for _, o := range rapid.SliceOfN(rapid.Int64Range(0, at+10), 0, 50).Draw(t, "in any order") {
			ask(o)
		}
	})
}
