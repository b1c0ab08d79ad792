package breaker

import (
	"fmt"
	"testing"
	"time"
)

func newMachine(probe bool) *Machine {
	return New(Config{HasProbe: probe, Least: 10 * time.Second, Most: 30 * time.Second, Longest: 5 * time.Minute,
		Successes: 3, Share: 16, Rand: func(n int64) int64 { return n / 2 }})
}

func key(n int) Key { return NewKey(1, uint64(n)) }

// fail is an attempt in the closed phase.
func fail(m *Machine, n int, c Class, known bool, at time.Duration) Actions {
	_, a := m.Failed(key(n), c, known, false, at)
	return a
}

func succeed(m *Machine, n int, at time.Duration) {
	m.Tick(at)
	m.Tried(key(n))
	if m.Watched(key(n)) {
		m.Succeeded(key(n), false, at)
	}
}

// Unavailable opens it when two keys say so repeatedly; one key never does alone.
func TestOpensByUnavailable(t *testing.T) {
	m := newMachine(false)
	for i := range 1000 {
		if a := fail(m, 1, Unavailable, i > 0, time.Duration(i)*time.Second); a.Gate || a.Probe {
			t.Fatalf("one key did this at its %d. failure: %+v", i, a)
		}
	}
	at := 1000 * time.Second
	if a := fail(m, 2, Unavailable, false, at); !a.Gate || !a.GiveBack || a.Since != at-Window || a.Wake != at+20*time.Second || m.Closed() {
		t.Fatalf("a second key: %+v", a)
	}

	m = newMachine(false)
	fail(m, 1, Unavailable, false, 0)
	if a := fail(m, 2, Unavailable, false, time.Second); a.Gate {
		t.Fatal("it opened although no key has said it again")
	}
	if a := fail(m, 2, Unavailable, true, 40*time.Second); a.Gate {
		t.Fatal("it opened by what was said more than the window ago")
	}
	succeed(m, 2, 41*time.Second)
	fail(m, 1, Unavailable, true, 42*time.Second)
	if a := fail(m, 1, Unavailable, true, 43*time.Second); a.Gate {
		t.Fatal("it opened by a key that has succeeded since")
	}
}

// With a probe one key is enough, when the probe fails too.
func TestOpensByOneKeyAndTheProbe(t *testing.T) {
	m := newMachine(true)
	if a := fail(m, 1, Unavailable, false, time.Second); a.Probe {
		t.Fatal("asked at the first time")
	}
	if a := fail(m, 1, Unavailable, true, 2*time.Second); !a.Probe {
		t.Fatal("not asked")
	}
	if a := m.Probed(true, 3*time.Second); a.Gate || !m.Closed() {
		t.Fatal("it opened although the probe says that all is well")
	}
	if a := fail(m, 1, Unavailable, true, 4*time.Second); a.Probe {
		t.Fatal("the probe is asked too often")
	}
	if a := fail(m, 1, Unavailable, true, 14*time.Second); !a.Probe {
		t.Fatal("not asked again")
	}
	if a := m.Probed(false, 15*time.Second); !a.Gate {
		t.Fatalf("the probe fails too: %+v", a)
	}
}

func TestOpensByKeysThatFailTogether(t *testing.T) {
	for _, c := range []struct {
		name             string
		succeed, fail    int
		class            Class
		known            bool
		apart            time.Duration // between failures
		between, recover bool          // another key, or the same, succeeds after each failure
		twice            bool          // it fails again after that
		want             int           // the failure that opens it; 0: none
	}{
		{name: "five of five", fail: 5, want: 5},
		{name: "four", fail: 4},
		{name: "five of ten", succeed: 5, fail: 5, want: 5},
		{name: "of twenty", succeed: 10, fail: 12, want: 10},
		{name: "a minority", succeed: 100, fail: 60},
		{name: "permanent", fail: 100, class: Permanent},
		{name: "known before", fail: 100, known: true},
		{name: "slowly", fail: 100, apart: 9 * time.Second},
		{name: "within the window", fail: 10, apart: 4 * time.Second, want: 5},
		{name: "that recover", fail: 100, recover: true},
		{name: "once, with successes in between", fail: 100, between: true},
		{name: "twice, with successes in between", fail: 100, between: true, twice: true, want: 5},
		{name: "many", succeed: 50_000, fail: 60_000, want: 50_000},
	} {
		m := newMachine(false)
		at := time.Minute
		for n := range c.succeed {
			succeed(m, 1_000_000+n, at)
		}
		opened := 0
		for n := range c.fail {
			if a := fail(m, n, c.class, c.known, at); a.Gate {
				opened = n + 1
				break
			}
			if c.recover {
				succeed(m, n, at)
			}
			if c.between {
				succeed(m, 999_999, at)
				if c.twice && fail(m, n, c.class, true, at).Gate {
					opened = n + 1
					break
				}
			}
			at += c.apart
		}
		exact := c.succeed < 1000
		if exact && opened != c.want || !exact && (float64(opened) < 0.85*float64(c.want) || float64(opened) > 1.15*float64(c.want)) {
			t.Errorf("%s: opened at failure %d, want %d", c.name, opened, c.want)
		}
		if len(m.fresh.in) > keysCap || len(m.failing.in) > keysCap {
			t.Errorf("%s: %d and %d keys are remembered", c.name, len(m.fresh.in), len(m.failing.in))
		}
	}
}

// What was tried long ago does not count: a busy hour delays nothing.
func TestOldAttemptsDoNotCount(t *testing.T) {
	m := newMachine(false)
	for n := range 3600 {
		succeed(m, n, time.Duration(n)*time.Second)
	}
	at := time.Hour + time.Minute
	for n := range 4 {
		fail(m, 10_000+n, Retry, false, at)
	}
	if a := fail(m, 10_004, Retry, false, at); !a.Gate {
		t.Fatal("not open")
	}
}

// steps describes what happens from the opening on.
func open(t *testing.T, probe bool) (*Machine, time.Duration) {
	t.Helper()
	m := newMachine(probe)
	at := time.Hour
	for n := range 5 {
		fail(m, n, Retry, false, at)
	}
	if m.Closed() {
		t.Fatal("not open")
	}
	return m, at
}

func TestGrowsInSteps(t *testing.T) {
	for _, probe := range []bool{false, true} {
		m, at := open(t, probe)
		if st := m.Status(); st.Phase != Open || st.NextProbe != at+20*time.Second || st.Reason == "" || st.Failing != 5 {
			t.Fatalf("%+v", st)
		}
		at += 20 * time.Second
		a := m.Wake(false, at)
		if probe {
			for i := range 3 {
				if Phase(m.phase.Load()) != Open {
					t.Fatalf("after %d answers: %+v", i, m.Status())
				}
				at += 2 * time.Second
				a = m.Probed(true, at)
			}
		} else {
			for i := range 3 {
				if a.Admit != 1 || m.growing {
					t.Fatalf("head %d: %+v", i, a)
				}
				a = m.Succeeded(key(100+i), true, at)
			}
		}
		var shares []int
		for n := 0; !m.Closed(); n++ {
			if a.Admit > 0 {
				shares = append(shares, a.Admit)
			}
			if n > 1000 {
				t.Fatal("it never closes")
			}
			a = m.Succeeded(key(1000+n), true, at)
		}
		if got := fmt.Sprint(shares); got != "[1 2 4 8 16]" {
			t.Errorf("probe %t: shares %s", probe, got)
		}
		if !a.Ungate || a.Wake != 0 {
			t.Errorf("closing: %+v", a)
		}
	}
}

// Each failure while it grows makes it wait longer, up to a bound.
func TestReopensForLonger(t *testing.T) {
	m, at := open(t, true)
	var waits []time.Duration
	for n := range 8 {
		waits = append(waits, m.next-at)
		at = m.next
		if a := m.Wake(false, at); !a.Probe {
			t.Fatal("no probe")
		}
		for range 3 {
			m.Probed(true, at) // lies
		}
		class, k := Unavailable, key(1)
		if n%2 == 1 {
			class, k = Retry, key(1000+n) // of a healthy key, which is tried once more
			if spare, a := m.Failed(k, class, false, true, at); !spare || a.Gate || !a.Again {
				t.Fatalf("failure %d, the first one: %t %+v", n, spare, a)
			}
		}
		spare, a := m.Failed(k, class, false, true, at)
		if !spare || !a.Gate || a.GiveBack || a.Admit != 0 || m.Status().Phase != Open {
			t.Fatalf("failure %d: %t %+v", n, spare, a)
		}
	}
	if got := fmt.Sprint(waits); got != "[20s 40s 1m20s 2m40s 5m0s 5m0s 5m0s 5m0s]" {
		t.Errorf("waits %s", got)
	}
}

// Failures of a few healthy keys among many that succeed do not open it again.
func TestGrowingToleratesAFew(t *testing.T) {
	m, at := open(t, true)
	for range 3 {
		m.Probed(true, at)
	}
	for n := 0; m.share < 8; n++ {
		m.Succeeded(key(100+n), true, at)
	}
	for n := range 3 {
		m.Failed(key(1000+n), Retry, false, true, at)
		if _, a := m.Failed(key(1000+n), Retry, false, true, at); a.Gate {
			t.Fatalf("failure %d of a share of %d", n+1, m.share)
		}
	}
	m.Failed(key(2000), Retry, false, true, at)
	if _, a := m.Failed(key(2000), Retry, false, true, at); !a.Gate {
		t.Fatal("half of the share fails, and it goes on")
	}
}

// While it is not closed no attempt is spent, whoever asks.
func TestNothingIsSpentWhileOpen(t *testing.T) {
	m, at := open(t, false)
	for _, c := range []Class{Retry, Permanent, Unavailable} {
		if spare, a := m.Failed(key(7), c, true, false, at); !spare || a.Gate {
			t.Errorf("class %d of one that was running: spare %t, %+v", c, spare, a)
		}
	}
	if spare, _ := newMachine(false).Failed(key(1), Unavailable, false, false, at); !spare {
		t.Error("Unavailable spends an attempt while it is closed")
	}
}

// A trial that does not return does not hold the others.
func TestTrialThatDoesNotReturn(t *testing.T) {
	m, at := open(t, false)
	at += 20 * time.Second
	m.Wake(false, at)
	at += 30 * time.Second
	if a := m.Wake(true, at); a.Admit != 2 || a.Wake != at+30*time.Second {
		t.Fatalf("%+v", a)
	}
	if a := m.Wake(false, at); a.Admit != 2 {
		t.Fatalf("more are let through although none is out: %+v", a)
	}
}

func TestSketchCounts(t *testing.T) {
	for _, n := range []int{0, 1, 5, 100, 1000, 3000, 100_000} {
		var s sketch
		var u union
		for i := range n {
			s.add(NewKey(3, uint64(i)))
			s.add(NewKey(3, uint64(i)))
		}
		u.add(&s)
		if got := u.count(); got < 0.9*float64(n)-1 || got > 1.1*float64(n)+1 {
			t.Errorf("%d keys: counted %.1f", n, got)
		}
	}
}

func BenchmarkHealthyPath(b *testing.B) {
	m := newMachine(false)
	n := 0
	for b.Loop() {
		n++
		k := NewKey(1, uint64(n%10_000)*0x9e3779b97f4a7c15)
		m.Tried(k)
		if m.Watched(k) {
			b.Fatal("watched")
		}
	}
}
