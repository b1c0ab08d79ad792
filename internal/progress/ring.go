package progress

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	wordBits = 64
	// 63 words, not 64: their bits, the count and 4,032 offsets fill exactly
	// 32 KiB. One word more and the allocator would round up to 40 KiB.
	segmentWords = 63
	segmentSlots = segmentWords * wordBits
)

// segment holds consecutive records in arrival order. It is never used twice:
// a handler that hangs may hold its Slot for ever and complete it long after
// the segment left the ring, and that must not mark anybody else's record. One
// allocation per 4,032 records is the price; the garbage collector then proves
// what a free list would have to.
type segment struct {
	done    [segmentWords]atomic.Uint64
	filled  atomic.Int32 // slots that readers may look at; their offsets never change again
	offsets [segmentSlots]int64
}

// Slot is the place of one record in its Ring. The zero Slot belongs to no
// record; completing it does nothing.
type Slot struct {
	seg *segment
	i   uint32
}

// Done marks the record done with one atomic OR. Any goroutine may call it, at
// any time, also again, and also when the record's segment or the whole Ring is
// no longer in use.
func (s Slot) Done() {
	if s.seg != nil {
		s.seg.done[s.i/wordBits].Or(1 << (s.i % wordBits))
	}
}

// IsDone reports whether Done was called.
func (s Slot) IsDone() bool {
	return s.seg != nil && s.seg.done[s.i/wordBits].Load()&(1<<(s.i%wordBits)) != 0
}

// Ring holds the records of one partition from its watermark on, in arrival
// order. It belongs to one ownership of the partition: a new assignment makes a
// new Ring.
//
// The poll loop alone calls Append, AppendN and AppendDone. Workers call
// [Slot.Done], which takes no lock. Reclaim, Snapshot, Undone, Len and NextOffset
// may run in any goroutine beside all of these.
type Ring struct {
	// The poll loop's own, without a lock.
	tail *segment
	used int   // slots written in tail
	next int64 // lowest offset that may be appended

	mu    sync.Mutex // the list of segments; held for moments, never for a done-bit
	segs  []*segment
	front int   // slots at the start of segs[0] known to be done
	base  int64 // every offset below is done: the start, or what Reclaim dropped
}

// NewRing makes the Ring of a partition whose first record not done is at start
// or above it.
func NewRing(start int64) *Ring { return &Ring{next: start, base: start} }

// OrderError says that an offset was appended which is not above all earlier
// ones of its partition. Nothing of that record was kept.
type OrderError struct {
	Offset int64 // the refused offset
	Next   int64 // the lowest offset that would have been taken
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("progress: offset %d refused: the offsets of one partition must increase and the next may be %d at the lowest;"+
		" drop the record when it was taken before, else begin a new Ring at the new position", e.Offset, e.Next)
}

// Append adds one record that is not done. The error is an *OrderError.
func (r *Ring) Append(offset int64) (Slot, error) {
	seg, i, err := r.write(offset)
	if err != nil {
		return Slot{}, err
	}
	seg.filled.Store(int32(i + 1))
	return Slot{seg, uint32(i)}, nil
}

// AppendN adds records that are not done and appends their slots, in the same
// order, to slots. It is Append with one publication for many records. When an
// offset is refused, the records before it are added and their slots are
// returned with the *OrderError.
func (r *Ring) AppendN(offsets []int64, slots []Slot) ([]Slot, error) {
	slots = slices.Grow(slots, len(offsets))
	var from *segment
	var end int
	for _, offset := range offsets {
		seg, i, err := r.write(offset)
		if err != nil {
			publish(from, end)
			return slots, err
		}
		if seg != from {
			publish(from, end)
			from = seg
		}
		end = i + 1
		slots = append(slots, Slot{seg, uint32(i)})
	}
	publish(from, end)
	return slots, nil
}

// AppendDone adds a record that needs no handler: a control record, or one that
// was done ahead before the partition came here. The error is an *OrderError.
func (r *Ring) AppendDone(offset int64) error {
	seg, i, err := r.write(offset)
	if err != nil {
		return err
	}
	slot := Slot{seg, uint32(i)}
	slot.Done() // before it is published, so that no snapshot sees it open
	seg.filled.Store(int32(i + 1))
	return nil
}

// write puts an offset into the next slot; readers do not see it yet.
func (r *Ring) write(offset int64) (*segment, int, error) {
	// The highest int64 has no offset above it that a commit could name.
	if offset < r.next || offset == math.MaxInt64 {
		return nil, 0, &OrderError{Offset: offset, Next: r.next}
	}
	if r.tail == nil || r.used == segmentSlots {
		r.grow()
	}
	i := r.used
	r.tail.offsets[i] = offset
	r.used++
	r.next = offset + 1
	return r.tail, i, nil
}

func (r *Ring) grow() {
	seg := new(segment)
	r.mu.Lock()
	r.segs = append(r.segs, seg)
	r.mu.Unlock()
	r.tail, r.used = seg, 0
}

func publish(seg *segment, end int) {
	if seg != nil {
		seg.filled.Store(int32(end))
	}
}

// Reclaim drops the leading segments whose records are all done and returns
// what Len then is. The poll loop calls it, and whoever waits for a window that is
// full; it costs one load when nothing was completed at the front since the last
// call.
func (r *Ring) Reclaim() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.segs) > 0 {
		seg := r.segs[0]
		r.front = seg.firstUndone(r.front)
		if r.front < segmentSlots {
			break
		}
		r.base = seg.offsets[segmentSlots-1] + 1
		r.segs[0] = nil // the slice's array must not keep the segment alive
		r.segs = r.segs[1:]
		r.front = 0
	}
	return r.length()
}

// firstUndone returns the first slot at or after from that is not done, or the
// number of filled slots when there is none.
func (seg *segment) firstUndone(from int) int {
	filled := int(seg.filled.Load())
	for word := from / wordBits; word*wordBits < filled; word++ {
		if open := ^seg.done[word].Load(); open != 0 {
			return min(word*wordBits+bits.TrailingZeros64(open), filled)
		}
	}
	return filled
}

// Len returns the size of the window in records: from the first that was not
// done at the last Reclaim to the newest.
func (r *Ring) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.length()
}

func (r *Ring) length() int {
	if len(r.segs) == 0 {
		return 0
	}
	last := r.segs[len(r.segs)-1]
	return (len(r.segs)-1)*segmentSlots + int(last.filled.Load()) - r.front
}

// NextOffset returns the lowest offset that may be appended: the start, or the
// last appended offset plus one.
func (r *Ring) NextOffset() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.segs) - 1; i >= 0; i-- {
		last := r.segs[i]
		if filled := last.filled.Load(); filled > 0 {
			return last.offsets[filled-1] + 1
		}
	}
	return r.base
}

// view appends the segments in use to dst and returns them with the number of
// filled slots in the last one, and the offset after the last record in them.
// What is appended later is not part of the view, however long it is used.
func (r *Ring) view(dst []*segment) (segs []*segment, filled int, next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	segs, next = append(dst, r.segs...), r.base
	for len(segs) > 0 {
		last := segs[len(segs)-1]
		if filled = int(last.filled.Load()); filled > 0 {
			return segs, filled, last.offsets[filled-1] + 1
		}
		segs = segs[:len(segs)-1] // added a moment ago, nothing published in it
	}
	return segs, 0, next
}
