package group

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topicsEvery = 30 * time.Second // ids and partition counts are looked up, unless the client does it more often
	stuckEvery  = time.Second      // handlers whose context has ended are looked for
)

// tend does what needs no record: it watches the coordinator's silence, resumes
// partitions, reports stuck handlers and looks after the topics.
func (s *Session) tend(ctx context.Context) {
	const tick = 100 * time.Millisecond
	topicsEvery := topicsEvery
	if age, ok := s.cl.OptValue(kgo.MetadataMaxAge).(time.Duration); ok {
		topicsEvery = min(topicsEvery, age)
	}
	nextTopics := time.Now().Add(topicsEvery)
	nextStuck := time.Now().Add(stuckEvery)
	t := time.NewTimer(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.pulses.tend.begin()
		left := s.watchCoordinator()
		s.newMember()
		s.watchGrants()
		s.resume()
		s.endSerial()
		s.showStates()
		s.watchGeneration()
		now := time.Now()
		s.tendExtents(now)
		if !now.Before(nextStuck) {
			nextStuck = now.Add(stuckEvery)
			s.reportStuck()
		}
		if !now.Before(nextTopics) {
			nextTopics = now.Add(topicsEvery)
			s.aside(s.checkTopics)
		}
		wait := tick
		if left > 0 {
			wait = min(wait, left) // at the session's end to the moment, not a tick later
		}
		s.pulses.tend.end()
		t.Reset(wait)
	}
}

// watchCoordinator ends running contexts when the coordinator was not heard for
// the session timeout, for then another member may own the partitions; and goes
// on when it is heard again and has confirmed that they are still ours.
func (s *Session) watchCoordinator() (left time.Duration) {
	rebalance := s.cfg.Rebalance
	if s.cfg.ServerSide {
		rebalance = s.cfg.Session // nobody waits for this member's join
	}
	left = s.heard.left(s.cfg.Session, rebalance)
	s.mu.Lock()
	if s.silent == (left <= 0) {
		s.mu.Unlock()
		return left
	}
	s.silent = left <= 0
	s.silences++
	var parts []*Partition
	for _, p := range s.parts {
		if p.lane == nil {
			continue
		}
		parts = append(parts, p)
		if s.silent {
			// Any answer may be that we are a member no more: only a commit that
			// is accepted under a new token lets handlers start again.
			p.doubt()
			p.lane.SetHalt(haltSilent)
			p.lane.Cancel(s.cfg.Causes.Silent)
		} else {
			p.lane.ClearHalt(haltSilent)
		}
	}
	silent := s.silent
	s.mu.Unlock()
	if silent {
		if len(parts) > 0 {
			s.cfg.Hooks.Warning("coordinator-silent", fmt.Sprintf("group %s: the coordinator has not answered for the session timeout (%s): "+
				"running handlers' contexts end and nothing starts until it has confirmed that the %d partitions are still ours",
				s.cfg.Group, min(s.cfg.Session, s.cfg.Rebalance), len(parts)))
		}
		return 0
	}
	s.kickCommitter()
	return left
}

// resume lifts pauses whose reason has gone, with some distance, so that a
// partition does not flap: a pause throws away what the client had fetched.
func (s *Session) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := max(1, len(s.parts))
	shut := s.cfg.Shut != nil && s.cfg.Shut()
	for _, p := range s.parts {
		if shut != (p.pause&pauseShut != 0) {
			s.pauseLocked(p, pauseShut, shut)
		}
		if p.pause == 0 || p.lane == nil {
			continue
		}
		// Nothing is polled of a paused partition: what is done has to be taken out
		// of its window here.
		if p.pause&pauseWindow != 0 && p.ring.Reclaim() <= s.cfg.Window*3/4 {
			s.pauseLocked(p, pauseWindow, false)
		}
		if p.pause&pauseBuffer != 0 {
			st := p.lane.Stat()
			if st.Records <= s.cfg.Records/4/n && st.Bytes <= s.cfg.Bytes/4/int64(n) {
				s.pauseLocked(p, pauseBuffer, false)
			}
		}
	}
}

// showStates reports the partitions whose reasons to wait have changed.
func (s *Session) showStates() {
	type change struct {
		p      *Partition
		now    []string
		paused bool
	}
	var changes []change
	s.mu.Lock()
	for _, p := range s.parts {
		halt := p.halted()
		if p.state == granting {
			continue // a partition that has just come is no news
		}
		pause := s.pauses(p)
		why := p.whyParking(halt)
		if halt == p.shown && pause == p.shownPause && why == p.why {
			continue
		}
		grew := halt&^p.shown != 0 || pause&^p.shownPause != 0 || why != "" && why != p.why
		p.shown, p.shownPause, p.why = halt, pause, why
		changes = append(changes, change{p, p.reasonsOf(halt, pause), grew})
	}
	s.mu.Unlock()
	for _, c := range changes {
		if c.paused {
			s.cfg.Hooks.Paused(c.p.topic, c.p.partition, c.now)
		} else {
			s.cfg.Hooks.Resumed(c.p.topic, c.p.partition, c.now)
		}
	}
}

// reportStuck reports handlers whose context has ended and that have not
// returned, each again when it has become twice as old.
func (s *Session) reportStuck() {
	s.mu.Lock()
	byLane := make(map[*lane.Partition]*Partition, len(s.parts))
	for _, p := range s.parts {
		byLane[p.lane] = p
	}
	s.mu.Unlock()
	var now []Stuck
	for _, r := range s.cfg.Pool.Running(0) {
		p := byLane[r.Part]
		if p == nil && !r.Closed || r.Ctx.Err() == nil {
			continue
		}
		now = append(now, Stuck{Item: current(r.Items), Age: time.Since(r.Since), Owned: p != nil})
	}
	for _, st := range s.cfg.Overdue() {
		if !slices.ContainsFunc(now, func(o Stuck) bool { return o.Item == st.Item }) {
			now = append(now, st)
		}
	}
	for _, st := range s.stuck.news(now) {
		s.cfg.Hooks.Stuck(st)
	}
}

// current is the item of a run that its handler is in: the first that is not done.
func current(items []*lane.Item) *lane.Item {
	for _, it := range items {
		if !it.Slot.IsDone() {
			return it
		}
	}
	return items[len(items)-1]
}

// stuckLog remembers at what age a stuck handler was last reported.
type stuckLog struct {
	mu   sync.Mutex
	seen map[*lane.Item]time.Duration
}

func (l *stuckLog) news(now []Stuck) (news []Stuck) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[*lane.Item]time.Duration, len(now))
	for _, st := range now {
		age, ok := l.seen[st.Item]
		if !ok || st.Age >= 2*age {
			news = append(news, st)
			age = st.Age
		}
		next[st.Item] = age
	}
	l.seen = next
	return news
}

// watchGrants moves the group on when a partition waits for a new generation and
// none comes: a coordinator that refuses a commit usually begins one, and a
// heartbeat says so. When joining again does not help either for a session, the
// group is left and joined anew.
func (s *Session) watchGrants() {
	s.mu.Lock()
	_, gen := s.cl.GroupMetadata()
	var longest time.Duration
	forgotten := false
	for _, p := range s.parts {
		// The client asks for no offsets of a partition that it could not find at
		// the moment; it does in a new membership.
		forgotten = forgotten || p.state == granting && !s.silent && s.adjusting.Load() == 0 && time.Since(p.assigned) > s.cfg.Session

		if (p.state == live || p.state == granting) && p.needGrant && p.refusedGen == gen && !s.silent && !s.joining.Load() {
			longest = max(longest, time.Since(p.needSince))
		}
	}
	s.mu.Unlock()
	switch {
	case forgotten:
		s.cfg.Logger.Warn("orderly: the client does not read an assigned partition; leaving the group to join it anew", "group", s.cfg.Group)
		s.fail(ErrRejoin)
	case longest > s.cfg.Session:
		s.cfg.Logger.Warn("orderly: the group's generation does not move; leaving the group to join it anew", "group", s.cfg.Group, "generation", gen)
		s.fail(ErrRejoin)
	case longest > 2*s.cfg.Heartbeat:
		s.newGeneration(gen)
	}
}

// lookAround names members of the group that are not ours.
func (s *Session) lookAround(ctx context.Context) {
	if s.cfg.ServerSide {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Session)
	defer cancel()
	groups, err := s.adm.DescribeGroups(ctx, s.cfg.Group)
	if err != nil {
		return
	}
	g, ok := groups[s.cfg.Group]
	if !ok || g.Err != nil {
		return
	}
	me, _ := s.cl.GroupMetadata()
	mine := clientID
	for _, m := range g.Members {
		if m.MemberID == me {
			mine = m.ClientID
		}
	}
	var foreign []string
	for _, m := range g.Members {
		if m.ClientID != mine && !strings.HasPrefix(m.ClientID, clientID) {
			foreign = append(foreign, fmt.Sprintf("%s at %s", m.ClientID, m.ClientHost))
		}
	}
	if len(foreign) > 0 {
		slices.Sort(foreign)
		s.cfg.Hooks.Warning("foreign-member", fmt.Sprintf("group %s has members that are not orderly's: %s: order does not hold on the partitions that they get",
			s.cfg.Group, strings.Join(slices.Compact(foreign), ", ")))
	}
}
