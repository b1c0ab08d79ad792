package group

// Causes of a new generation, as this member sees them.
const (
	causeJoined  = "joined"  // this member joined with a new session
	causeDropped = "dropped" // the group had dropped this member: it has another id now
	causeAsked   = "asked"   // this member asked for it, after a commit without an answer say
	causeGroup   = "group"   // members came or went, or topics changed
)

// watchGeneration reports that the group has moved on, and why.
func (s *Session) watchGeneration() {
	s.mu.Lock()
	member, gen := s.cl.GroupMetadata()
	was, wasGen := s.seenMember, s.seenGen
	moved := member != "" && gen >= 0 && (member != was || gen != wasGen) && !s.joining.Load()
	if moved {
		s.seenMember, s.seenGen = member, gen
	}
	s.mu.Unlock()
	if !moved {
		return
	}
	cause := causeGroup
	switch asked := s.asked.Swap(false); {
	case was == "":
		cause = causeJoined
	case member != was:
		cause = causeDropped
	case asked || s.rejoined.Load() == wasGen:
		cause = causeAsked
	}
	s.cfg.Hooks.Rebalanced(Rebalanced{Member: member, Generation: gen, Cause: cause})
}
