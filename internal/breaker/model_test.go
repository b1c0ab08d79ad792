package breaker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A topicModel is keys with records, handlers that need a dependency, and a pool that
// does what the machine says. Time goes in steps of tick.
type topicModel struct {
	m     *Machine
	rnd   *rand.Rand
	probe bool
	mark  bool // the handler says Unavailable, and not just an error
	down  bool
	keys  []*keyModel
	at    time.Duration
	wake  time.Duration
	quota int
	fresh bool // only those that have not failed, and those to be tried again
	asked bool // the probe is to be asked
	let   int  // of these: let through
	opens int
}

type keyModel struct {
	id       Key
	poison   bool
	flaky    bool          // each record fails once
	failed   bool          // its head did
	every    time.Duration // between two records
	next     time.Duration // the next record comes
	waiting  int
	attempts int // of the head
	due      time.Duration
	turn     time.Duration // when it was let through last
	again    bool          // it is to be let through before all others
}

const tick = 100 * time.Millisecond

func (w *topicModel) do(a Actions) {
	if a.Gate && w.opensNow(a) {
		w.opens++
	}
	if a.Wake >= 0 {
		w.wake = a.Wake
	}
	if a.Admit >= 0 {
		w.quota, w.fresh = a.Admit, a.Fresh
	}
	w.asked = w.asked || a.Probe
}

func (w *topicModel) opensNow(a Actions) bool { return a.GiveBack }

func (w *topicModel) attempt(k *keyModel, admitted bool) {
	w.m.Tick(w.at)
	if k.poison || w.down || k.flaky && !k.failed {
		k.failed = true
		c := Retry
		if w.down && w.mark && !k.poison {
			c = Unavailable
		}
		spare, a := w.m.Failed(k.id, c, k.attempts > 0, admitted, w.at)
		if !spare {
			k.attempts++
		}
		k.again = a.Again
		k.due = w.at + time.Duration(w.rnd.Int64N(int64(min(time.Second<<min(k.attempts, 6), time.Minute)))) + 1
		w.do(a)
		return
	}
	w.m.Tried(k.id)
	k.waiting--
	k.attempts, k.due, k.again, k.failed = 0, 0, false, false
	if w.m.Watched(k.id) {
		w.do(w.m.Succeeded(k.id, admitted, w.at))
	}
}

func (w *topicModel) step() {
	w.at += tick
	for _, k := range w.keys {
		for k.next <= w.at {
			k.waiting++
			k.next += k.every
		}
	}
	if w.wake > 0 && w.at >= w.wake {
		w.wake = 0
		w.do(w.m.Wake(false, w.at))
	}
	if w.asked {
		w.asked = false
		w.do(w.m.Probed(!w.down, w.at))
	}
	if !w.m.Closed() {
		for n := w.quota; n > 0 && w.quota > 0 && !w.m.Closed(); n-- {
			k := w.choose()
			if k == nil {
				break
			}
			k.turn = w.at
			w.let++
			w.attempt(k, true)
		}
		return
	}
	for _, k := range w.keys {
		if w.m.Closed() && k.waiting > 0 && k.due <= w.at {
			w.attempt(k, false)
		}
	}
}

// choose is what the pool does: keys that have not failed first, then in turn.
func (w *topicModel) choose() *keyModel {
	var fresh, failed *keyModel
	for _, k := range w.keys {
		switch {
		case k.waiting == 0:
		case k.again:
			return k
		case k.due == 0 && fresh == nil:
			fresh = k
		case k.due == 0 || w.fresh:
		case failed == nil || k.turn < failed.turn:
			failed = k
		}
	}
	if fresh != nil {
		return fresh
	}
	return failed
}

func newModel(rt *rapid.T) *topicModel {
	w := &topicModel{probe: rapid.Bool().Draw(rt, "probe"), mark: rapid.Bool().Draw(rt, "mark")}
	w.rnd = rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
	w.m = New(Config{HasProbe: w.probe, Least: 10 * time.Second, Most: 30 * time.Second, Longest: 5 * time.Minute,
		Successes: rapid.IntRange(1, 5).Draw(rt, "successes"), Share: rapid.SampledFrom([]int{1, 4, 16}).Draw(rt, "share"), Rand: w.rnd.Int64N})
	return w
}

func (w *topicModel) add(n int, poison bool, every time.Duration) {
	for range n {
		id := NewKey(uint64(len(w.keys)%3), w.rnd.Uint64())
		w.keys = append(w.keys, &keyModel{id: id, poison: poison, every: every, next: time.Duration(w.rnd.Int64N(int64(every)))})
	}
}

// until runs until the condition holds; it fails after limit.
func (w *topicModel) until(rt *rapid.T, what string, limit time.Duration, is func() bool) {
	for end := w.at + limit; !is(); w.step() {
		if w.at > end {
			rt.Fatalf("%s: not within %s: %+v", what, limit, w.m.Status())
		}
	}
}

var paces = []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}

// One key that fails for ever never opens it, whatever the others do.
func TestModelOneBadKey(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newModel(rt)
		w.add(rapid.IntRange(0, 30).Draw(rt, "healthy"), false, rapid.SampledFrom(paces).Draw(rt, "pace"))
		w.add(1, true, time.Second)
		for w.at < 10*time.Minute {
			w.step()
			if !w.m.Closed() {
				rt.Fatalf("at %s: %+v", w.at, w.m.Status())
			}
		}
	})
}

// An outage opens it soon, costs no key an attempt, and is over soon after the
// dependency is up again: with poison keys or without, with a probe or without.
func TestModelOutage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newModel(rt)
		pace := rapid.SampledFrom(paces).Draw(rt, "pace")
		w.add(rapid.IntRange(6, 60).Draw(rt, "healthy"), false, pace)
		w.add(rapid.IntRange(0, 5).Draw(rt, "poison"), true, rapid.SampledFrom(paces).Draw(rt, "poison pace"))
		for w.at < time.Minute {
			w.step()
		}
		w.until(rt, "closed before the outage", 10*time.Minute, w.m.Closed)
		w.down = true
		w.until(rt, "opening", Window+10*time.Second, func() bool { return !w.m.Closed() })
		began, let := w.at, w.let
		for length := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(rt, "length"); w.at < began+length; w.step() {
			if w.m.Closed() {
				rt.Fatalf("closed at %s although it is down", w.at)
			}
		}
		if n, most := w.let-let, int(w.at-began)/int(10*time.Second)+1; n > most {
			rt.Fatalf("%d attempts within %s of outage, at most %d are allowed", n, w.at-began, most)
		}
		w.down = false
		// The next look is at most the longest wait away; then it goes quickly.
		w.until(rt, "closing", 5*time.Minute+10*time.Minute, w.m.Closed)
		for _, k := range w.keys {
			if !k.poison && k.due > 0 && k.attempts > 10 {
				rt.Fatalf("a healthy key has spent %d attempts", k.attempts)
			}
		}
		// And it stays so.
		opens := w.opens
		for end := w.at + 10*time.Minute; w.at < end; {
			w.step()
		}
		if w.opens > opens {
			rt.Fatalf("it opened %d times more although all is well", w.opens-opens)
		}
	})
}

// Five poison keys on a quiet topic may open it; they do not hold it open, nor open
// it again and again.
func TestModelPoisonOnAQuietTopic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newModel(rt)
		w.add(rapid.IntRange(5, 9).Draw(rt, "poison"), true, 5*time.Second)
		w.add(rapid.IntRange(1, 3).Draw(rt, "healthy"), false, rapid.SampledFrom([]time.Duration{5 * time.Second, time.Minute}).Draw(rt, "pace"))
		w.until(rt, "opening", time.Minute, func() bool { return !w.m.Closed() })
		w.until(rt, "closing", 30*time.Minute, w.m.Closed)
		for end := w.at + 30*time.Minute; w.at < end; {
			if w.step(); !w.m.Closed() {
				rt.Fatalf("opened again at %s: %+v", w.at, w.m.Status())
			}
		}
		waits := 0
		for _, k := range w.keys {
			if !k.poison {
				waits = max(waits, k.waiting)
			}
		}
		if waits > 1 {
			rt.Fatalf("%d records of a healthy key wait", waits)
		}
	})
}

// The machine never asks for what makes no sense, whatever it is told.
func TestModelAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newModel(rt)
		wake, asked := time.Duration(-1), false
		for range rapid.IntRange(1, 300).Draw(rt, "ops") {
			op := w.rnd.IntN(1 << 20)
			w.at += time.Duration(op%7) * time.Second
			before := Phase(w.m.phase.Load())
			k, admitted := key(op/7%9), op&64 != 0
			var a Actions
			switch op >> 8 % 8 {
			case 0, 1:
				w.m.Tried(k)
				a = w.m.Succeeded(k, admitted, w.at)
			case 2:
				if !asked {
					continue
				}
				asked = false
				a = w.m.Probed(op&128 != 0, w.at)
			case 3:
				if wake <= 0 || w.at < wake {
					continue
				}
				wake = 0
				a = w.m.Wake(op&128 != 0, w.at)
			default:
				_, a = w.m.Failed(k, Class(op>>8%3), op&128 != 0, admitted, w.at)
			}
			if a.Wake >= 0 {
				wake = a.Wake
			}
			asked = asked || a.Probe
			after := Phase(w.m.phase.Load())
			var bad []string
			check := func(is bool, what string) {
				if is {
					bad = append(bad, what)
				}
			}
			check(a.Gate && a.Ungate, "gate and ungate")
			check(a.Gate && after != Open, "gate, and not open")
			check(a.Ungate && after != Closed, "ungate, and not closed")
			check(before == Closed && after != Closed && (!a.Gate || !a.GiveBack), "it opens without a gate or without giving back")
			check(before != Closed && after == Closed && !a.Ungate, "it closes and lets nothing through")
			check(before != after && !a.Changed, "a change that is not told")
			check(after == Open && wake <= 0 && !asked, "open, and nobody wakes it")
			check(after == Probing && wake <= 0, "probing, and nobody wakes it")
			check(after == Open && before != Open && a.Admit != 0, "open, and some are let through")
			check(before == Open && after == Closed, "from open to closed at once")
			if len(bad) > 0 {
				rt.Fatal(strings.Join(bad, "; "), before, after, fmt.Sprintf("%+v", a))
			}
		}
	})
}
