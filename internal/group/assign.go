package group

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// onAssigned begins ownerships. Nothing is read yet: the client asks adjust
// first, and reads when that returns.
func (s *Session) onAssigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	<-s.ready
	s.mu.Lock()
	defer s.mu.Unlock()
	s.distrust.Store(false)
	if s.closing {
		return
	}
	for topic, partitions := range added {
		for _, partition := range partitions {
			id := tp{topic, partition}
			if s.parts[id] == nil {
				s.parts[id] = &Partition{tp: id, refusedGen: -1, released: make(chan struct{}), assigned: time.Now()}
			}
		}
	}
	s.aside(s.lookAround)
}

// adjust is called by the client with the committed offsets of new partitions,
// before it reads them. It returns when each has its fencing token, or with the
// group session's context: then the client calls it again in the next one.
func (s *Session) adjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.adjusting.Add(1)
	defer s.adjusting.Add(-1)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return offsets, nil
	}
	var parts []*Partition
	for topic, ps := range offsets {
		for partition := range ps {
			// One that was granted when the session before this ended is live
			// already, and only not read yet.
			if p := s.parts[tp{topic, partition}]; p != nil && (p.state == granting || p.state == live && !p.accepting.Load()) {
				parts = append(parts, p)
			}
		}
	}
	var open []*Partition
	for _, p := range parts {
		if p.state == granting {
			open = append(open, p)
		}
	}
	s.mu.Unlock()
	// Records of an earlier ownership of these partitions may be on their way
	// from the client to the poll loop. When that poll has ended, whatever comes
	// belongs to this ownership: also for a hook of the client that sees records,
	// and hears of the ownership by its event.
	s.gate.barrier()
	if err := s.grant(ctx, open); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resume := make(map[string][]int32)
	for _, p := range parts {
		if p.state != live {
			continue
		}
		offsets[p.topic][p.partition] = kgo.NewOffset().At(p.ring.NextOffset())
		p.accepting.Store(true)
		// The client remembers pauses across assignments; ours begin anew.
		resume[p.topic] = append(resume[p.topic], p.partition)
	}
	s.cl.ResumeFetchPartitions(resume)
	return offsets, nil
}

// onRevoked gives partitions up in order. It returns when their handlers have
// returned or the deadlines have passed, and no commit of theirs is outstanding.
func (s *Session) onRevoked(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
	if len(revoked) == 0 {
		return
	}
	defer s.heard.revoking()()
	if s.distrust.Load() {
		s.cfg.Hooks.Warning("eager-member", fmt.Sprintf("group %s: a member that knows no cooperative balancer has joined: "+
			"the partitions of this member were given to others without a handover, and are dropped uncommitted; "+
			"give all members the same balancer, or take the group over with MigrateFrom", s.cfg.Group))
		s.lose(s.take(revoked))
		return
	}
	s.release(s.take(revoked))
}

// onLost drops partitions that are another's already.
func (s *Session) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	s.lose(s.take(lost))
}

func (s *Session) take(m map[string][]int32) (parts []*Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, partitions := range m {
		for _, partition := range partitions {
			if p := s.parts[tp{topic, partition}]; p != nil {
				parts = append(parts, p)
			}
		}
	}
	return parts
}

// lose ends ownerships at once: contexts are cancelled, nothing is committed any
// more. It returns when no commit of theirs is outstanding.
func (s *Session) lose(parts []*Partition) {
	if len(parts) == 0 {
		return
	}
	s.mu.Lock()
	for _, p := range parts {
		p.state = gone
		p.accepting.Store(false)
		if s.parts[p.tp] == p {
			delete(s.parts, p.tp)
		}
	}
	s.mu.Unlock()
	for _, p := range parts {
		if p.lane == nil {
			continue
		}
		running := p.lane.Stat().Running
		s.mu.Lock()
		again := p.again()
		s.mu.Unlock()
		dropped := p.lane.Close(s.cfg.Causes.Lost)
		p.endBeside()
		p.endStore()
		s.cfg.Hooks.Lost(Lost{Topic: p.topic, Partition: p.partition, Token: p.token, Running: running, Again: again})
		if dropped > 0 {
			s.cfg.Hooks.Dropped(p.topic, p.partition, dropped, "lost")
		}
	}
	s.commitMu.Lock() // waits for a commit that is on its way
	//lint:ignore SA2001 the empty section is the wait
	s.commitMu.Unlock()
}
