package lane

import (
	"context"
	"errors"
	"time"

	"github.com/orderly-go/orderly/internal/progress"
)

// An Item is one record on its way through a partition. Its owner allocates it
// (in slabs) and never reuses it.
type Item struct {
	Payload  any           // what Apply understands; the package never looks at it
	Hash     uint64        // H(ordering key)
	Slot     progress.Slot // its done-bit; Apply sets it, before the next record of the unit
	Offset   int64
	Attempts int32 // attempts that failed so far
	Size     int32 // bytes that count against the buffer budget
	next     *Item
}

// replacedBy lets a copy take the item's place: all that the package counts by is
// the item's. A nil copy stands for the item itself.
func (it *Item) replacedBy(c *Item) *Item {
	if c == nil || c == it {
		return it
	}
	c.Hash, c.Offset, c.Attempts, c.Size = it.Hash, it.Offset, it.Attempts, it.Size
	return c
}

// A Run is what one worker got at once: items of one unit, in offset order. It and
// its Items slice are the package's again when Apply has returned.
type Run struct {
	Part  *Partition
	Ctx   context.Context // ends at the drain deadline, on loss, on silence
	Token int64           // fencing token of the ownership under which the run starts
	Lane  int             // number of the lane; -1 when the unit is a key
	Items []*Item
	// At is set by an Apply that runs its items one after the other: the number,
	// from 1, of the item that it is about to handle. Should the handler end its
	// goroutine, those before are done. Zero: it cannot tell.
	At int
	// Tally is where Apply may count for Config.Tally.
	Tally *Tally

	unit    *unit
	pass    uint32 // halt bits that do not concern it
	before  func(it *Item) bool
	done    int
	err     error
	verdict Verdict
}

// A Tally is what Apply has counted in one bunch of a worker: fast handlers have many
// runs in one, and counting each where others count too would cost more than they do.
type Tally struct {
	Done, Retried int
	Of            any // names the partition to whoever counts
}

// Halted reports that no further item of the run may start: the partition is
// being released, paused, or the group's coordinator is silent. An Apply that
// runs its items one after the other asks before each but the first and then
// returns ErrHalted.
func (r *Run) Halted() bool { return r.Part.halt.Load()&^r.pass != 0 }

// Admitted says that the run was let through the pool's gate.
func (r *Run) Admitted() bool { return r.pass&HaltGate != 0 }

// ErrHalted says that Items[done] was not attempted, or that its attempt ended
// because its context was cancelled by the group and not by its own fault: it
// stays at the head of its unit and no attempt is spent.
var ErrHalted = errors.New("lane: halted before the record was done")

// Apply handles the run. Items[:done] are done; err is the result of
// Items[done]. A done below zero says "cannot tell": the items are handed over
// again one by one, at no attempt, and only then is anybody blamed.
type Apply func(r *Run) (done int, err error)

// A Verdict is what becomes of an item that failed.
type Verdict struct {
	Delay   time.Duration // until the next attempt
	Spare   bool          // the attempt is not counted
	Refund  bool          // it is counted, and GiveBack may take it back
	Again   bool          // while the gate is shut: it is let through before all others
	Hold    bool          // no further attempt: the unit waits until the partition is closed
	Settled bool          // the item is done by decision: its Slot is set and its unit goes on
	Gone    bool          // with Settled: it leaves, and does not count as done
	Await   *Await        // the unit waits until it is answered
	Keep    *Item         // takes the item's place in its unit (a copy that pins no fetch buffer); nil: the item itself

	timed bool // the delay is one for something else than the handler
}
