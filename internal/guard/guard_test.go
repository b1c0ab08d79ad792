package guard

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func n(n int64) Number                        { return Number{Writer: "w", Epoch: 1, N: n} }
func sparse(n int64) Number                   { return Number{Writer: "w", Epoch: 1, N: n, Sparse: true} }
func by(writer string, epoch, n int64) Number { return Number{Writer: writer, Epoch: epoch, N: n} }

func TestFindings(t *testing.T) {
	for _, tc := range []struct {
		name string
		done []Number
		next Number
		want Verdict
	}{
		{"nothing known", nil, n(7), Verdict{Finding: Next}},
		{"follows", []Number{n(7)}, n(8), Verdict{Finding: Next, Last: 7}},
		{"duplicate", []Number{n(7), n(8)}, n(8), Verdict{Finding: Duplicate, Last: 8}},
		{"duplicate of an older one", []Number{n(7), n(8), n(9)}, n(8), Verdict{Finding: Duplicate, Last: 9}},
		{"before the first that was seen", []Number{n(7), n(8)}, n(6), Verdict{Finding: Unsure, Last: 8}},
		{"gap", []Number{n(7)}, n(10), Verdict{Finding: Gap, Last: 7, Missing: 2}},
		{"late, fills a gap", []Number{n(7), n(10)}, n(9), Verdict{Finding: Late, Last: 10}},
		{"late twice is a duplicate", []Number{n(7), n(10), n(9)}, n(9), Verdict{Finding: Duplicate, Last: 10}},
		{"the rest of a gap", []Number{n(7), n(12), n(10)}, n(9), Verdict{Finding: Late, Last: 12}},
		{"sparse: none is missing", []Number{sparse(7)}, sparse(10), Verdict{Finding: Next, Last: 7}},
		{"sparse: a repeat", []Number{sparse(7), sparse(10), sparse(20)}, sparse(10), Verdict{Finding: Duplicate, Last: 20}},
		{"sparse: before the first that was seen", []Number{sparse(7), sparse(10)}, sparse(6), Verdict{Finding: Unsure, Last: 10}},
		{"higher epoch", []Number{n(7)}, by("w", 2, 1), Verdict{Finding: NewCount, Last: 7}},
		{"lower epoch", []Number{by("w", 2, 1)}, n(8), Verdict{Finding: Zombie, Last: 1, Highest: 2}},
		{"a zombie changes nothing", []Number{by("w", 2, 1), n(8)}, by("w", 2, 2), Verdict{Finding: Next, Last: 1}},
		{"another writer", []Number{n(7)}, by("v", 1, 3), Verdict{Finding: NewCount}},
		{"writers in turn keep their counts", []Number{n(7), by("v", 1, 3), n(8), by("v", 1, 4)}, n(8), Verdict{Finding: Duplicate, Last: 8}},
		{"the fifth writer makes the first a new one", []Number{n(1), by("a", 1, 1), by("b", 1, 1), by("c", 1, 1), by("d", 1, 1)}, n(1), Verdict{Finding: NewCount}},
	} {
		var k Key
		for _, d := range tc.done {
			k.Done(d)
		}
		if got := k.Check(tc.next); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// Against a model that remembers everything: what is called a duplicate was done,
// what is done and not forgotten is called one, and nothing that is missing is
// skipped.
func TestModelNothingMissingIsSkipped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb := NewTable(rapid.IntRange(1, 4).Draw(t, "limit"))
		type id struct {
			key string
			n   Number
		}
		done := map[id]bool{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "key")
			num := by(rapid.SampledFrom([]string{"", "v", "w", "x", "y", "z"}).Draw(t, "writer"),
				rapid.Int64Range(1, 2).Draw(t, "epoch"), rapid.Int64Range(0, 30).Draw(t, "n"))
			hash := uint64(key[0]-'a') % 4 // a and e have the same hash
			v := tb.Check(hash, []byte(key), num)
			if v.Finding == Duplicate && !done[id{key, num}] {
				t.Fatalf("%s %+v is called a duplicate and never came: %+v", key, num, v)
			}
			if v.Finding == Duplicate || rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
				continue
			}
			if rapid.IntRange(0, 4).Draw(t, "given up") == 0 {
				tb.Pass(hash, []byte(key), num)
				if again := tb.Check(hash, []byte(key), num); again.Finding == Duplicate && !done[id{key, num}] {
					t.Fatalf("%s %+v was given up, and then %+v", key, num, again)
				}
				continue
			}
			tb.Done(hash, []byte(key), num)
			done[id{key, num}] = true
			if again := tb.Check(hash, []byte(key), num); again.Finding != Duplicate && again.Finding != Zombie && again.Finding != Unsure {
				t.Fatalf("%s %+v is done, and then %+v", key, num, again)
			}
		}
		if known, _ := tb.Len(); known > tb.limit {
			t.Fatalf("%d keys with a limit of %d", known, tb.limit)
		}
	})
}

// With one key and few gaps nothing is forgotten: then each number that is done is
// a duplicate, each that is not, between the first and the last, is late.
func TestModelExactWhileNothingIsForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k Key
		var done []int64
		first, last := int64(-1), int64(-1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			x := rapid.Int64Range(1, 16).Draw(t, "n") // 16 numbers have at most 8 gaps
			v := k.Check(n(x))
			var want Finding
			switch {
			case first < 0 || x == last+1:
				want = Next
			case x > last:
				want = Gap
			case slices.Contains(done, x):
				want = Duplicate
			case x < first:
				want = Unsure
			default:
				want = Late
			}
			if v.Finding != want || want == Gap && v.Missing != x-last-1 {
				t.Fatalf("%d after %v: %+v, want %v", x, done, v, want)
			}
			if v.Finding == Duplicate || v.Finding == Unsure {
				continue
			}
			k.Done(n(x))
			done = append(done, x)
			last = max(last, x)
			if first < 0 {
				first = x
			}
		}
	})
}

func TestManyGapsForgetTheLowestAndSkipNothing(t *testing.T) {
	var k Key
	for i := int64(0); i <= 2*maxGaps+2; i += 2 { // 1, 3, 5 ... are missing
		k.Done(n(i))
	}
	c := k.Counts[0]
	if len(c.Gaps) != maxGaps || c.Floor != 1 {
		t.Fatalf("gaps %v, floor %d; want %d gaps above floor 1", c.Gaps, c.Floor, maxGaps)
	}
	if v := k.Check(n(1)); v.Finding != Unsure {
		t.Errorf("a number in a gap that was forgotten: %v", v.Finding)
	}
	if v := k.Check(n(3)); v.Finding != Late {
		t.Errorf("a number in a gap that is remembered: %v", v.Finding)
	}
}

func TestKeysWithTheSameHashAreNotMixedUp(t *testing.T) {
	tb := NewTable(10)
	tb.Done(1, []byte("a"), n(5))
	if v := tb.Check(1, []byte("b"), n(5)); v.Finding != Next {
		t.Errorf("another key with the same hash: %v", v.Finding)
	}
}

// Bytes of a key whose one writer has no gaps: stated in the documents.
func TestMemoryOfAKey(t *testing.T) {
	const keys = 200_000
	measure := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := measure()
	tb := NewTable(keys)
	for i := range uint64(keys + 1000) {
		tb.Done(i, fmt.Appendf(nil, "key-%d", i), n(1))
	}
	per := (measure() - before) / keys
	known, forgotten := tb.Len()
	if known != keys || forgotten != 1000 {
		t.Errorf("%d keys known, %d forgotten; want %d and 1000", known, forgotten, keys)
	}
	t.Logf("%d bytes per key", per)
	if per > 256 {
		t.Errorf("%d bytes per key: the documents say at most 256", per)
	}
	runtime.KeepAlive(tb)
}

func BenchmarkCheckAndDone(b *testing.B) {
	tb := NewTable(100_000)
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%d", i)
	}
	b.ReportAllocs()
	for i := range b.N {
		k := i % len(keys)
		num := n(int64(i / len(keys)))
		tb.Check(uint64(k), keys[k], num)
		tb.Done(uint64(k), keys[k], num)
	}
}
