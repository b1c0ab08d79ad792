package orderly

import (
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
)

// A State is a snapshot of a Consumer.
type State struct {
	Group      string
	Member     string // empty before the group was joined
	Generation int32
	Silent     bool  // the coordinator was not heard for the session timeout
	Records    int64 // that wait or run, over all partitions
	Bytes      int64
	Breaker    BreakerState
	Partitions []PartitionState

	Limits Limits

	// OrderViolations were seen by the consumer's check on itself, which looks at
	// one in 64 keys: not zero means that orderly has a fault.
	OrderViolations uint64
	// Loops are what keeps the consumer going.
	Loops []LoopState
}

// Limits are the configuration's, to compare with.
type Limits struct {
	Records     int
	Bytes       int64
	Window      int
	Concurrency int
}

// A LoopState is a snapshot of one of the consumer's loops: poll, commit, tend.
type LoopState struct {
	Name  string
	Turns uint64
	Busy  time.Duration // how long the present turn has taken; zero: it waits for the next
	Limit time.Duration // a turn that takes longer is stuck
}

// A PartitionState is a snapshot of one partition that is ours.
type PartitionState struct {
	Topic        string
	Partition    int32
	FencingToken int64
	Committed    int64 // offset of the last acknowledged commit
	Next         int64 // the next offset to be read
	Window       int   // records from the oldest that is not done to the newest read
	// Reasons name why the partition is not read or nothing of it starts:
	// awaiting-grant, coordinator-silent, draining, window-full, buffer-full,
	// breaker-open, awaiting-parking, parking-unreadable, parking-mismatch,
	// parking-damaged, parking-partition-missing, paused.
	Reasons []string
	Waiting int // records that wait or run
	Bytes   int64
	Running int          // calls of the handler
	Keys    int          // keys (or lanes) that run or are about to, and those that wait for a retry; a record that was only just read counts as none
	Blocked int          // keys whose oldest record failed and waits
	Oldest  []BlockedKey // of these, those that have been blocked longest; 10 at the most
	// BlockedStates counts all of these by BlockedKey.State; nil: there are none.
	BlockedStates map[string]int
	Done          uint64 // records done under this ownership

	// Parking is what is parked of the partition.
	Parking ParkingState
	// Sequence is what the sequence guard knows of it.
	Sequence SequenceState

	Behind    int   // records that wait behind the blocked ones
	DoneAhead int64 // records above the oldest that is not done that are done
	// LogStart and LogEnd bound the log, with read committed to the last stable
	// offset: what open transactions hold back is not there yet. They are looked
	// up every 10 s, also while the partition is paused.
	LogStart, LogEnd int64
	LogRead          time.Time // when; zero: they are not known yet
	// Undone counts the records that are not done, from the oldest to the log's
	// end. Offsets that nothing has been read of yet count as records.
	Undone int64
	// OldestUndone is about the timestamp of the oldest record that was read and
	// is not done: up to a second early. Zero: there is none.
	OldestUndone time.Time
}

// A ParkingState is a snapshot of what is parked of a partition.
type ParkingState struct {
	Topic   string // the parking topic; empty: none is in use
	Reason  string // why the partition waits for it; empty: it does not
	Cause   string // the last thing that was wrong with it, in short
	Keys    int    // parked keys
	Records int    // parked records of those
	Bytes   int64
	Void    int64 // entries of replaced owners, which do not count
	// Oldest is when the key failed first that was parked first; zero: there is none.
	// It is looked for every 10 s.
	Oldest time.Time
	Pauses []Pause
}

// A Pause is a pause in force, of a key or of the whole partition.
type Pause struct {
	ID, Who, Reason string
	Since           time.Time
	Whole           bool   // the partition, not a key
	Key             []byte // the ordering key
}

// Lag is the number of offsets from the last commit to the log's end, as lag tools
// show it; -1: the end is not known. A blocked key makes it grow though all other
// keys are done: compare Undone.
func (p PartitionState) Lag() int64 {
	if p.LogRead.IsZero() {
		return -1
	}
	return max(0, p.LogEnd-p.Committed)
}

// A BlockedKey is a key whose oldest record failed.
type BlockedKey struct {
	Key      []byte
	Offset   int64
	Attempts int
	Cause    string // the last failure, in short; empty when it was in an earlier ownership
	Waiting  int    // records, that one included
	Since    time.Time
	Next     time.Time // of the next attempt; zero when there is none
	// State names what it waits for: backoff (its next attempt), unavailable (a
	// dependency; no attempt is spent), exhausted or permanent (it is tried for
	// ever, at the maximum backoff), dead-letter-writing, dead-letter-failing (the
	// write is tried again), dead-letter-failed or dead-letter-too-large (it is
	// tried for ever), paused (by an operator), parking-writing, parking-failing (the
	// write is tried again), parked (it joins the parked ones of its key),
	// parking-refused or parking-unavailable (it is tried for ever), stopped.
	// BlockedStates lists them.
	State string
}

// State returns a snapshot. It may be called at any time.
func (c *Consumer) State() State { return c.state(10) }

// Blocked is State with up to limit blocked keys of each partition in Oldest. It
// looks at every key of a partition that has a blocked one.
func (c *Consumer) Blocked(limit int) State { return c.state(limit) }

func (c *Consumer) state(oldest int) State {
	c.mu.Lock()
	s, pool := c.session, c.pool
	c.mu.Unlock()
	st := State{Group: c.cfg.Group, Limits: Limits{Records: c.cfg.Buffer.Records, Bytes: c.cfg.Buffer.Bytes,
		Window: c.cfg.Buffer.Window, Concurrency: c.cfg.Concurrency}, OrderViolations: c.h.order.seen.Load(), Breaker: c.h.guard.state()}
	if s == nil {
		return st
	}
	st.Loops = c.loops()
	g := s.State()
	st.Member, st.Generation, st.Silent = g.Member, g.Generation, g.Silent
	st.Records, st.Bytes = pool.Records(), pool.Bytes()
	for _, p := range g.Partitions {
		ps := PartitionState{
			Topic: p.Topic, Partition: p.Partition, FencingToken: p.Token, Committed: p.Committed, Next: p.Next,
			Window: p.Window, Reasons: p.Reasons, Waiting: p.Stat.Records, Bytes: p.Stat.Bytes,
			Running: p.Stat.Running, Keys: p.Stat.Units, Blocked: p.Stat.Blocked, Done: p.Stat.Done,
			Behind: p.Behind, DoneAhead: p.DoneAhead, LogStart: p.LogStart, LogEnd: p.LogEnd, LogRead: p.LogRead, Undone: p.Undone, OldestUndone: p.OldestUndone,
		}
		if pk, ok := p.Beside.(*parked.Partition); ok {
			ps.Parking = parkingState(pk.State())
		}
		if o, ok := p.Stored.(*ownership); ok {
			o.addParked(&ps.Parking)
		}
		if s, ok := p.Notes.(*sequences); ok {
			ps.Sequence = s.state()
		}
		for _, b := range p.Blocked[:min(oldest, len(p.Blocked))] {
			ps.Oldest = append(ps.Oldest, blockedKey(b))
		}
		ps.BlockedStates = blockedStates(p.Blocked)
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}

func parkingState(s parked.State) ParkingState {
	st := ParkingState{Topic: s.Topic, Reason: s.Reason, Cause: s.Cause, Keys: s.Keys, Records: s.Records, Bytes: s.Bytes, Void: s.Void, Oldest: s.Oldest}
	for _, p := range s.Pauses {
		st.Pauses = append(st.Pauses, Pause(p))
	}
	return st
}

func blockedStates(all []lane.BlockedUnit) map[string]int {
	if len(all) == 0 {
		return nil
	}
	n := map[string]int{}
	for _, b := range all {
		state, _ := shown(b)
		n[state]++
	}
	return n
}

func blockedKey(b lane.BlockedUnit) BlockedKey {
	m := b.Head.Payload.(*Message)
	k := BlockedKey{Key: m.Key, Offset: m.Offset, Attempts: int(b.Attempts), Waiting: b.Waiting, Since: b.Since, Next: b.Next}
	k.State, k.Cause = shown(b)
	return k
}

// shown is the condition of a blocked unit.
func shown(b lane.BlockedUnit) (state, reason string) {
	if tr := b.Head.Payload.(*Message).trouble; tr != nil || b.Awaits == "" {
		return tr.shown()
	}
	return b.Awaits, errWaits.Error() // it waits with others, and nothing is known of it alone
}
