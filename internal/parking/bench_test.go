package parking

import (
	"fmt"
	"runtime"
	"testing"
)

// parkedKeys returns a state with n parked keys of one record each, the worst
// case per record.
func parkedKeys(n int) *State {
	r := DefaultRules()
	s := NewState()
	s.Apply(0, &Entry{Kind: KindMarker, Token: 1, Marker: &MarkerBody{}}, &r)
	e := &Entry{Kind: KindParked, Token: 1, Parked: &ParkedBody{Failure: Failure{Attempts: 5}}}
	var key []byte
	for i := range n {
		key = fmt.Appendf(key[:0], "customer-%d", i)
		e.Key, e.Offset = key, int64(i)
		s.Apply(int64(i+1), e, &r)
	}
	return s
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The index of what is parked stays in memory; the bound is the one that
// docs give.
func TestMemoryPerParkedKey(t *testing.T) {
	for _, n := range []int{10_000, 120_000, 300_000} { // the map's load differs
		before := heap()
		s := parkedKeys(n)
		per := float64(heap()-before) / float64(n)
		runtime.KeepAlive(s)
		t.Logf("%d keys: %.0f bytes each", n, per)
		if per >= 200 {
			t.Errorf("%d parked keys take %.0f bytes each, not less than 200", n, per)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	for b.Loop() {
		s := parkedKeys(1_000_000)
		runtime.KeepAlive(s)
	}
}

// Asked for each record while anything is parked.
func BenchmarkSettled(b *testing.B) {
	s := parkedKeys(100_000)
	key := []byte("customer-none-of-them")
	b.ReportAllocs()
	for b.Loop() {
		if settled, _ := s.Settled(ID(key), 1); settled {
			b.Fatal("taken for a parked key")
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	key := []byte("customer-1234567")
	r, err := Encode(&Entry{Kind: KindParked, Token: 17, Seq: 90, Key: key, Offset: 1_234_567, Parked: &ParkedBody{
		Record: Record{Key: key, Value: make([]byte, 100)}, Topic: "orders", Partition: 3, Timestamp: 1_700_000_000_000,
		Failure: Failure{Cause: "no such account", Attempts: 5, First: 1_700_000_000_000, Last: 1_700_000_060_000}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(r); err != nil {
			b.Fatal(err)
		}
	}
}
