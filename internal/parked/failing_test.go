package parked

import (
	"errors"
	"testing"

	"github.com/orderly-go/orderly/internal/parking"
)

// Records that came together are written in many entries. That all of them fail is one
// failure to who waits for them: under OnWriteFailure stop Run ends after so many.
func TestRunsThatFailTogetherAreOneFailure(t *testing.T) {
	b := newBench(t, nil)
	p := &Partition{m: b.m, waiters: map[int64]waiting{
		3: {waiter{b, "many"}, []int64{3, 4, 5, 6, 7, 8}},
		9: {waiter{b, "one"}, []int64{9}},
	}}
	fail := func(kind parking.Kind, offsets ...int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, o := range offsets {
			p.failed(&parking.Entry{Kind: kind, Offset: o}, errors.New("no"))
		}
	}
	fail(parking.KindRun, 3, 5, 7)
	b.want("failing many")
	fail(parking.KindParked, 9)
	b.want("failing one")
	fail(parking.KindRun, 3, 5, 7)
	b.want("failing many")
	fail(parking.KindMarker, 0)
	if got := map[string]bool{<-b.news: true, <-b.news: true}; !got["failing many"] || !got["failing one"] {
		t.Errorf("told %v", got)
	}
	// What stood before is settled: the next of its runs is the first.
	p.mu.Lock()
	p.settled(3, 2)
	p.mu.Unlock()
	b.want("settled many")
	fail(parking.KindRun, 5, 7)
	b.want("failing many")
	p.mu.Lock()
	p.queue(func() { b.news <- "end" })
	p.mu.Unlock()
	b.want("end")
}
