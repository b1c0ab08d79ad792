package progress

import (
	"cmp"
	"slices"
)

// Skip answers, for the records of a partition that came here with a Meta, what
// was recorded about them. It is a cursor for one goroutine, the poll loop,
// made for offsets that increase; one that does not is answered too, slower.
type Skip struct {
	runs     []Run
	attempts []Attempt
	upTo     int64
	at       int // runs[:at] end at or below the last offset asked for
}

// NewSkip makes the Skip of a Meta as Decode returned it. The Meta's slices must
// not be changed while the Skip is in use.
func NewSkip(m Meta) *Skip {
	return &Skip{runs: m.Ahead, attempts: m.Attempts, upTo: m.CompleteUpTo}
}

// Done says whether the record at offset was recorded as done ahead. Nothing
// at or above the Meta's CompleteUpTo ever was.
func (s *Skip) Done(offset int64) bool {
	if offset >= s.upTo {
		return false
	}
	if s.at > 0 && offset < s.runs[s.at-1].To {
		s.at, _ = slices.BinarySearchFunc(s.runs, offset, func(r Run, offset int64) int {
			if r.To <= offset {
				return -1
			}
			return 1
		})
	}
	for s.at < len(s.runs) && s.runs[s.at].To <= offset {
		s.at++
	}
	return s.at < len(s.runs) && s.runs[s.at].From <= offset
}

// Attempts returns how often the record at offset had been tried, as far as it
// was recorded.
func (s *Skip) Attempts(offset int64) int {
	i, found := slices.BinarySearchFunc(s.attempts, offset, func(a Attempt, offset int64) int {
		return cmp.Compare(a.Offset, offset)
	})
	if !found {
		return 0
	}
	return s.attempts[i].Count
}

// End returns the offset from which on the Skip knows nothing: once the poll
// loop is there, the Skip can go.
func (s *Skip) End() int64 {
	var end int64
	if n := len(s.runs); n > 0 {
		end = min(s.runs[n-1].To, s.upTo)
	}
	if n := len(s.attempts); n > 0 {
		end = max(end, s.attempts[n-1].Offset+1)
	}
	return end
}
