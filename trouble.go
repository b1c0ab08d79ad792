package orderly

import (
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
)

// trouble is what is kept of a record that failed; few records have one. Its plain
// fields belong to whoever has the record in hand: the worker, or the write of its
// dead letter.
type trouble struct {
	keyless error // Run ends because of it, as when OrderBy gave no key: it is never handed over
	kept    bool  // its data are a copy, which pins no fetch buffer
	waits   int   // failures in a row that spent no attempt
	unspent int   // all that spent none
	given   *givenUp
	told    string // the state of which the log has an error already
	now     atomic.Pointer[condition]
	first   time.Time // when it failed first
}

// givenUp is a record on its way out: its handler is not called again unless the
// way out stays shut.
type givenUp struct {
	err      error // of the last attempt
	attempts int
	reason   string
	writes   int          // that failed
	decision string       // of a record that is to be passed, or parked, in the store
	audit    *store.Audit // of that, by an operator's word
	word     *parking.CommandBody
	passes   int    // tries of that which failed
	learn    func() // tells the sequence guard that its key goes on; nil: nothing
}

// A condition is what a blocked key waits for.
type condition struct{ state, reason string }

// States of a blocked key; docs/operating.md explains them.
const (
	stateBackoff     = "backoff"
	stateUnavailable = "unavailable"
	stateExhausted   = "exhausted"
	statePermanent   = "permanent"
	stateWriting     = "dead-letter-writing"
	stateFailing     = "dead-letter-failing"
	stateFailed      = "dead-letter-failed"
	stateTooLarge    = "dead-letter-too-large"
	stateStopped     = "stopped"

	statePaused     = "paused"              // an operator has paused its key
	stateParking    = "parking-writing"     // it is being parked
	stateNotWritten = "parking-failing"     // the topic does not take it: written again when it does
	stateBehind     = "parked"              // its key is parked: it joins the others
	stateNotParked  = "parking-refused"     // a cap, or its size: tried for ever in place
	stateNoParking  = "parking-unavailable" // there is no topic to park it in: the same
)

// BlockedStates lists the values of BlockedKey.State.
func BlockedStates() []string {
	return []string{stateBackoff, stateUnavailable, stateExhausted, statePermanent, stateWriting, stateFailing, stateFailed, stateTooLarge,
		statePaused, stateParking, stateNotWritten, stateBehind, stateNotParked, stateNoParking, stateStopped}
}

func (tr *trouble) is(state string, err error) {
	tr.now.Store(&condition{state, brief(err)})
}

// shown is the condition of a blocked unit's head.
func (tr *trouble) shown() (state, reason string) {
	if tr == nil {
		return stateBackoff, ""
	}
	if c := tr.now.Load(); c != nil {
		return c.state, c.reason
	}
	return stateBackoff, ""
}

// errWriteAgain is the result of a record whose dead letter is due to be written
// again: its handler is not called.
type errWriteAgain struct{ *givenUp }

func (e errWriteAgain) Error() string { return e.err.Error() }

// nextAttempt is the number of the attempt that begins: it counts also those that
// spent none, so that no two have the same.
func (m *Message) nextAttempt() int {
	n := int(m.item.Attempts) + 1
	if m.trouble != nil {
		n += m.trouble.unspent
	}
	return n
}

// unready is why the record is not handed to its handler; nil: it is.
func (m *Message) unready() error {
	switch tr := m.trouble; {
	case tr == nil:
		return nil
	case tr.keyless != nil:
		return tr.keyless
	case tr.given != nil:
		return errWriteAgain{tr.given}
	}
	return nil
}

// retain makes the item that takes a failed one's place: a copy, since whoever was
// given the Message may keep it, and the next attempt has another number.
func retain(it *lane.Item) (*lane.Item, *trouble) {
	old := it.Payload.(*Message)
	if old.trouble == nil || !old.trouble.kept {
		it = keep(it)
		m := it.Payload.(*Message)
		tr := &trouble{kept: true}
		if m.trouble != nil {
			tr.keyless = m.trouble.keyless
		}
		m.trouble = tr
		return it, tr
	}
	m := &Message{Record: old.Record, trouble: old.trouble, release: old.release}
	m.item = lane.Item{Payload: m, Hash: it.Hash, Slot: it.Slot, Offset: it.Offset, Attempts: it.Attempts, Size: it.Size}
	return &m.item, m.trouble
}
