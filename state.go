package orderly

import "time"

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
	// breaker-open.
	Reasons []string
	Waiting int // records that wait or run
	Bytes   int64
	Running int          // calls of the handler
	Keys    int          // keys (or lanes) with records that wait or run
	Blocked int          // keys whose oldest record failed and waits
	Oldest  []BlockedKey // of these, those that have been blocked longest; 10 at the most
	Done    uint64       // records done under this ownership
}

// A BlockedKey is a key whose oldest record failed.
type BlockedKey struct {
	Key      []byte
	Offset   int64
	Attempts int
	Waiting  int // records, that one included
	Since    time.Time
	Next     time.Time // of the next attempt; zero when there is none
}

// State returns a snapshot. It may be called at any time.
func (c *Consumer) State() State {
	const oldest = 10
	c.mu.Lock()
	s, pool := c.session, c.pool
	c.mu.Unlock()
	st := State{Group: c.cfg.Group, Breaker: c.h.guard.state()}
	if s == nil {
		return st
	}
	g := s.State(oldest)
	st.Member, st.Generation, st.Silent = g.Member, g.Generation, g.Silent
	st.Records, st.Bytes = pool.Records(), pool.Bytes()
	for _, p := range g.Partitions {
		ps := PartitionState{
			Topic: p.Topic, Partition: p.Partition, FencingToken: p.Token, Committed: p.Committed, Next: p.Next,
			Window: p.Window, Reasons: p.Reasons, Waiting: p.Stat.Records, Bytes: p.Stat.Bytes,
			Running: p.Stat.Running, Keys: p.Stat.Units, Blocked: p.Stat.Blocked, Done: p.Stat.Done,
		}
		for _, b := range p.Blocked {
			m := b.Head.Payload.(*Message)
			ps.Oldest = append(ps.Oldest, BlockedKey{Key: m.Key, Offset: m.Offset, Attempts: int(b.Head.Attempts),
				Waiting: b.Waiting, Since: b.Since, Next: b.Next})
		}
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}
