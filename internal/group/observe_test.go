package group

import (
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	var p pulse
	if p.busy(time.Now()) != 0 || p.turns.Load() != 0 {
		t.Error("a loop that has not begun is busy")
	}
	p.begin()
	if d := p.busy(time.Now().Add(time.Minute)); d < time.Minute || d > 2*time.Minute {
		t.Errorf("busy for %s, after a minute", d)
	}
	p.end()
	if p.busy(time.Now().Add(time.Minute)) != 0 || p.turns.Load() != 1 {
		t.Error("a loop that waits is busy, or its turn was not counted")
	}
}

func TestAges(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	var a ages
	if !a.of(5).IsZero() {
		t.Error("an age of nothing")
	}
	// A record each 100 ms.
	at := func(offset int64) time.Time { return begin.Add(time.Duration(offset) * 100 * time.Millisecond) }
	for o := range int64(10_000) {
		a.read(o, at(o))
	}
	if n := len(a.marks); n > ageMarks {
		t.Errorf("%d marks, more than %d", n, ageMarks)
	}
	for _, o := range []int64{0, 9, 10, 4711, 9_999} {
		// 1,000 s are remembered by at the most 1,024 marks.
		if early := at(o).Sub(a.of(o)); early < 0 || early >= 2*ageStep {
			t.Errorf("offset %d: %s early", o, early)
		}
	}
	if !a.of(3).IsZero() {
		t.Error("a mark before the last look is still there")
	}
	a.read(9_000, begin) // read before: what is known stays
	if early := at(9_999).Sub(a.of(9_999)); early < 0 || early >= 2*ageStep {
		t.Errorf("after an offset again: %s early", early)
	}
}

// Timestamps that jump back and forth cost no more memory.
func TestAgesOfUnsortedTimes(t *testing.T) {
	var a ages
	for o := range int64(100_000) {
		a.read(o, time.Unix(1_000_000*(o%2), 0))
	}
	if n := len(a.marks); n > ageMarks {
		t.Errorf("%d marks", n)
	}
}
