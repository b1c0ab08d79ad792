package group

import (
	"sync/atomic"
	"time"
)

// A pulse says how a loop fares: how many turns it has taken, and since when it
// has been in the present one. It is read without any lock: who asks whether the
// loops are alive must not be stopped by what has stopped them.
type pulse struct {
	turns atomic.Uint64
	since atomic.Int64 // time from epoch to the beginning of the turn; zero: it waits for the next
}

// epoch makes times of one monotonic clock.
var epoch = time.Now()

func (p *pulse) begin() { p.since.Store(max(int64(time.Since(epoch)), 1)) }

func (p *pulse) end() {
	p.since.Store(0)
	p.turns.Add(1)
}

// busy is how long the present turn has taken; zero: the loop waits.
func (p *pulse) busy(now time.Time) time.Duration {
	since := time.Duration(p.since.Load())
	if since == 0 {
		return 0
	}
	return max(now.Sub(epoch)-since, 1)
}

// A Loop is what is known of one of the session's loops.
type Loop struct {
	Name  string
	Turns uint64
	Busy  time.Duration // of the present turn; zero: it waits for the next
	Limit time.Duration // a turn that takes longer is stuck
}

// Loops says how the session's loops fare. It takes no lock.
//
// The limits are above all that a turn may have to wait for: brokers that do not
// answer never make a loop look stuck. A turn of the committer is at the most a
// grant, bounded by the rebalance timeout, and some commits; the others wait for
// nothing but our own locks and the functions that the user gave.
func (s *Session) Loops() []Loop {
	now := time.Now()
	loop := func(name string, p *pulse, limit time.Duration) Loop {
		return Loop{Name: name, Turns: p.turns.Load(), Busy: p.busy(now), Limit: limit}
	}
	return []Loop{
		loop("poll", &s.pulses.poll, 2*s.cfg.Rebalance),
		loop("commit", &s.pulses.commit, 2*(s.cfg.Rebalance+4*s.commitTimeout())),
		loop("tend", &s.pulses.tend, 2*s.cfg.Rebalance),
	}
}
