package history

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A set of spans is the same as a plain set of numbers.
func TestSpansAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s, o spans
		model, other := map[int64]bool{}, map[int64]bool{}
		number := rapid.Int64Range(0, 40)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			x := number.Draw(t, "x")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				s.add(x)
				model[x] = true
			case 2:
				hi := x + rapid.Int64Range(-2, 6).Draw(t, "more")
				s.addRange(x, hi)
				for i := x; i <= hi; i++ {
					model[i] = true
				}
			case 3:
				s.remove(x)
				delete(model, x)
			case 4:
				o.add(x)
				other[x] = true
			}
		}
		var gone, left []int64
		limit := number.Draw(t, "limit")
		for i := int64(0); i < 60; i++ {
			if s.has(i) != model[i] {
				t.Fatalf("has(%d) is %v in %v, want %v", i, s.has(i), s, model[i])
			}
			if model[i] && !other[i] && i <= limit {
				left = append(left, i)
			}
		}
		for r := range s.minus(o, limit) {
			for i := r.lo; i <= r.hi; i++ {
				gone = append(gone, i)
			}
		}
		if !slices.Equal(gone, left) {
			t.Fatalf("%v minus %v up to %d gives %v, want %v", s, o, limit, gone, left)
		}
		for i, r := range s {
			if r.lo > r.hi || i > 0 && s[i-1].hi+1 >= r.lo {
				t.Fatalf("ranges touch: %v", s)
			}
		}
		if s.count() != int64(len(model)) {
			t.Fatalf("%v counts %d, want %d", s, s.count(), len(model))
		}
		if all := slices.Sorted(maps.Keys(model)); len(all) > 0 && s.max() != all[len(all)-1] {
			t.Fatalf("max of %v is %d", s, s.max())
		}
		lo, hi := number.Draw(t, "lo"), number.Draw(t, "hi")
		got, ok := s.within(lo, hi)
		want := slices.IndexFunc(slices.Sorted(maps.Keys(model)), func(i int64) bool { return lo <= i && i <= hi })
		if ok != (want >= 0) || ok && got != slices.Sorted(maps.Keys(model))[want] {
			t.Fatalf("within(%d, %d) of %v is %d, %v", lo, hi, s, got, ok)
		}

		// What is forgotten are gaps, the lowest ones.
		n := rapid.IntRange(1, 4).Draw(t, "ranges")
		before, top := s.count(), s.max()
		forgotten := s.shrink(n)
		if len(s) > n || s.count() != before+forgotten || s.max() != top {
			t.Fatalf("shrunk to %v (%d forgotten, %d before)", s, forgotten, before)
		}
		for i := range model {
			if !s.has(i) {
				t.Fatalf("%d is gone from %v", i, s)
			}
		}
	})
}
