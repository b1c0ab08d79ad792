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
	Retry     time.Duration // a key that failed for the first time is tried again within it
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
	Fresh    bool          // of Admit: only keys that have not failed, and the one of Again
	Again    bool          // the key that has just failed is let through before all others
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
	noted  int64    // the slice up to which old keys were dropped
	cached struct { // of the last look at what was tried
		slice int64
		least float64
	}

	fresh       news
	streak      atomic.Bool // nothing has succeeded since the first of inRow
	inRow       int         // keys that were healthy and failed one after the other
	failing     remembered  // keys that failed and have not succeeded since
	unavailable map[Key][]time.Duration
	checking    bool // the probe is asked because one key said Unavailable
	checked     time.Duration

	since, next, closed time.Duration
	reason              string
	level               int // how often it was opened again
	trials
	alarms
}

// New returns a closed Machine.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, failing: remembered{in: make(map[Key]time.Duration)}, unavailable: make(map[Key][]time.Duration), trials: newTrials()}
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
	return !m.Closed() || m.failing.hinted(k)
}

// Status returns what can be shown.
func (m *Machine) Status() Status {
	return Status{Phase: Phase(m.phase.Load()), Since: m.since, Reason: m.reason, NextProbe: m.next, Share: m.share, Successes: m.row, Growing: m.growing, Failing: len(m.failing.in)}
}

// Succeeded tells that an attempt of the key succeeded; admitted that it was one of
// those that were let through.
func (m *Machine) Succeeded(k Key, admitted bool, now time.Duration) Actions {
	m.failing.remove(k, now)
	m.fresh.remove(k)
	delete(m.unavailable, k)
	if m.blamed && m.culprit == k {
		m.blamed = false
	}
	if Phase(m.phase.Load()) != Probing || !admitted {
		return Nothing()
	}
	return m.trialSucceeded(k, now)
}

// Failed tells that an attempt of the key failed. known says that the record had
// failed before. spare: the attempt is not the record's fault.
func (m *Machine) Failed(k Key, c Class, known, admitted bool, now time.Duration) (spare bool, a Actions) {
	m.Tick(now)
	m.tries.try(k)
	healthy := !known && !m.failing.has(k)
	if c != Permanent {
		m.failing.add(k, now)
	}
	a = Nothing()
	if phase := Phase(m.phase.Load()); phase != Closed {
		if phase == Probing && admitted {
			a = m.trialFailed(k, c, healthy, now)
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
		m.real = true
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

func (m *Machine) close(now time.Duration) Actions {
	m.falseAlarm(now)
	m.set(Closed)
	m.since, m.closed, m.next, m.reason = now, now, 0, ""
	m.trials.reset()
	m.blamed = false
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
		m.blamed, m.real = false, false
		m.soon = again
	}
	if again {
		m.level++
	} else {
		m.level = 0
	}
	m.set(Open)
	m.checking = false // its answer counts as that of a probe
	m.reason = reason
	m.trials.reset()
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
	if m.streak.Load() && m.inRow >= freshKeys && at*int64(slice) >= int64(m.wary) {
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
