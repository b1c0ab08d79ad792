package prometheus

import (
	"sync/atomic"
	"time"
)

// A sampler says which calls of a handler are timed: all while they are few, fewer
// the faster they come, so that there are enough and cost little. Reading the clock
// and filling two histograms takes up to a microsecond where many workers do it.
//
// Which calls are timed has nothing to do with how long they take, so the
// distribution is not bent.
type sampler struct {
	rarity atomic.Int32 // one call in 1<<rarity is timed
	last   atomic.Int64 // when the last timed call ended
	gap    atomic.Int64 // between two timed ones, on average
}

const (
	rarest = 6 // one in 64
	// Between two timed calls there are to be so many nanoseconds.
	gapLeast = int64(500 * time.Microsecond)
	gapMost  = int64(2 * time.Millisecond)
	// A longer pause counts as this: after it the rate is soon known again.
	gapLongest = int64(time.Second)
)

func newSampler() *sampler {
	s := &sampler{}
	s.gap.Store(gapLongest)
	return s
}

// due says whether the call for the record at this offset is timed. Offsets are mixed:
// records of a key may come at even distances.
func (s *sampler) due(offset int64) bool {
	return uint64(offset)*0x9e3779b97f4a7c15>>(64-s.rarity.Load()) == 0
}

// timed takes in that a timed call ended, at a time in nanoseconds. What goes wrong
// when several do it at once is harmless: it is a rough mean.
func (s *sampler) timed(now int64) {
	gap := s.gap.Load()
	gap += (min(now-s.last.Swap(now), gapLongest) - gap) / 16
	switch r := s.rarity.Load(); {
	case gap < gapLeast && r < rarest:
		if s.rarity.CompareAndSwap(r, r+1) { // written seldom: all workers read it
			gap *= 2
		}
	case gap > gapMost && r > 0:
		if s.rarity.CompareAndSwap(r, r-1) {
			gap /= 2
		}
	}
	s.gap.Store(gap)
}
