package progress

import "math/bits"

// Run is a range of offsets, From included, To not.
type Run struct{ From, To int64 }

// Snapshot is what one look at a Ring found. Handed to [Ring.Snapshot] again it
// lends its buffers, so keep one per committer; Runs is valid until then.
type Snapshot struct {
	// Watermark is the lowest offset that is not done. When all are done it is
	// the last appended offset plus one, or the start when nothing was appended.
	Watermark int64
	// CompleteUpTo is where knowledge ends: an offset below it is done if it is
	// below Watermark or in Runs; nothing is said about one at or above it. It is
	// the last appended offset plus one, or lower when Runs was limited.
	CompleteUpTo int64
	// Runs are the offsets done ahead, lowest first, all above Watermark. Each
	// begins and ends with a record; offsets between two done records where
	// no record is count as done.
	Runs []Run

	Window   int // records from Watermark on, done or not
	Ahead    int // those of them that are done
	Unlisted int // those of the done that Runs does not hold, because it was limited

	segs  []*segment
	words []uint64

	between func() // tests only: called after each word read
}

// MaxRuns is the highest number of runs that [Encode] could keep within limit
// characters: six bits each, and a run with the gap before it takes two.
func MaxRuns(limit int) int { return 3 * max(limit, 0) }

type scanOrder bool

const (
	newestFirst scanOrder = false
	oldestFirst scanOrder = true // never closed per key for certain; here for the test that proves it
)

// Snapshot looks at every record from the newest to the oldest and fills s. It
// holds no lock while it looks. What it finds is closed per key, as the package
// comment explains. At most maxRuns runs are listed, the lowest (see [MaxRuns]);
// 0 means no limit.
func (r *Ring) Snapshot(s *Snapshot, maxRuns int) { r.snapshot(s, maxRuns, newestFirst) }

func (r *Ring) snapshot(s *Snapshot, maxRuns int, order scanOrder) {
	// What is looked at is fixed first: records appended meanwhile are newer than
	// the newest, and looking at them later would turn the direction.
	segs, filled, next := r.view(s.segs[:0])
	s.segs = segs
	s.read(order)
	s.fold(filled, next, maxRuns)
	clear(s.segs) // the buffer must not keep reclaimed segments alive
}

// read copies the done-bits. This loop is the only place where the order of
// reading matters; everything after it works on the copy.
func (s *Snapshot) read(order scanOrder) {
	n := len(s.segs) * segmentWords
	if cap(s.words) < n {
		s.words = make([]uint64, n+n/4)
	}
	s.words = s.words[:n]
	for i := range s.segs {
		at := len(s.segs) - 1 - i
		if order == oldestFirst {
			at = i
		}
		seg, words := s.segs[at], s.words[at*segmentWords:(at+1)*segmentWords]
		for j := range words {
			word := segmentWords - 1 - j
			if order == oldestFirst {
				word = j
			}
			words[word] = seg.done[word].Load()
			if s.between != nil {
				s.between()
			}
		}
	}
}

// fold turns the copied bits into a watermark and runs. It goes upwards, and
// from change to change: a word that only continues the one below costs one
// comparison.
func (s *Snapshot) fold(filled int, next int64, maxRuns int) {
	s.Watermark, s.CompleteUpTo, s.Runs = next, next, s.Runs[:0]
	total := max(len(s.segs)-1, 0)*segmentSlots + filled
	done := 0           // records done so far
	listed := -1        // done when the list was full; -1 while it is not
	leading := -1       // records below the watermark; -1 while there was none open
	below := uint64(1)  // the bit below the next one; before the first all is done
	var lastBelow int64 // the last offset of the segment below

	for at, seg := range s.segs {
		slots := segmentSlots
		if at == len(s.segs)-1 {
			slots = filled
		}
		words := s.words[at*segmentWords:]
		for first := 0; first < slots; first += wordBits {
			mask := ^uint64(0)
			if slots-first < wordBits {
				mask = 1<<(slots-first) - 1
			}
			word := words[first/wordBits] & mask
			changes := (word ^ (word<<1 | below)) & mask
			if listed >= 0 {
				changes = 0 // only the count goes on
			}
			for changes != 0 {
				bit := bits.TrailingZeros64(changes)
				changes &= changes - 1
				i := first + bit
				before := done + bits.OnesCount64(word&(1<<bit-1))
				switch opens := word>>bit&1 == 1; {
				case opens && maxRuns > 0 && len(s.Runs) == maxRuns:
					listed, s.CompleteUpTo, changes = before, seg.offsets[i], 0
				case opens:
					s.Runs = append(s.Runs, Run{From: seg.offsets[i]})
				case leading < 0:
					leading, s.Watermark = before, seg.offsets[i]
				case i == 0:
					s.Runs[len(s.Runs)-1].To = lastBelow + 1
				default:
					s.Runs[len(s.Runs)-1].To = seg.offsets[i-1] + 1
				}
			}
			done += bits.OnesCount64(word)
			below = word >> (wordBits - 1)
		}
		lastBelow = seg.offsets[slots-1]
	}

	if leading < 0 {
		leading = total
	}
	if n := len(s.Runs); n > 0 && s.Runs[n-1].To == 0 {
		s.Runs[n-1].To = next // done to the newest
	}
	s.Window, s.Ahead, s.Unlisted = total-leading, done-leading, 0
	if listed >= 0 {
		s.Unlisted = done - listed
	}
}

// Undone calls fn with the offsets of the records that are not done, lowest
// first, until fn returns false. It is for showing what is waiting, not for
// recording: it looks from the oldest to the newest.
func (r *Ring) Undone(fn func(offset int64) bool) {
	segs, filled, _ := r.view(nil)
	for at, seg := range segs {
		slots := segmentSlots
		if at == len(segs)-1 {
			slots = filled
		}
		for first := 0; first < slots; first += wordBits {
			for open := ^seg.done[first/wordBits].Load(); open != 0; open &= open - 1 {
				i := first + bits.TrailingZeros64(open)
				if i >= slots {
					break
				}
				if !fn(seg.offsets[i]) {
					return
				}
			}
		}
	}
}
