package redrive

import (
	"slices"
	"time"

	"github.com/orderly-go/orderly"
)

const (
	lookAgain = 100 * time.Millisecond
	// The consumer begins to read again a moment after there is room: only a standstill of
	// so many looks says that what fills its buffer, or a window, is held.
	standstill = 20
)

// An ending finds out when a run is over, by looking again and again.
type ending struct {
	ends map[int32]int64
	last standing
	same int // looks that have found the last one again
}

// A standing is what one look has found.
type standing struct {
	behind int    // records behind the oldest one of a held key
	still  bool   // all that was read is sent, held, or behind what is held
	read   bool   // all up to the ends is read
	full   bool   // all that is not read waits for room
	next   int64  // of all partitions: what is read
	done   uint64 // and sent
}

// look says whether the run is over: all that is left up to the ends is held, or behind
// what is held, or cannot be read for that.
func (e *ending) look(parts []orderly.PartitionState) (over bool) {
	now := e.standing(parts)
	if e.same++; now != e.last {
		e.last, e.same = now, 0
	}
	// Twice at least: what one look sees is not of one moment.
	return now.still && (now.read && e.same > 0 || now.full && e.same >= standstill)
}

func (e *ending) standing(parts []orderly.PartitionState) standing {
	s := standing{still: true, read: true, full: true}
	var held int
	ours := 0
	for _, p := range parts {
		if p.FencingToken == 0 {
			continue
		}
		// Not by p.Keys: a record that was only just read counts as none of a key.
		s.still = s.still && p.Running == 0 && p.Waiting == p.Blocked+p.Behind
		s.behind += p.Behind
		s.next += p.Next
		s.done += p.Done
		held += p.Blocked
		end, is := e.ends[p.Partition]
		if !is {
			continue
		}
		ours++
		if p.Next < end {
			s.read = false
			s.full = s.full && (slices.Contains(p.Reasons, "window-full") || slices.Contains(p.Reasons, "buffer-full"))
		}
	}
	s.read = s.read && ours == len(e.ends)
	s.full = s.full && ours == len(e.ends) && held > 0
	return s
}
