package prometheus

import (
	"testing"
	"time"
)

// Calls that are few are all timed; of many about a thousand each second, or one in
// 64; and the sampler finds its way from one rate to the other.
func TestSampler(t *testing.T) {
	s := newSampler()
	now, offset := int64(0), int64(0)
	run := func(calls int, every time.Duration) (timed int) {
		for range calls {
			now += int64(every)
			if s.due(offset) {
				s.timed(now)
				timed++
			}
			offset++
		}
		return timed
	}
	if n := run(30, time.Microsecond); n != 30 {
		t.Errorf("%d of the first 30 calls were timed", n)
	}
	for _, c := range []struct {
		every       time.Duration
		settle      int
		calls       int
		least, most int
	}{
		{time.Microsecond, 20_000, 64_000, 900, 1100},       // a million each second
		{time.Hour, 100, 100, 100, 100},                     // a pause, and what comes after it
		{14 * time.Microsecond, 20_000, 70_000, 500, 2_200}, // 70,000 each second
		{10 * time.Millisecond, 1_000, 100, 100, 100},       // a hundred
		{time.Microsecond, 20_000, 64_000, 900, 1100},
	} {
		run(c.settle, c.every)
		if n := run(c.calls, c.every); n < c.least || n > c.most {
			t.Errorf("a call each %s: %d of %d were timed, want %d to %d", c.every, n, c.calls, c.least, c.most)
		}
	}
	// Records of a key that come at even distances are timed as others are.
	for _, distance := range []int64{1, 2, 3, 64, 100, 1000, 1024} {
		n := 0
		for i := range int64(64_000) {
			if s.due(i * distance) {
				n++
			}
		}
		if n < 500 || n > 2000 {
			t.Errorf("of 64,000 records at a distance of %d, %d are timed", distance, n)
		}
	}
}
