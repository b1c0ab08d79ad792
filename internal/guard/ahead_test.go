package guard

import (
	"testing"

	"pgregory.net/rapid"
)

// A record that was given up leaves a hole of its own: what follows is in its place,
// and it is late when it comes again.
func TestPassedNumbersAreRememberedAsGaps(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(k *Key)
		next int64
		want Finding
	}{
		{"what follows it", func(k *Key) { k.Done(n(1)); k.Pass(n(2)) }, 3, Next},
		{"it comes again", func(k *Key) { k.Done(n(1)); k.Pass(n(2)); k.Done(n(3)) }, 2, Late},
		{"at once", func(k *Key) { k.Done(n(1)); k.Pass(n(2)) }, 2, Late},
		{"and is done", func(k *Key) { k.Done(n(1)); k.Pass(n(2)); k.Done(n(2)) }, 2, Duplicate},
		{"the first that was seen", func(k *Key) { k.Pass(n(5)) }, 5, Late},
		{"a gap before it", func(k *Key) { k.Done(n(1)); k.Pass(n(4)) }, 3, Late},
		{"given up once more", func(k *Key) { k.Done(n(1)); k.Pass(n(2)); k.Done(n(3)); k.Pass(n(2)) }, 2, Late},
		{"a late one is given up", func(k *Key) { k.Done(n(1)); k.Done(n(3)); k.Pass(n(2)) }, 2, Late},
	} {
		var k Key
		tc.do(&k)
		if got := k.Check(n(tc.next)); got.Finding != tc.want {
			t.Errorf("%s: %v, want %v (%+v)", tc.name, got.Finding, tc.want, k)
		}
	}
	var s Key
	s.Done(sparse(1))
	s.Pass(sparse(9))
	s.Done(sparse(12))
	if a, b := s.Check(sparse(9)), s.Check(sparse(12)); a.Finding != Late || b.Finding != Duplicate {
		t.Errorf("sparse: %v for what was given up, %v for what is done", a.Finding, b.Finding)
	}
	var k Key
	k.Done(n(1))
	for i := int64(2); i <= 100; i++ {
		k.Pass(n(i)) // one span, not 99
	}
	k.Done(n(105))
	if v := k.Check(n(2)); v.Finding != Late || len(k.Counts[0].Gaps) != 1 {
		t.Errorf("%v with %+v", v.Finding, k)
	}
}

// Records that are judged together are judged as one after the other, and the table is
// as it was.
func TestModelAheadIsOneAfterTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, untouched := NewTable(100), NewTable(100), NewTable(100)
		number := func(what string) (string, uint64, Number) {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, what+" key")
			hash := uint64(key[0]-'a') % 2 // a and c have the same hash
			return key, hash, by(rapid.SampledFrom([]string{"", "v"}).Draw(t, what+" writer"), rapid.Int64Range(1, 2).Draw(t, what+" epoch"), rapid.Int64Range(0, 12).Draw(t, what+" n"))
		}
		collide := false // the table knows one of two keys with the same hash, an Ahead both
		last := map[uint64]string{}
		for range rapid.IntRange(0, 30).Draw(t, "before") {
			key, hash, num := number("before")
			a.Done(hash, []byte(key), num)
			b.Done(hash, []byte(key), num)
			untouched.Done(hash, []byte(key), num)
			last[hash] = key
		}
		ahead := a.Ahead()
		for range rapid.IntRange(1, 30).Draw(t, "together") {
			key, hash, num := number("together")
			collide = collide || last[hash] != "" && last[hash] != key
			last[hash] = key
			want := b.Check(hash, []byte(key), num)
			if got := ahead.Next(hash, []byte(key), num); got != want && !collide {
				t.Fatalf("%s %+v: %+v, want %+v", key, num, got, want)
			}
			if want.Finding != Duplicate {
				b.Done(hash, []byte(key), num)
			}
			if collide {
				break
			}
		}
		for range 10 {
			key, hash, num := number("after")
			if got, want := a.Check(hash, []byte(key), num), untouched.Check(hash, []byte(key), num); got != want {
				t.Fatalf("%+v was learned from an Ahead: %+v, want %+v", num, got, want)
			}
		}
	})
}

// The table itself learns nothing of what is only judged.
func TestAheadLeavesTheTableAsItWas(t *testing.T) {
	tb := NewTable(10)
	tb.Done(1, []byte("k"), n(1))
	tb.Done(1, []byte("k"), n(5)) // 2 to 4 are missing
	a := tb.Ahead()
	for _, x := range []int64{6, 3, 7} {
		a.Next(1, []byte("k"), n(x))
	}
	if v := a.Next(1, []byte("k"), n(3)); v.Finding != Duplicate {
		t.Errorf("3 for the second time: %v", v.Finding)
	}
	if v := tb.Check(1, []byte("k"), n(3)); v.Finding != Late {
		t.Errorf("3 in the table: %v", v.Finding)
	}
	if v := tb.Check(1, []byte("k"), n(6)); v.Finding != Next {
		t.Errorf("6 in the table: %v", v.Finding)
	}
}
