//go:build unix

package matrix

import (
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// longSession is the members' session in scenes of dying brokers: longer than the
// group is without a coordinator, so that nobody is dropped from it.
const longSession = 12 * time.Second

// A broker that leads partitions is killed while records are written and handled.
func TestLeaderKilledUnderLoad(t *testing.T) {
	play(t, longSession, func(s *scene) {
		s.create(1, 2, 3)
		_, _, l := s.running()
		p := int32(s.rng.IntN(partitions))
		leader := s.leader(p)
		s.kill(leader)
		s.until("another broker leads the partition", func() bool { now := s.leader(p); return now != 0 && now != leader })
		s.goesOnIn(l, p)
		s.restart(leader)
		s.whole()
		s.more(l, 100)
		s.finish()
		s.undisturbed(s.verdict())
	})
}

// A broker that leads partitions freezes, with its connections open, and wakes when
// others lead them: it still holds requests, and believes that it leads.
func TestLeaderFrozenUnderLoad(t *testing.T) {
	play(t, longSession, func(s *scene) {
		s.create(1, 2, 3)
		_, _, l := s.running()
		p := int32(s.rng.IntN(partitions))
		leader := s.leader(p)
		s.freeze(leader)
		s.until("another broker leads the partition", func() bool { now := s.leader(p); return now != 0 && now != leader })
		s.goesOnIn(l, p)
		s.thaw(leader)
		s.whole()
		s.more(l, 100)
		s.finish()
		s.undisturbed(s.verdict())
	})
}

// All brokers are restarted, one after the other, as an upgrade does it.
func TestRollingRestartUnderLoad(t *testing.T) {
	play(t, longSession, func(s *scene) {
		s.create(1, 2, 3)
		_, _, l := s.running()
		first := 1 + s.rng.IntN(3)
		for i := range 3 {
			s.restart((first+i-1)%3 + 1)
			s.whole()
			s.more(l, 50)
		}
		s.finish()
		s.undisturbed(s.verdict())
	})
}

// The group's coordinator is killed: another takes over, and knows all that the
// dead one had acknowledged.
func TestCoordinatorKilledUnderLoad(t *testing.T) {
	play(t, longSession, func(s *scene) {
		s.create(1, 2, 3)
		_, _, l := s.running()
		dead := s.coordinator()
		s.kill(dead)
		s.until("the group has another coordinator", func() bool { now := s.coordinator(); return now != 0 && now != dead })
		before := len(s.commits())
		s.until("members commit again, in all partitions", func() bool {
			seen := make(map[int32]bool)
			for _, e := range s.commits()[before:] {
				seen[e.Partition] = true
			}
			return len(seen) == partitions
		})
		s.more(l, 100)
		s.restart(dead)
		s.whole()
		s.more(l, 100)
		s.finish()
		s.undisturbed(s.verdict())
	})
}

// goesOnIn waits until records are written to the partition, and handled.
func (s *scene) goesOnIn(l *load, p int32) {
	s.t.Helper()
	const some = 20
	acked := l.acknowledgedIn(p) + some
	s.until("records are written to the partition again", func() bool { return l.acknowledgedIn(p) >= acked })
	l.handled()
}

func (s *scene) commits() []history.Event {
	return s.h.find(func(e history.Event) bool { return e.Kind == history.Commit })
}

// undisturbed: all members lived and could act, so that nothing excuses an overlap;
// and where no partition changed hands, nothing that was done was begun again. (One
// that does while there is no coordinator leaves without its last commit.)
func (s *scene) undisturbed(rep history.Report) {
	s.t.Helper()
	if rep.ExcusedOverlaps != 0 {
		s.t.Errorf("%d overlaps, and no member was dead or frozen", rep.ExcusedOverlaps)
	}
	if rep.Redelivered != 0 && s.moved == 0 {
		s.t.Errorf("%d records were repeated, and no partition changed hands", rep.Redelivered)
	}
}

func (s *scene) releases() int {
	return len(s.h.find(func(e history.Event) bool { return e.Kind == history.Release }))
}
