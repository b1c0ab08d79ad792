package breaker

import "time"

// trials is what is known by those that were let through while it is not closed.
type trials struct {
	growing          bool          // heads and probes were enough: a growing share is let through
	row              int           // successes in a row
	share, won, lost int           // of the present stage: at a time, successes, failures
	idle             int           // failures, since the last success, that say nothing
	extra            int           // trials that do not return, and do not count any more
	late             time.Duration // those that were let through before should have returned

	// Keys that were healthy and failed once: each is tried again before it counts.
	doubt map[Key]struct{}

	// What fails again and again says nothing. Few keys of which nothing else is heard
	// are no outage: what could not open it does not hold it.
	mute     int              // such failures since anything was known
	suspects map[Key]struct{} // the keys that these were of
	plain    int              // of suspects, those whose failures were not Permanent

	// Those keys rest when each of them has been tried, or they would be called as fast
	// as they fail.
	round  map[Key]struct{}
	rests  int           // in a row
	resume time.Duration // the end of the present rest
}

const suspectsCap = 1024

func newTrials() trials {
	return trials{doubt: make(map[Key]struct{}), suspects: make(map[Key]struct{}), round: make(map[Key]struct{})}
}

// reset forgets all: it was opened or closed.
func (t *trials) reset() {
	clear(t.doubt)
	clear(t.suspects)
	clear(t.round)
	*t = trials{doubt: t.doubt, suspects: t.suspects, round: t.round}
}

// heard notes that something is known.
func (t *trials) heard() {
	t.mute, t.plain = 0, 0
	clear(t.suspects)
}

// suspect notes a failure that says nothing. It reports that there are too few such
// keys for an outage: they were tried in turn, each that often, and those that failed
// with ordinary errors are fewer than would open the breaker.
func (t *trials) suspect(k Key, c Class, often int) (few bool) {
	if _, seen := t.suspects[k]; !seen {
		t.suspects[k] = struct{}{}
		if c != Permanent {
			t.plain++
		}
	}
	t.mute++
	if t.plain >= freshKeys || len(t.suspects) >= suspectsCap {
		t.heard()
		return false
	}
	return t.mute >= often*len(t.suspects)
}

// around notes a key that is tried again and again; it reports that all of them were.
func (t *trials) around(k Key) (all bool) {
	if _, all = t.round[k]; all || len(t.round) >= suspectsCap {
		clear(t.round)
	}
	t.round[k] = struct{}{}
	return all
}

// admit lets n run at a time, of all keys or only of those that do not rest.
func (m *Machine) admit(a *Actions, n int, now time.Duration) {
	a.Admit, a.Wake, a.Fresh = n, m.late, m.resume > now
	if a.Fresh {
		a.Wake = min(m.late, m.resume)
	}
}

// trialSucceeded is one success of those that were let through.
func (m *Machine) trialSucceeded(k Key, now time.Duration) Actions {
	delete(m.doubt, k)
	m.heard()
	rested := m.resume > 0
	m.idle, m.rests, m.resume = 0, 0, 0
	a := m.step(now)
	if rested && a.Admit < 0 {
		m.admit(&a, m.share+m.extra, now)
	}
	return a
}

// step is one success, or what stands for it.
func (m *Machine) step(now time.Duration) Actions {
	a := Nothing()
	a.Changed = true
	m.late = now + m.cfg.Most
	if !m.growing {
		if m.row++; m.row < m.cfg.Successes {
			m.admit(&a, 1, now)
			return a
		}
		return m.grow(now)
	}
	a.Wake = m.late
	if m.won++; m.won < m.share {
		return a
	}
	if m.share *= 2; m.share > m.cfg.Share {
		return m.close(now)
	}
	m.won, m.lost = 0, 0
	m.admit(&a, m.share+m.extra, now)
	return a
}

// trialFailed is a failure of one that was let through.
func (m *Machine) trialFailed(k Key, c Class, healthy bool, now time.Duration) Actions {
	_, doubted := m.doubt[k]
	delete(m.doubt, k)
	switch {
	case c == Unavailable && !(m.blamed && m.culprit == k):
		m.blamed, m.culprit, m.real = true, k, true // alone it says nothing the next time
		if m.growing {
			return m.open("a key that was let through answered that a dependency is unavailable", true, now)
		}
		m.heard()
		m.row, m.idle = 0, 0
		return m.later(m.level, now) // as a probe that says that it is down
	case c == Retry && healthy && len(m.doubt) < m.cfg.Share:
		m.doubt[k] = struct{}{}
		a := Nothing()
		if !m.growing {
			a = m.later(m.level, now)
		}
		a.Again = true
		return a
	case c == Retry && (healthy || doubted):
		m.real, m.blamed = true, false
		m.heard()
		if !m.growing {
			m.row, m.idle = 0, 0
			return m.later(m.level, now)
		}
		if m.lost++; 2*m.lost >= m.share {
			return m.open("keys that were let through, and had been healthy, failed", true, now)
		}
		return Nothing()
	}
	return m.trialMute(k, c, now)
}

// trialMute is a failure of one that was let through and had failed before: nothing is
// known by that. When it is asked, no other key waits; once one has succeeded, several
// such failures count as a success, or the keys that always fail would hold all others.
func (m *Machine) trialMute(k Key, c Class, now time.Duration) Actions {
	few, step := m.suspect(k, c, max(3, m.cfg.Successes)), false
	if m.row > 0 {
		if m.idle++; m.idle >= m.cfg.Successes {
			m.idle, step = 0, true
		}
	} else if c != Permanent {
		m.real = true
	}
	if !m.growing {
		switch {
		case few:
			return m.close(now)
		case step && m.row+1 >= m.cfg.Successes:
			return m.step(now)
		case step:
			m.row++
		}
		return m.later(0, now)
	}
	if few {
		m.won, step = m.share, true // the whole stage
		m.heard()
	}
	a := Nothing()
	if step {
		if a = m.step(now); m.Closed() {
			return a
		}
	}
	if m.around(k) {
		m.resume = now + min(m.pause(0)/10<<min(m.rests, 20), m.cfg.Least)
		m.rests++
		m.admit(&a, m.share+m.extra, now)
	}
	return a
}

// later goes on with the next head at another time.
func (m *Machine) later(level int, now time.Duration) Actions {
	a := Nothing()
	m.set(Open)
	m.next = now + m.pause(level)
	a.Admit, a.Wake, a.Changed = 0, m.next, true
	return a
}

// Wake is called at the time that was asked for. busy says that some of those that
// were let through have not returned.
func (m *Machine) Wake(busy bool, now time.Duration) Actions {
	m.Tick(now)
	a := Nothing()
	switch Phase(m.phase.Load()) {
	case Open:
		if m.cfg.HasProbe {
			a.Probe = true
			return a
		}
		m.set(Probing)
		m.growing, m.share, m.extra = false, 1, 0
		m.late = now + m.cfg.Most
		a.Changed = true
		m.admit(&a, 1, now)
	case Probing:
		if now >= m.late {
			m.late = now + m.cfg.Most
			if busy && m.extra < m.cfg.Share {
				m.extra++ // one bad key must not hold all others by not returning
			}
		}
		m.admit(&a, m.share+m.extra, now)
	}
	return a
}

func (m *Machine) grow(now time.Duration) Actions {
	a := Nothing()
	m.set(Probing)
	m.growing, m.share, m.won, m.lost, m.idle, m.extra = true, 1, 0, 0, 0, 0
	m.next, m.late = 0, now+m.cfg.Most
	a.Changed = true
	m.admit(&a, 1, now)
	return a
}
