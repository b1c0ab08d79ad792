// Package selfcheck watches the promise of order while a consumer runs: of a
// sequence at most one run is with a handler, and no record is handed over after
// a later one of its sequence was done.
//
// It knows nothing of how the order is made, so a fault there does not hide here.
// It looks at one in Every sequences, chosen by hash, and at each of their runs;
// its table has a fixed size, and a sequence whose place is taken is let pass. So
// it may miss a violation, and never makes one up.
package selfcheck

import "sync"

// Every is how many sequences share one that is watched.
const Every = 64

const slots = 1024 // a power of two

// A Sequence names what must be in order: a key of a partition, or a partition.
type Sequence struct {
	Topic     string
	Partition int32
	Hash      uint64 // of the key
}

// A Violation is what was seen.
type Violation struct {
	Sequence
	Kind   string // Overlap or Overtaken
	Offset int64  // that was handed over
	Other  int64  // Overlap: the first one of the run that was still with a handler; Overtaken: the later one that was done
}

// The kinds of a Violation.
const (
	Overlap   = "overlap"
	Overtaken = "overtaken"
)

// A Check is one consumer's.
type Check struct{ table [slots]slot }

type slot struct {
	mu    sync.Mutex
	seq   Sequence
	owner any // of the run that is with a handler; nil: none
	first int64
	token int64
	done  int64 // highest offset that was done under token
	some  bool  // there is one
}

// Watches reports whether sequences of this hash are looked at.
func Watches(hash uint64) bool { return hash%Every == 0 }

func (c *Check) slot(s Sequence) *slot {
	return &c.table[(s.Hash/Every+uint64(s.Partition)*0x9e3779b97f4a7c15>>32)%slots]
}

// Begin says that a run begins with the record at offset, under a fencing token;
// owner tells runs apart. It returns what that violates.
func (c *Check) Begin(s Sequence, owner any, token, offset int64) *Violation {
	sl := c.slot(s)
	sl.mu.Lock()
	defer sl.mu.Unlock()
	switch {
	case sl.seq == s && sl.owner == owner: // a later record of the same run
		return sl.behind(s, offset)
	case sl.seq == s && sl.owner != nil:
		return &Violation{Sequence: s, Kind: Overlap, Offset: offset, Other: sl.first}
	case sl.owner != nil:
		return nil // its place is taken
	case sl.seq != s || sl.token != token:
		// What an earlier ownership did may come again in order.
		sl.seq, sl.token, sl.some = s, token, false
	}
	sl.owner, sl.first = owner, offset
	return sl.behind(s, offset)
}

func (sl *slot) behind(s Sequence, offset int64) *Violation {
	if sl.some && offset <= sl.done {
		return &Violation{Sequence: s, Kind: Overtaken, Offset: offset, Other: sl.done}
	}
	return nil
}

// Done says that the run has done the record at offset.
func (c *Check) Done(s Sequence, owner any, offset int64) {
	sl := c.slot(s)
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.seq == s && sl.owner == owner && (!sl.some || offset > sl.done) {
		sl.done, sl.some = offset, true
	}
}

// End says that the run is with no handler any more.
func (c *Check) End(s Sequence, owner any) {
	sl := c.slot(s)
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.seq == s && sl.owner == owner {
		sl.owner = nil
	}
}
