package group

import (
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ages remembers, roughly, which timestamps a partition's records bear, so that
// the age of the oldest one that is not done can be told without looking at all.
// It is guarded by Session.mu.
type ages struct{ marks []ageMark }

// An ageMark says that records from offset on bear about this timestamp.
type ageMark struct {
	offset int64
	at     time.Time
}

const (
	ageStep  = time.Second // marks are no closer in time
	ageMarks = 1024        // above that every other one is given up
)

// take notes some of the records of a fetch.
func (a *ages) take(recs []*kgo.Record) {
	const every = 256
	for i := 0; i < len(recs); i += every {
		a.read(recs[i].Offset, recs[i].Timestamp)
	}
	last := recs[len(recs)-1]
	a.read(last.Offset, last.Timestamp)
}

// read notes a record that was read; offsets rise.
func (a *ages) read(offset int64, at time.Time) {
	if n := len(a.marks); n > 0 {
		if offset <= a.marks[n-1].offset {
			return // it was read before
		}
		if d := at.Sub(a.marks[n-1].at); d < ageStep && d > -ageStep {
			return
		}
		if n >= ageMarks {
			kept := a.marks[:0]
			for i := 0; i < n; i += 2 {
				kept = append(kept, a.marks[i])
			}
			a.marks = kept
		}
	}
	a.marks = append(a.marks, ageMark{offset, at})
}

// of returns the timestamp of a record, at the most a step too early where
// timestamps rise; marks before it are forgotten.
func (a *ages) of(offset int64) time.Time {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].offset > offset })
	if i == 0 {
		return time.Time{}
	}
	a.marks = append(a.marks[:0], a.marks[i-1:]...)
	return a.marks[0].at
}
