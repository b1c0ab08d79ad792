package breaker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// trials lets the keys through in turn, as the pool does, while each fails as it says;
// it returns how many were tried before it closed, or most.
func tryInTurn(m *Machine, at *time.Duration, most int, fails ...Class) int {
	for n := range most {
		if m.Closed() {
			return n
		}
		if *at = m.next; Phase(m.phase.Load()) == Open {
			m.Wake(false, *at)
		}
		k := n % len(fails)
		m.Failed(key(k), fails[k], true, true, *at)
	}
	return most
}

// What could not open it does not hold it open: few keys that fail always, and nothing
// else to try.
func TestFewBadKeysDoNotHoldIt(t *testing.T) {
	many := func(n int, c Class) (all []Class) {
		for range n {
			all = append(all, c)
		}
		return all
	}
	for _, c := range []struct {
		name  string
		fails []Class
		want  int // trials; above 1000: it stays open
	}{
		{"one", many(1, Retry), 3},
		{"one permanent", many(1, Permanent), 3},
		{"four", many(4, Retry), 12},
		{"five", many(5, Retry), 2000},
		{"hundred", many(100, Retry), 2000},
		{"twenty permanent", many(20, Permanent), 60},
		{"permanent and an outage", append(many(20, Permanent), many(5, Retry)...), 2000},
		{"one unavailable", many(1, Unavailable), 4},
		{"two unavailable", many(2, Unavailable), 2000},
	} {
		m, at := newMachine(false), time.Hour
		fail(m, 0, Unavailable, false, at)
		fail(m, 1, Unavailable, false, at)
		if !fail(m, 0, Unavailable, true, at).Gate {
			t.Fatal("not open")
		}
		if n := tryInTurn(m, &at, 2000, c.fails...); n != c.want {
			t.Errorf("%s: closed after %d trials, want %d (2000: not)", c.name, n, c.want)
		}
	}
	// Many at first, of which one is left: the others have left with their partitions.
	m, at := newMachine(false), time.Hour
	for n := range 5 {
		fail(m, n, Retry, false, at)
	}
	if n := tryInTurn(m, &at, 999, many(9, Retry)...); n != 999 {
		t.Fatalf("closed in an outage, after %d trials", n)
	}
	if n := tryInTurn(m, &at, 100, Retry); n > 20 {
		t.Errorf("%d trials of the one that is left", n)
	}
}

// One key that says Unavailable for ever opens it once more, and does not do so again
// when others go on.
func TestOneUnavailableKeyDoesNotReopenAgain(t *testing.T) {
	m, at := open(t, true)
	grow := func() {
		at = m.next
		m.Wake(false, at)
		for range 3 {
			m.Probed(true, at)
		}
	}
	grow()
	if _, a := m.Failed(key(1), Unavailable, true, true, at); !a.Gate {
		t.Fatal("the first time it has to be believed")
	}
	grow()
	for n := 0; !m.Closed(); n++ {
		if _, a := m.Failed(key(1), Unavailable, true, true, at); a.Gate {
			t.Fatalf("opened again by the same key, share %d", m.share)
		}
		if m.Succeeded(key(100+n), true, at); n > 100 {
			t.Fatal("it never closes")
		}
	}
	m, at = open(t, true)
	grow()
	m.Failed(key(1), Unavailable, true, true, at)
	grow()
	if _, a := m.Failed(key(2), Unavailable, true, true, at); !a.Gate {
		t.Error("another key says so, and it goes on")
	}
}

// A healthy key that fails once is tried again at once before it counts.
func TestTrialOfAHealthyKeyIsRepeated(t *testing.T) {
	m, at := open(t, false)
	for n := range 3 {
		at = max(at, m.next)
		if Phase(m.phase.Load()) == Open {
			m.Wake(false, at)
		}
		if _, a := m.Failed(key(100+n), Retry, false, true, at); !a.Again || a.Admit != 0 {
			t.Fatalf("%+v", a)
		}
		at = m.next
		m.Wake(false, at)
		m.Succeeded(key(100+n), true, at)
	}
	if !m.growing {
		t.Fatalf("three keys have succeeded at their second attempts: %+v", m.Status())
	}
	_, a := m.Failed(key(200), Retry, false, true, at)
	if !a.Again || a.Gate {
		t.Fatalf("%+v", a)
	}
	if _, a = m.Failed(key(200), Retry, false, true, at); !a.Gate {
		t.Fatalf("a healthy key failed twice, and it goes on: %+v", a)
	}
}

// Where each record fails at its first attempt and succeeds at its second, it opens (so
// an outage begins), and finds out soon that this is none.
func TestModelFirstAttemptsFail(t *testing.T) {
	for seed := range uint64(4) {
		w := &topicModel{rnd: rand.New(rand.NewPCG(seed, 2)), probe: seed%2 == 0}
		w.m = New(Config{HasProbe: w.probe, Least: 10 * time.Second, Most: 30 * time.Second, Longest: 5 * time.Minute,
			Successes: 3, Share: 16, Retry: time.Second, Rand: w.rnd.Int64N})
		w.add(40, false, time.Second)
		for _, k := range w.keys {
			k.flaky = true
		}
		open := time.Duration(0)
		for w.at < time.Hour {
			if w.step(); !w.m.Closed() {
				open += tick
			}
		}
		if w.opens == 0 {
			t.Fatal("it never opened: this shows nothing")
		}
		if open > 6*time.Minute {
			t.Errorf("seed %d: open for %s of an hour, in %d times", seed, open, w.opens)
		}
	}
}

// Keys that always fail are not called as fast as they fail while it is half open and
// nothing else comes; it closes all the same.
func TestBadKeysRestWhileItGrows(t *testing.T) {
	for _, bad := range []int{1, 4, 9} {
		m, _ := open(t, true)
		at := m.next
		m.Wake(false, at)
		a := Nothing()
		for range 3 {
			a = m.Probed(true, at)
		}
		calls, atOnce, began := 0, map[time.Duration]int{}, at
		for turn := 0; !m.Closed(); turn++ {
			if a.Fresh { // nothing else comes
				at = a.Wake
				a = m.Wake(false, at)
				continue
			}
			calls++
			atOnce[at]++
			if _, next := m.Failed(key(turn%bad), Retry, true, true, at); next.Admit >= 0 {
				a = next
			}
			if calls > 1000 {
				t.Fatal("it never closes")
			}
		}
		for _, n := range atOnce {
			if n > bad+1 {
				t.Errorf("%d bad keys: %d calls at one instant", bad, n)
			}
		}
		if took := at - began; took > 15*time.Minute || bad == 1 && (took > 3*time.Minute || calls > 20) {
			t.Errorf("%d bad keys: %d calls in %s until it closed", bad, calls, took)
		}
	}
}

// A key that rests does not hold one that comes.
func TestHealthyKeysDoNotRest(t *testing.T) {
	m, _ := open(t, true)
	at := m.next
	m.Wake(false, at)
	for range 3 {
		m.Probed(true, at)
	}
	m.Failed(key(1), Retry, true, true, at)
	if _, a := m.Failed(key(1), Retry, true, true, at); !a.Fresh || a.Admit != 1 || a.Wake != at+time.Second*2 {
		t.Fatalf("%+v", a)
	}
	if a := m.Succeeded(key(100), true, at); a.Fresh || a.Admit != 2 {
		t.Errorf("after a success: %+v", a)
	}
}

// Keys of which nothing is heard any more are forgotten, and cost the others nothing.
func TestFailingKeysAreForgotten(t *testing.T) {
	m := newMachine(false)
	at := time.Minute
	for n := range 3 * keysCap { // dead letters: each of these keys failed once, and went on
		fail(m, n, Retry, true, at)
	}
	watched := func() (n int) {
		for i := range 10_000 {
			if m.Watched(key(1_000_000 + i)) {
				n++
			}
		}
		return n
	}
	if n := len(m.failing.in); n != keysCap {
		t.Fatalf("%d keys are remembered", n)
	}
	if n := watched(); n > 2_500 {
		t.Errorf("%d of 10,000 healthy keys are looked at with %d that fail", n, keysCap)
	}
	at += rememberFor + sweepEvery + 1
	for i := range 100 {
		succeed(m, 1_000_000+i, at) // one that is looked at for nothing sees to it
	}
	if n := watched(); n != 0 || len(m.failing.in) != 0 {
		t.Errorf("%d of 10,000 are looked at, %d keys are remembered", n, len(m.failing.in))
	}
	at += time.Minute
	for n := range 5 {
		if a := fail(m, n, Retry, false, at); a.Gate != (n == 4) {
			t.Errorf("key %d, which failed long ago: %s", n, fmt.Sprint(a))
		}
	}
}
