package parked

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/parkinglog"
)

const (
	// lookEvery is how often the ends of the topics are asked for: commands stand
	// there, and markers of others.
	lookEvery = time.Second
)

// TrimAbove is from how many entries on a trim is worth its writes. Tests set it lower.
var TrimAbove int64 = 10_000

// tend moves the owners' clocks, and looks for what nobody tells.
func (m *Manager) tend() {
	tick := min(max(m.cfg.Rules.First/4, 10*time.Millisecond), time.Second)
	t := time.NewTicker(tick)
	defer t.Stop()
	looked, refreshed := time.Now(), time.Now()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-t.C:
		}
		now := time.Now()
		parts := m.all()
		waiting := false
		for _, p := range parts {
			waiting = p.tick(now) || waiting
		}
		if now.Sub(looked) >= lookEvery {
			looked = now
			m.ends(parts)
		}
		if since := now.Sub(refreshed); since >= m.cfg.Refresh || waiting && since >= lookEvery {
			refreshed = now
			m.refresh(parts)
		}
	}
}

// tick reports whether the partition waits for something that only a look can end.
func (p *Partition) tick(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil {
		return !p.ended && p.lane != nil && (p.reason == StateAwaiting || p.reason == StateUnreadable || p.reason == StateNarrow)
	}
	if !p.calm.Load() || p.owner.State().Holds() {
		p.did(p.owner.Tick(now.UnixMilli()))
	}
	p.hear(now)
	if n, needed := p.owner.Garbage(); n >= TrimAbove && needed <= n/2 {
		p.did(p.owner.Trim())
	}
	return false
}

// ends looks how far the topics go by now.
func (m *Manager) ends(parts []*Partition) {
	ctx, cancel := context.WithTimeout(m.ctx, 5*time.Second)
	defer cancel()
	asked := make(map[*topicLog]map[int32]int64)
	for _, p := range parts {
		p.mu.Lock()
		o, l := p.owner, p.log
		p.mu.Unlock()
		if o == nil {
			continue
		}
		if _, ok := asked[l]; !ok {
			asked[l] = parkinglog.Ends(ctx, l.cl, l.name)
		}
		if end, ok := asked[l][p.partition]; ok {
			p.mu.Lock()
			if p.owner == o {
				p.target = max(p.target, end)
				p.read()
			}
			p.mu.Unlock()
		}
	}
}

// refresh looks whether topics have come, grown, or are others by now. What is found
// is used under a token that is granted after it.
func (m *Manager) refresh(parts []*Partition) {
	ctx, cancel := context.WithTimeout(m.ctx, 10*time.Second)
	defer cancel()
	found := make(map[string]parkinglog.Topic)
	failed := make(map[string]bool)
	for _, p := range parts {
		if _, ok := found[p.topic]; !ok && !failed[p.topic] {
			name, err := m.name(p.topic)
			if err != nil {
				continue
			}
			t, err := parkinglog.Find(ctx, m.admin, name)
			if err == nil && m.cfg.Create && m.cfg.Needed && !t.Exists {
				err = m.make(ctx, p.topic, name)
			}
			if err != nil {
				failed[p.topic] = true
				continue
			}
			found[p.topic] = t
		}
		t, ok := found[p.topic]
		p.mu.Lock()
		switch {
		case !ok || p.ended || p.lane == nil:
		case p.owner == nil && (p.reason == "" && t.Exists || p.reason != ""):
			p.again(fmt.Errorf("the parking topic is looked at anew"))
		case p.owner != nil && (!t.Exists || t.ID != p.log.id):
			p.again(fmt.Errorf("the parking topic %s is not the one that was in use", p.log.name))
		case p.owner != nil && p.reason == StateMismatch:
			p.again(p.cause)
		}
		p.mu.Unlock()
	}
}

// again takes the whole step again. Called with mu held.
func (p *Partition) again(cause error) {
	reason, was := p.reason, p.cause
	p.doubts = 0
	p.doubt(0, cause)
	if reason != "" { // it is named until it is known to have gone
		p.reason, p.cause = reason, was
	}
}

// make makes a topic, or adds the partitions that it lacks.
func (m *Manager) make(ctx context.Context, source, name string) error {
	plan, err := parkinglog.Make(ctx, m.admin, source, name)
	if err == nil {
		err = plan.Carry(ctx, m.admin)
	}
	return err
}

// Prepare makes the topics that are missing, before anything is owned: without them,
// and without the right to make and to write them, nothing can be parked.
func (m *Manager) Prepare(ctx context.Context, source string) error {
	name, err := m.name(source)
	if err != nil {
		return err
	}
	plan, err := parkinglog.Make(ctx, m.admin, source, name)
	if err != nil {
		return err
	}
	switch {
	case !m.cfg.Create && plan.Create:
		return fmt.Errorf("the parking topic %s is not there, and Parking.NoCreate says that it is not to be made", name)
	case m.cfg.Create && (plan.Create || plan.Grow):
		if err := plan.Carry(ctx, m.admin); err != nil {
			return err
		}
	}
	// One that was just made may not be known everywhere: then the first write tells.
	return parkinglog.Allowed(ctx, m.admin, name)
}
