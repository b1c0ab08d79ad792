package group

import "github.com/orderly-go/orderly/internal/lane"

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
	Window    int
	Reasons   []string
	Stat      lane.Stat
	Blocked   []lane.BlockedUnit
}

// State returns the session's state, with up to blocked blocked keys of each
// partition.
func (s *Session) State(blocked int) State {
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
			Reasons: reasons(p.halted(), s.pauses(p))}
		if p.lane != nil {
			ps.Next = p.ring.NextOffset()
			ps.Window = p.ring.Len()
			ps.Stat = p.lane.Stat()
			ps.Blocked = p.lane.Blocked(blocked)
		}
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}

// Rejoin makes the member join the group anew, which moves its generation.
func (s *Session) Rejoin() {
	s.mu.Lock()
	cl := s.cl
	s.mu.Unlock()
	if cl != nil {
		cl.ForceRebalance()
	}
}
