//go:build unix

package matrix

import (
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
)

// shortSession is the members' session in scenes of dying members: they are missed
// after this time.
const shortSession = 3 * time.Second

// A consumer process is killed under load: another takes over, in order, and
// repeats no more than what ran and what was done since the last commit.
func TestMemberKilledUnderLoad(t *testing.T) {
	play(t, shortSession, func(s *scene) {
		s.create(1, 2, 3)
		a, b, l := s.running()
		a.kill()
		most := s.unrecorded(a)
		s.until("the other has all partitions", func() bool { return s.h.owned(b.name) == partitions })
		s.more(l, 100)
		c := s.start("c")
		s.shares(b, c)
		s.more(l, 100)
		s.finish()
		rep := s.verdict()
		s.t.Logf("%d repeated, at most %d may be", rep.Redelivered, most)
		if rep.Redelivered > most {
			s.t.Errorf("%d records were repeated; %d were running or done since the last commit", rep.Redelivered, most)
		}
	})
}

// unrecorded is how many records of a dead member its last commits cannot have
// named: those done after the last commit but one was answered, and those that a
// handler had at that time, or at the end.
func (s *scene) unrecorded(dead *process) (n int) {
	before := make(map[int32][2]int64) // the place of the last commit but one, and of the last
	for _, e := range s.commits() {
		if e.Member == dead.name {
			before[e.Partition] = [2]int64{before[e.Partition][1], e.N}
		}
	}
	const atATime = 16 // Concurrency, in the worst case all of this member's at each of the two times
	n = 2 * atATime
	for _, e := range s.h.find(func(e history.Event) bool { return e.Kind == history.End && e.Member == dead.name && e.OK }) {
		if e.N > before[e.Partition][0] {
			n++
		}
	}
	return n
}

// A consumer process is frozen in the middle of handlers until others own its
// partitions, and wakes as a zombie: its handlers' contexts end, nothing that it
// still returns or commits counts, and it comes back under higher tokens.
func TestMemberFrozenPastItsSession(t *testing.T) {
	play(t, shortSession, func(s *scene) {
		s.create(1, 2, 3)
		a, b, l := s.running(func(c *config) { c.Hold = true })
		l.hold()
		s.until("the member has records that it does not finish", func() bool { return len(s.heldBy(a)) >= 2 })
		s.more(l, 50)
		a.freeze()
		was := s.h.owners()
		zombie := s.heldBy(a)
		s.until("the other has all partitions", func() bool { return s.h.owned(b.name) == partitions })
		for p, now := range s.h.owners() {
			if was[p].member == a.name && now.token <= was[p].token {
				s.t.Errorf("partition %d: token %d of the new owner is not above %d", p, now.token, was[p].token)
			}
		}
		l.handled() // what the frozen one holds, too
		if !s.doneByOthers(a, zombie) {
			s.t.Error("records that the frozen member holds were not done by the other")
		}

		a.thaw()
		s.contextsEnd(a, zombie, orderly.ErrPartitionLost, orderly.ErrCoordinatorSilent)
		s.shares(a, b)
		for p, now := range s.h.owners() {
			if now.member == a.name && now.token <= was[p].token {
				s.t.Errorf("partition %d: it came back with token %d, after %d", p, now.token, was[p].token)
			}
		}
		s.more(l, 100)
		s.finish()
		s.verdict()
	})
}

// What a member hears from the group's coordinator, and says to it, gets lost; all
// else is as it was, and it goes on to read records. It ends its handlers by its own
// clock before others begin: it could act, so that nothing excuses an overlap.
func TestMemberCutOffFromCoordinator(t *testing.T) {
	play(t, shortSession, func(s *scene) {
		var coordinator int
		s.until("the group has a coordinator", func() bool { coordinator = s.coordinator(); return coordinator != 0 })
		// It leads none of the records' partitions, and what else a client asks it
		// others can answer.
		s.create(int32(coordinator%3+1), int32((coordinator+1)%3+1))
		addr := shared.c.Addrs()[coordinator-1]
		way := newRelay(s.t, addr)
		a, b, l := s.running(func(c *config) { c.Hold, c.Via = true, map[string]string{addr: way.addr()} })
		l.hold()
		s.until("the member has records that it does not finish", func() bool { return len(s.heldBy(a)) >= 2 })
		s.more(l, 50)

		s.t.Logf("cut between member %s and broker %d", a.name, coordinator)
		cut := time.Now()
		way.cut()
		held := s.heldBy(a)
		s.contextsEnd(a, held, orderly.ErrCoordinatorSilent)
		s.t.Logf("contexts had ended %s after the cut; the session is %s", time.Since(cut).Round(time.Millisecond), s.session)
		s.until("the other has all partitions", func() bool { return s.h.owned(b.name) == partitions })
		l.handled()
		if !s.doneByOthers(a, held) {
			s.t.Error("what the member had begun was not done by the other")
		}
		if got := s.h.noted(a.name, "warning"); len(got) == 0 || got[0].Key != "coordinator-silent" {
			s.t.Errorf("its warnings: %+v; want one of a silent coordinator", got)
		}

		way.heal()
		s.shares(a, b)
		s.more(l, 100)
		s.finish()
		if rep := s.verdict(); rep.ExcusedOverlaps != 0 {
			s.t.Errorf("%d overlaps", rep.ExcusedOverlaps)
		}
	})
}

// heldBy are the starts of records that the member has not finished, and will not
// before their contexts end.
func (s *scene) heldBy(p *process) []history.Event {
	open := make(map[record]history.Event)
	for _, e := range s.h.find(func(e history.Event) bool { return e.Member == p.name }) {
		at := record{e.Partition, e.Offset}
		switch e.Kind {
		case history.Start:
			if strings.HasPrefix(e.Key.Text(), held) {
				open[at] = e
			}
		case history.End:
			delete(open, at)
		}
	}
	out := make([]history.Event, 0, len(open))
	for _, e := range open {
		out = append(out, e)
	}
	return out
}

// doneByOthers says that members other than p have ended these records well.
func (s *scene) doneByOthers(p *process, starts []history.Event) bool {
	done := make(map[record]bool)
	for _, e := range s.h.find(func(e history.Event) bool { return e.Kind == history.End && e.Member != p.name && e.OK && !e.Cancelled }) {
		done[record{e.Partition, e.Offset}] = true
	}
	for _, e := range starts {
		if !done[record{e.Partition, e.Offset}] {
			return false
		}
	}
	return true
}

// contextsEnd waits until the handlers of these starts have returned, which they do
// when their contexts end, and wants one of the causes for each.
func (s *scene) contextsEnd(p *process, starts []history.Event, causes ...error) {
	s.t.Helper()
	s.until("contexts of handlers have ended", func() bool {
		left := make(map[record]int64) // token
		for _, e := range starts {
			left[record{e.Partition, e.Offset}] = e.Token
		}
		for _, e := range s.h.find(func(e history.Event) bool { return e.Kind == history.End && e.Member == p.name }) {
			if at := (record{e.Partition, e.Offset}); left[at] == e.Token {
				delete(left, at)
			}
		}
		return len(left) == 0
	})
	why := make(map[string]string)
	for _, n := range s.h.noted(p.name, "cause") {
		why[n.Key] = n.Text
	}
	for _, e := range starts {
		known := false
		for _, c := range causes {
			known = known || why[e.Key.Text()] == c.Error()
		}
		if !known {
			s.t.Errorf("the context of key %s ended with %q; want one of %v", e.Key, why[e.Key.Text()], causes)
		}
	}
}
