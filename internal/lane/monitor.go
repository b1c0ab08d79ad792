package lane

import (
	"sync/atomic"
	"time"
)

const (
	monitorTick    = 2 * time.Millisecond
	monitorLongest = 128 * time.Millisecond
)

// A monitor looks after workers that are stuck: in a bunch of several runs, whose
// other runs are then taken from it, or while the pool holds workers back because
// handlers are fast. A worker is stuck when it was in the same run at two looks. It
// ends by itself when neither can be. All but tick is guarded by Pool.mu.
type monitor struct {
	tick  atomic.Int64 // time until the next look; zero: off
	timer *time.Timer
}

// beginWatch starts the looks when they are off or have become rare.
func (pl *Pool) beginWatch() {
	if pl.watch.tick.Load() == int64(monitorTick) {
		return
	}
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if !pl.closed {
		pl.watch.hasten(pl)
	}
}

// hasten is beginWatch with mu held.
func (m *monitor) hasten(pl *Pool) {
	if m.tick.Load() != int64(monitorTick) {
		m.set(pl, monitorTick)
	}
}

func (m *monitor) set(pl *Pool, tick time.Duration) {
	m.tick.Store(int64(tick))
	if m.timer == nil {
		m.timer = time.AfterFunc(tick, pl.look)
	} else {
		m.timer.Reset(tick)
	}
}

func (m *monitor) stop() {
	m.tick.Store(0)
	if m.timer != nil {
		m.timer.Stop()
	}
}

func (pl *Pool) look() {
	pl.mu.Lock()
	if pl.closed {
		pl.mu.Unlock()
		return
	}
	stalled, moving, rob := pl.inspect()
	pl.stalled = stalled
	waiting := pl.ringAt < len(pl.ring)
	if len(rob) > 0 || waiting && stalled >= pl.limit() {
		// Whatever was measured before, handlers are not fast now: each record gets
		// a worker of its own, or it could be in a bunch behind the next stuck one.
		// The results of fast ones soon lower it again.
		pl.average.Store(max(pl.average.Load(), int64(bunchTime)))
	}
	if waiting {
		pl.wakeOne()
	}
	switch m := &pl.watch; {
	case moving || waiting || len(rob) > 0:
		m.set(pl, monitorTick)
	case stalled > 0 && pl.limit() < pl.cfg.Concurrency:
		m.set(pl, min(2*time.Duration(m.tick.Load()), monitorLongest))
	default:
		m.stop()
		// One that began since, and saw the monitor on, relies on it.
		if _, moving, _ := pl.inspect(); moving {
			m.set(pl, monitorTick)
		}
	}
	pl.mu.Unlock()
	for _, w := range rob {
		if p := w.part.Load(); p != nil {
			p.steal(w)
		}
	}
}

// inspect compares the workers with the last look. Workers whose bunch is one run,
// or was robbed before, keep the monitor going only while others are held back
// because of them.
func (pl *Pool) inspect() (stalled int, moving bool, rob []*worker) {
	held := pl.limit() < pl.cfg.Concurrency
	for _, w := range pl.workers {
		if w.part.Load() == nil {
			continue
		}
		bunch, pos := w.bunch.Load(), w.pos.Load()
		bunched := pos < stolen && w.length.Load() > 1
		pos &= stolen - 1 // being robbed is no progress
		if bunch != w.seenBunch || pos != w.seenPos {
			w.seenBunch, w.seenPos = bunch, pos
			moving = moving || bunched || held
			continue
		}
		stalled++
		if bunched {
			rob = append(rob, w)
		}
	}
	return stalled, moving, rob
}
