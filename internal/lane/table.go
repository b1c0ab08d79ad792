package lane

import (
	"math/bits"
	"math/rand/v2"
)

// A table finds units by id. It is an open-addressing table because the runtime's
// map costs a third of a record's whole way when keys are distinct, and never
// gives memory back. Deletion shifts the followers back, so there are no
// tombstones and an empty table is as fast as a new one.
type table struct {
	slots []slot // a power of two of them, or none
	shift uint8
	n     int
	peak  int // most units since the last fit
}

type slot struct {
	id uint64
	u  *unit
}

const (
	tableLeast = 16
	// tableSmall is the size up to which nobody looks whether it could be smaller.
	tableSmall = 1024
)

// scatter is odd and differs per process: hashes of keys are the same everywhere,
// and who can choose keys must not be able to choose their slots.
var scatter = rand.Uint64() | 1

func (t *table) home(id uint64) int { return int(id * scatter >> t.shift) }

func (t *table) get(id uint64) *unit {
	if len(t.slots) == 0 {
		return nil
	}
	for i, mask := t.home(id), len(t.slots)-1; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.u == nil || s.id == id {
			return s.u
		}
	}
}

// add puts a unit in whose id is not there; it reports that the table grew.
func (t *table) add(u *unit) (grew bool) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.resize(max(tableLeast, 2*len(t.slots)))
		grew = true
	}
	t.put(u)
	t.n++
	t.peak = max(t.peak, t.n)
	return grew
}

func (t *table) put(u *unit) {
	i, mask := t.home(u.id), len(t.slots)-1
	for t.slots[i].u != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{u.id, u}
}

func (t *table) remove(id uint64) {
	if len(t.slots) == 0 {
		return
	}
	i, mask := t.home(id), len(t.slots)-1
	for ; t.slots[i].id != id || t.slots[i].u == nil; i = (i + 1) & mask {
		if t.slots[i].u == nil {
			return
		}
	}
	t.n--
	for j := i; ; {
		j = (j + 1) & mask
		s := t.slots[j]
		if s.u == nil {
			break
		}
		// s may move back to i unless its home lies behind i, on the way to j.
		if (j-t.home(s.id))&mask >= (j-i)&mask {
			t.slots[i] = s
			i = j
		}
	}
	t.slots[i] = slot{}
}

// fit gives memory back: it sizes the table for the most units that it held since
// the last call, so that a load that swings from poll to poll changes nothing,
// and returns that number.
func (t *table) fit() (peak int) {
	peak, t.peak = t.peak, t.n
	if len(t.slots) > tableSmall && len(t.slots) > 8*peak {
		t.resize(max(tableLeast, 1<<bits.Len(uint(2*peak))))
	}
	return peak
}

func (t *table) resize(size int) {
	old := t.slots
	t.slots = make([]slot, size)
	t.shift = uint8(64 - bits.Len(uint(size-1)))
	for _, s := range old {
		if s.u != nil {
			t.put(s.u)
		}
	}
}

// all calls fn for each unit; fn must not change the table.
func (t *table) all(fn func(*unit)) {
	for _, s := range t.slots {
		if s.u != nil {
			fn(s.u)
		}
	}
}
