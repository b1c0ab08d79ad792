package lane

import "time"

const (
	monitorTick    = 2 * time.Millisecond
	monitorLongest = 128 * time.Millisecond
)

// monitor starts the look after workers that are stuck: in a bunch of several
// runs, whose other runs then go back, or while the pool holds workers back
// because handlers are fast. It ends by itself when nothing is under way.
func (pl *Pool) monitor() {
	if pl.monitoring.Load() || !pl.monitoring.CompareAndSwap(false, true) {
		return
	}
	pl.cfg.Clock.AfterFunc(monitorTick, func() { pl.look(monitorTick) })
}

func (pl *Pool) look(tick time.Duration) {
	pl.mu.Lock()
	if pl.closed {
		pl.mu.Unlock()
		return
	}
	stalled, moving := 0, false
	var rob []*worker
	for _, w := range pl.workers {
		if w.part.Load() == nil {
			continue
		}
		bunch, pos := w.bunch.Load(), w.pos.Load()
		if bunch != w.seenBunch || pos != w.seenPos {
			w.seenBunch, w.seenPos = bunch, pos
			moving = true
			continue
		}
		stalled++
		if pos < stolen {
			rob = append(rob, w)
		}
	}
	pl.stalled = stalled
	var woken *worker
	if pl.ringAt < len(pl.ring) {
		woken = pl.wakeOne()
	}
	pl.mu.Unlock()
	if woken != nil {
		woken.wake <- struct{}{}
	}
	for _, w := range rob {
		if p := w.part.Load(); p != nil {
			p.steal(w)
		}
	}
	switch {
	case moving || len(rob) > 0:
		tick = monitorTick
	case stalled > 0:
		tick = min(2*tick, monitorLongest)
	default:
		pl.monitoring.Store(false)
		if pl.busy() { // one began while we looked and saw the monitor on
			pl.monitor()
		}
		return
	}
	pl.cfg.Clock.AfterFunc(tick, func() { pl.look(tick) })
}

func (pl *Pool) busy() bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, w := range pl.workers {
		if w.part.Load() != nil {
			return true
		}
	}
	return false
}
