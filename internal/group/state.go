package group

import (
	"math"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
)

// A State is a moment of the session.
type State struct {
	Member     string
	Generation int32
	Silent     bool
	Partitions []PartitionState
}

// A PartitionState is a moment of one partition.
type PartitionState struct {
	Topic     string
	Partition int32
	Token     int64
	Committed int64
	Next      int64 // the next offset to be read
	Beside    Parked
	Stored    Stored
	Notes     any // as the partition's lanes have them
	Window    int
	Reasons   []string
	Stat      lane.Stat
	Blocked   []lane.BlockedUnit
	Behind    int // records that wait behind blocked ones

	DoneAhead    int64     // records above the oldest that is not done that are
	Undone       int64     // records that are not done, as far as the log's end is known
	OldestUndone time.Time // timestamp of the oldest that was read; zero: none
	LogStart     int64
	LogEnd       int64
	LogRead      time.Time // zero: start and end are not known
}

// State returns the session's state, with up to blocked blocked keys of each
// partition.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	var st State
	if s.cl == nil {
		return st
	}
	st.Member, st.Generation = s.cl.GroupMetadata()
	st.Silent = s.silent
	for _, p := range s.allLocked() {
		ps := PartitionState{Topic: p.topic, Partition: p.partition, Token: p.token, Committed: p.committed,
			Reasons: p.reasonsOf(p.halted(), s.pauses(p)), Beside: p.park, Stored: p.stored}
		if p.lane != nil {
			ps.Next = p.ring.NextOffset()
			ps.Stat = p.lane.Stat()
			ps.Notes = p.lane.Notes()
			ps.Blocked = p.lane.Blocked(math.MaxInt)
			for _, b := range ps.Blocked {
				ps.Behind += b.Waiting - 1
			}
			s.measure(p, &ps)
		}
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}

// measure adds how far the partition is. Called with Session.mu held.
func (s *Session) measure(p *Partition, ps *PartitionState) {
	// One look for all numbers, that they agree; as of now, not of the last reclaim.
	p.ring.Snapshot(&s.look, 1)
	ps.Window, ps.DoneAhead = s.look.Window, int64(s.look.Ahead)
	ps.Undone = int64(s.look.Window - s.look.Ahead)
	if s.look.Window > 0 {
		ps.OldestUndone = p.ages.of(s.look.Watermark)
	}
	if e := p.extent; !e.at.IsZero() {
		ps.LogStart, ps.LogEnd, ps.LogRead = e.start, max(e.end, ps.Next), e.at
		ps.Undone += ps.LogEnd - ps.Next
		for _, r := range p.meta.Ahead { // done under an earlier ownership, and not read again yet
			if from, to := max(r.From, ps.Next), min(r.To, ps.LogEnd); to > from {
				ps.Undone -= to - from
				ps.DoneAhead += to - from
			}
		}
	}
}

// Member is the member id; empty before the group was joined.
func (s *Session) Member() string {
	s.mu.Lock()
	cl := s.cl
	s.mu.Unlock()
	if cl == nil {
		return ""
	}
	member, _ := cl.GroupMetadata()
	return member
}

// Rejoin makes the member join the group anew, which moves its generation.
func (s *Session) Rejoin() {
	s.mu.Lock()
	cl := s.cl
	s.mu.Unlock()
	if cl != nil {
		s.asked.Store(true)
		cl.ForceRebalance()
	}
}
