package group

import (
	"context"
	"sync"
	"time"
)

// release gives partitions up in order: nothing starts any more, running
// handlers may finish until the drain deadline, or until Abort, what is done is
// committed.
func (s *Session) release(parts []*Partition) {
	if len(parts) == 0 {
		return
	}
	started := time.Now()
	s.mu.Lock()
	var with, others []*Partition
	for _, p := range parts {
		switch {
		case p.state == draining:
			others = append(others, p) // somebody else is at it: wait for it
		case p.state == live:
			p.state = draining
			with = append(with, p)
		case p.state == granting:
			p.state = gone
			if s.parts[p.tp] == p {
				delete(s.parts, p.tp)
			}
		}
	}
	s.mu.Unlock()
	defer func() {
		for _, p := range others {
			<-p.released
		}
	}()
	until := started.Add(s.drainTime())
	clean := s.drain(with, until)
	took := time.Since(started)
	s.lastCommit(with, until)

	s.mu.Lock()
	again := make(map[*Partition]int64, len(with))
	for _, p := range with {
		if again[p] = p.again(); p.sealed != nil && p.text == p.sealed.text && p.committed == p.sealed.offset {
			again[p] = p.notRecorded // a result that came after it counts as one that came late
		}
		p.state = gone
		p.accepting.Store(false)
		if s.parts[p.tp] == p {
			delete(s.parts, p.tp)
		}
	}
	s.mu.Unlock()
	for _, p := range with {
		st := p.lane.Stat()
		dropped := p.lane.Close(s.cfg.Causes.Lost)
		p.endBeside()
		p.endStore()
		s.cfg.Hooks.Revoked(Revoked{Topic: p.topic, Partition: p.partition, Token: p.token, Drain: took, Clean: clean[p],
			Committed: p.sealed != nil && p.text == p.sealed.text && p.committed == p.sealed.offset, Offset: p.committed, Again: again[p]})
		if st.Running > 0 {
			s.cfg.Hooks.Dropped(p.topic, p.partition, st.Running, "late")
		}
		if dropped > 0 {
			s.cfg.Hooks.Dropped(p.topic, p.partition, dropped, "unstarted")
		}
		close(p.released)
	}
}

// drain waits for the running handlers of each partition. At the deadline, or at
// once when the session is aborted, their contexts end, what is done by then is
// sealed for the last commit, and they get a short time to return. It says for
// which partitions all had returned before.
func (s *Session) drain(parts []*Partition, until time.Time) map[*Partition]bool {
	clean := make(map[*Partition]bool, len(parts))
	for _, p := range parts {
		p.lane.SetHalt(haltDrain)
	}
	deadline, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			idle := p.lane.WaitIdle()
			cause, grace := s.cfg.Causes.Drain, s.grace()
			select {
			case <-idle:
			case <-deadline.Done():
			case <-s.abort: // somebody wants to leave now
				cause, grace = s.cfg.Causes.Aborted, min(grace, time.Second)
			}
			select {
			case <-idle:
				if p.park != nil {
					s.noteNow(p)
					p.park.Drained(until)
				}
				s.seal(p, true)
				mu.Lock()
				clean[p] = true
				mu.Unlock()
				return
			default:
			}
			// Exactly what is done now: a result that comes later is discarded.
			s.seal(p, false)
			p.lane.Cancel(cause)
			if !closedWithin(idle, grace) {
				s.overrun(p)
			}
		})
	}
	wg.Wait()
	return clean
}

func (s *Session) aborting() bool {
	select {
	case <-s.abort:
		return true
	default:
		return false
	}
}

func closedWithin(ch <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
		return true
	case <-t.C:
		return false
	}
}

// drainTime is how long running handlers may take. One who learns late of a
// rebalance, because its heartbeats did not get through, has less: the group waits
// for the rebalance timeout, from when the rebalance began, and then gives the
// partitions away.
func (s *Session) drainTime() time.Duration {
	if s.cfg.ServerSide {
		return s.cfg.Drain // there it counts from when the broker has told us
	}
	return max(0, min(s.cfg.Drain, s.cfg.Rebalance*5/6-s.heard.rebalancing()))
}

// grace is how long handlers get to return after their contexts have ended: a
// quarter of what is left of the session, so that the last commit has the rest.
func (s *Session) grace() time.Duration {
	return max((min(s.cfg.Session, s.cfg.Rebalance)-s.cfg.Drain)/4, 10*time.Millisecond)
}

// seal fixes what the last commit says.
func (s *Session) seal(p *Partition, clean bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ends.leaving = true
	it, err := s.snapshot(p, clean)
	if err != nil {
		s.cfg.Logger.Error("orderly: commit metadata", "group", s.cfg.Group, "topic", p.topic, "partition", p.partition, "error", err)
		return
	}
	p.sealed = &it
}

// overrun is a handler that ignores its ended context while its partition has to
// go.
func (s *Session) overrun(p *Partition) {
	s.reportStuck()
	if s.cfg.Exit != nil {
		s.cfg.Logger.Error("orderly: a handler ignores its ended context; the process ends instead of releasing its partition",
			"group", s.cfg.Group, "topic", p.topic, "partition", p.partition)
		s.cfg.Exit()
	}
}

// lastCommit commits what drain has sealed. A commit that is on its way is waited
// for, and a refusal that passes is tried again, within the time that the session
// leaves; the drain may have left some of its own.
func (s *Session) lastCommit(parts []*Partition, until time.Time) {
	limit := time.Now().Add(s.grace())
	if end := until.Add(s.grace()); end.After(limit) && !s.aborting() {
		limit = end
	}
	ctx, cancel := context.WithDeadline(context.Background(), limit)
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
		case <-s.abort: // then only as long as for an answer that is on its way
			if sleep(ctx, min(s.grace(), time.Second)) {
				cancel()
			}
		}
	}()
	joined := time.Now().Add(s.grace())
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		s.commit(ctx, parts)
		s.mu.Lock()
		member, gen, ok := s.membership()
		// A join that is under way may end with a generation in which they are still
		// ours; barred says when not, as for a member with a new id. Nothing runs
		// meanwhile, and one that hangs is not waited for as long as handlers are.
		if left := time.Until(joined); !ok && left > 0 && s.joining.Load() && !s.silent && !s.distrust.Load() {
			ok, wait = true, min(wait, left)
		}
		open := false
		for _, p := range parts {
			if p.state == draining && p.sealed != nil && (p.committed != p.sealed.offset || p.text != p.sealed.text) && !p.barred(member, gen) {
				open = true
			}
		}
		s.mu.Unlock()
		if !open || !ok || !sleep(ctx, wait) {
			return
		}
	}
}
