package breaker

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A Class is the outcome of an attempt that failed.
type Class uint8

// The values of Class.
const (
	Retry Class = iota
	Permanent
	Unavailable
)

// A Phase is what the breaker lets through.
type Phase uint32

// The values of Phase.
const (
	Closed  Phase = iota // everything
	Open                 // nothing
	Probing              // a few at a time
)

// What opens it.
const (
	freshKeys        = 5 // keys that were healthy, at the least
	unavailableKeys  = 2
	unavailableTimes = 3 // so often in the window, over all keys; by one key alone twice
)

// Config is how a Machine is set up; all fields have their final values.
type Config struct {
	HasProbe  bool          // somebody can be asked whether the dependency is up
	Least     time.Duration // between two probes
	Most      time.Duration // between two probes, and how long a trial may take
	Longest   time.Duration // between two probes after it was opened again and again
	Successes int           // in a row, before one key is let through
	Share     int           // after so many at a time it closes
	// Rand returns a number from zero up to n, without n.
	Rand func(n int64) int64
}

// Actions are what the caller has to do, in this order.
type Actions struct {
	Gate     bool          // let nothing start any more
	GiveBack bool          // attempts spent from Since on by keys that began to fail then
	Since    time.Duration // for GiveBack
	Ungate   bool          // let everything start
	Admit    int           // let so many run at a time; negative: as before
	Probe    bool          // ask the probe, and call Probed with its answer
	Wake     time.Duration // call Wake then, and not at a time given before; negative: as before, zero: never
	Changed  bool          // phase, reason or next probe are other ones
}

// Nothing asks for nothing.
func Nothing() Actions { return Actions{Admit: -1, Wake: -1} }

// A Status is what can be shown of a Machine.
type Status struct {
	Phase     Phase
	Since     time.Duration
	Reason    string        // why it opened last
	NextProbe time.Duration // while it is open
	Share     int           // while probing: so many at a time
	Successes int           // in a row, so far
	Growing   bool          // while probing: they were enough, and a growing share is let through
	Failing   int           // keys that failed and have not succeeded since
}

// A Machine is the breaker of one consumer. Tried, Tick, Watched and Closed may be
// called from any goroutine; all other methods one at a time.
type Machine struct {
	cfg    Config
	phase  atomic.Uint32
	tries  window
	hints  [256]atomic.Uint64 // a set bit: a key with that hash may be in failing
	noted  int64              // the slice up to which old keys were dropped
	cached struct {           // of the last look at what was tried
		slice int64
		least float64
	}

	fresh       news
	streak      atomic.Bool      // nothing has succeeded since the first of inRow
	inRow       int              // keys that were healthy and failed one after the other
	failing     map[Key]struct{} // keys that failed and have not succeeded since
	unavailable map[Key][]time.Duration
	checking    bool // the probe is asked because one key said Unavailable
	checked     time.Duration

	since, next, closed time.Duration
	reason              string
	level               int // how often it was opened again
	growing             bool
	row                 int // successes in a row
	share, won, lost    int // of the present stage: at a time, successes, failures
	idle                int // failures, since the last success, that say nothing
	extra               int // trials that do not return, and do not count any more
}

// New returns a closed Machine.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, failing: make(map[Key]struct{}), unavailable: make(map[Key][]time.Duration)}
}

// Tick tells the time. It is called often, and at the least before attempts begin.
func (m *Machine) Tick(now time.Duration) { m.tries.turn(now) }

// Tried counts a key of which an attempt succeeded.
func (m *Machine) Tried(k Key) {
	m.tries.try(k)
	if m.streak.Load() {
		m.streak.Store(false)
	}
}

// Closed says whether everything runs.
func (m *Machine) Closed() bool { return Phase(m.phase.Load()) == Closed }

// Watched says whether Succeeded has to be called for a success of the key.
func (m *Machine) Watched(k Key) bool {
	return !m.Closed() || m.hints[k>>6%256].Load()&(1<<(k&63)) != 0
}

// Status returns what can be shown.
func (m *Machine) Status() Status {
	return Status{Phase: Phase(m.phase.Load()), Since: m.since, Reason: m.reason, NextProbe: m.next, Share: m.share, Successes: m.row, Growing: m.growing, Failing: len(m.failing)}
}

// Succeeded tells that an attempt of the key succeeded; admitted that it was one of
// those that were let through.
func (m *Machine) Succeeded(k Key, admitted bool, now time.Duration) Actions {
	if _, was := m.failing[k]; was {
		delete(m.failing, k)
		if len(m.failing) == 0 {
			for i := range m.hints {
				m.hints[i].Store(0)
			}
		}
	}
	m.fresh.remove(k)
	delete(m.unavailable, k)
	if Phase(m.phase.Load()) != Probing || !admitted {
		return Nothing()
	}
	m.idle = 0
	return m.step(now)
}

// step is one success of those that were let through.
func (m *Machine) step(now time.Duration) Actions {
	a := Nothing()
	a.Wake, a.Changed = now+m.cfg.Most, true
	if !m.growing {
		if m.row++; m.row < m.cfg.Successes {
			a.Admit = 1
			return a
		}
		return m.grow(now)
	}
	if m.won++; m.won < m.share {
		return a
	}
	if m.share *= 2; m.share > m.cfg.Share {
		return m.close(now)
	}
	m.won, m.lost = 0, 0
	a.Admit = m.share + m.extra
	return a
}

// Failed tells that an attempt of the key failed. known says that the record had
// failed before. spare: the attempt is not the record's fault.
func (m *Machine) Failed(k Key, c Class, known, admitted bool, now time.Duration) (spare bool, a Actions) {
	m.Tick(now)
	m.tries.try(k)
	_, was := m.failing[k]
	healthy := !known && !was
	if c != Permanent {
		m.remember(k)
	}
	a = Nothing()
	if phase := Phase(m.phase.Load()); phase != Closed {
		if phase == Probing && admitted {
			a = m.trialFailed(c, healthy, now)
		}
		return true, a
	}
	if c == Permanent {
		return false, a
	}
	if at := m.tries.now.Load(); healthy {
		if at != m.noted {
			m.noted = at
			m.fresh.forget(at - slices + 1)
		}
		m.fresh.add(k, at)
		if !m.streak.Swap(true) {
			m.inRow = 0
		}
		m.inRow++
	} else {
		m.fresh.repeat(k)
	}
	switch {
	case c == Unavailable && m.said(k, now) >= unavailableTimes && len(m.unavailable) >= unavailableKeys:
		return true, m.open(fmt.Sprintf("%d keys answered that a dependency is unavailable", len(m.unavailable)), false, now)
	case m.together():
		return true, m.open(fmt.Sprintf("%d keys that were healthy began to fail within %s, at least half of those that were tried",
			m.fresh.counts(&m.fresh.first, m.tries.now.Load())[slices-1], Window), false, now)
	case c == Unavailable && m.cfg.HasProbe && len(m.unavailable[k]) >= 2 && !m.checking && (m.checked == 0 || now-m.checked >= m.cfg.Least):
		m.checking, m.checked, a.Probe = true, now, true
	}
	return c == Unavailable, a
}

// trialFailed is a failure of one that was let through.
func (m *Machine) trialFailed(c Class, healthy bool, now time.Duration) Actions {
	switch {
	case !m.growing && (c == Unavailable || c == Retry && healthy):
		m.row, m.idle = 0, 0
		return m.later(m.level, now) // as a probe that says that it is down
	case c == Unavailable:
		return m.open("a key that was let through answered that a dependency is unavailable", true, now)
	case c == Retry && healthy:
		if m.lost++; 2*m.lost >= m.share {
			return m.open("keys that were let through, and had been healthy, failed", true, now)
		}
		return Nothing()
	}
	// It failed before: nothing is known by that. When it is asked, no other key
	// waits; once one has succeeded, several such failures count as a success, or the
	// keys that always fail would hold all others.
	if m.row > 0 {
		if m.idle++; m.idle >= m.cfg.Successes {
			m.idle = 0
			if m.growing || m.row+1 >= m.cfg.Successes {
				return m.step(now)
			}
			m.row++
		}
	}
	if m.growing {
		return Nothing()
	}
	return m.later(0, now)
}

// later goes on with the next head at another time.
func (m *Machine) later(level int, now time.Duration) Actions {
	a := Nothing()
	m.set(Open)
	m.next = now + m.pause(level)
	a.Admit, a.Wake, a.Changed = 0, m.next, true
	return a
}

// Probed tells the probe's answer.
func (m *Machine) Probed(up bool, now time.Duration) Actions {
	m.Tick(now)
	a := Nothing()
	if m.checking {
		m.checking = false
		if m.Closed() && !up && len(m.unavailable) > 0 {
			return m.open("a key answered that a dependency is unavailable, and the probe fails", false, now)
		}
		return a
	}
	if Phase(m.phase.Load()) != Open {
		return a
	}
	if !up {
		m.row = 0
		m.next = now + m.pause(m.level)
	} else if m.row++; m.row >= m.cfg.Successes {
		return m.grow(now)
	} else {
		m.next = now + m.pause(0)/10
	}
	a.Wake, a.Changed = m.next, true
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
		a.Admit, a.Wake, a.Changed = 1, now+m.cfg.Most, true
	case Probing:
		if busy && m.extra < m.cfg.Share {
			m.extra++ // one bad key must not hold all others by not returning
		}
		a.Admit = m.share + m.extra
		a.Wake = now + m.cfg.Most
	}
	return a
}

func (m *Machine) grow(now time.Duration) Actions {
	a := Nothing()
	m.set(Probing)
	m.growing, m.share, m.won, m.lost, m.idle, m.extra = true, 1, 0, 0, 0, 0
	m.next = 0
	a.Admit, a.Wake, a.Changed = 1, now+m.cfg.Most, true
	return a
}

func (m *Machine) close(now time.Duration) Actions {
	m.set(Closed)
	m.since, m.closed, m.next, m.reason = now, now, 0, ""
	m.row, m.share, m.growing, m.extra, m.idle = 0, 0, false, 0, 0
	m.fresh, m.checking = news{}, false
	clear(m.unavailable)
	m.tries.clear()
	m.cached.slice = -1
	a := Nothing()
	a.Ungate, a.Wake, a.Changed = true, 0, true
	return a
}

// open opens it, again when it was probing, or closed not long ago.
func (m *Machine) open(reason string, again bool, now time.Duration) Actions {
	a := Nothing()
	a.Gate, a.Changed = true, true
	if m.Closed() {
		a.GiveBack, a.Since = true, now-Window
		again = m.closed > 0 && now-m.closed < 2*m.cfg.Most
		m.since = now
	}
	if again {
		m.level++
	} else {
		m.level = 0
	}
	m.set(Open)
	m.checking = false // its answer counts as that of a probe
	m.reason, m.row, m.growing, m.share, m.won, m.lost, m.idle, m.extra = reason, 0, false, 0, 0, 0, 0, 0
	m.next = now + m.pause(m.level)
	a.Admit, a.Wake = 0, m.next
	return a
}

func (m *Machine) set(p Phase) { m.phase.Store(uint32(p)) }

// pause is the time to the next probe, doubled level times.
func (m *Machine) pause(level int) time.Duration {
	d := m.cfg.Least
	if spread := int64(m.cfg.Most - m.cfg.Least); spread > 0 {
		d += time.Duration(m.cfg.Rand(spread + 1))
	}
	for ; level > 0 && d < m.cfg.Longest; level-- {
		d *= 2
	}
	return min(d, max(m.cfg.Longest, m.cfg.Least))
}

// remember puts a key among those that fail.
func (m *Machine) remember(k Key) {
	if len(m.failing) >= keysCap {
		for other := range m.failing { // any: maps are walked in random order
			delete(m.failing, other)
			break
		}
	}
	m.failing[k] = struct{}{}
	m.hints[k>>6%256].Or(1 << (k & 63))
}

// said notes an Unavailable and returns how many there are in the window.
func (m *Machine) said(k Key, now time.Duration) (times int) {
	at := append(m.unavailable[k], now)
	if len(at) > unavailableTimes {
		at = at[len(at)-unavailableTimes:]
	}
	m.unavailable[k] = at
	for k, at := range m.unavailable {
		for len(at) > 0 && now-at[0] > Window {
			at = at[1:]
		}
		if times += len(at); len(at) == 0 {
			delete(m.unavailable, k)
		} else {
			m.unavailable[k] = at
		}
	}
	return times
}

// together says whether keys that were healthy fail together: in the last ten
// seconds, or up to the whole window. Shorter times are not looked at: on a busy
// topic a few bad records in a row are no outage. Either nothing has succeeded while
// they failed, or only those count that have failed again: where many records fail
// once and succeed then, most keys may wait for their retry at one time.
func (m *Machine) together() bool {
	at := m.tries.now.Load()
	by := &m.fresh.again
	if m.streak.Load() && m.inRow >= freshKeys {
		by = &m.fresh.first
	}
	counts := m.fresh.counts(by, at)
	all := counts[slices-1]
	if all < freshKeys || m.cached.slice == at && 4*float64(all) < m.cached.least {
		return false // what was tried only grows within a slice
	}
	var u union
	u.add(&m.tries.tried[at%slices])
	for n := int64(1); n < slices && n <= at+1; n++ {
		if at-n >= 0 {
			u.add(&m.tries.tried[(at-n)%slices])
		}
		tried := u.count()
		if n == 1 {
			m.cached.slice, m.cached.least = at, tried
		}
		if counts[n] >= freshKeys && 2*float64(counts[n]) >= tried-0.5 {
			return true
		}
	}
	return false
}
