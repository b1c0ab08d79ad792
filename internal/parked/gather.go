package parked

import (
	"maps"
	"time"
)

// An entry that is written and read back costs as much for one record as for many. So
// records that follow parked ones now and then wait for others, in all partitions until
// the same moments: then they are written together. Those that come fast gather by
// themselves while an entry is on its way, and are not held up.
const (
	gatherFor   = 50 * time.Millisecond // a window
	gatherBelow = 1024                  // records, in a window and the one before it
)

// A gathering is what waits for others. Partition.mu guards it.
type gathering struct {
	window      int64            // number of the last in which something was handed over
	now, before int              // records that were handed over in it, and in the one before
	waiting     map[int64]func() // by offset
	// waited are those that have waited and were not seen since. Where handlers are slow a
	// worker comes to them long after: they must not wait again then, and again.
	waited map[int64]struct{}
}

// count counts records that are handed over in a window, and returns how many those are
// with the window before.
func (g *gathering) count(window int64, n int) int {
	switch window - g.window {
	case 0:
	case 1:
		g.now, g.before = 0, g.now
	default:
		g.now, g.before = 0, 0
	}
	g.window = window
	g.now += n
	return g.now + g.before
}

// window is the number of the present one.
func (m *Manager) window() int64 { return int64(time.Since(m.begun) / gatherFor) }

// Gather reports whether records of a key, from an offset on, that could Follow are to
// wait for others. Then ready is called in a moment, and they may follow.
func (p *Partition) Gather(offset int64, ready func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := &p.gathering
	if _, ok := g.waited[offset]; ok {
		delete(g.waited, offset)
		return false
	}
	if n := g.count(p.m.window(), 0); n == 0 || n >= gatherBelow || p.ended {
		return false
	}
	if g.waiting == nil {
		g.waiting = make(map[int64]func())
		p.m.run(p.gathered)
	}
	g.waiting[offset] = ready
	return true
}

// gathered ends a wait.
func (p *Partition) gathered() {
	p.m.sleep(gatherFor - time.Since(p.m.begun)%gatherFor)
	p.mu.Lock()
	g := &p.gathering
	ready := g.waiting
	g.waiting = nil
	// Those that went another way, as when their key was released, are settled by now.
	maps.DeleteFunc(g.waited, func(offset int64, _ struct{}) bool { return offset < p.floor })
	if g.waited == nil {
		g.waited = make(map[int64]struct{}, len(ready))
	}
	for offset := range ready {
		g.waited[offset] = struct{}{}
	}
	p.mu.Unlock()
	for _, f := range ready {
		f()
	}
}
