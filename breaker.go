package orderly

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/breaker"
	"github.com/orderly-go/orderly/internal/lane"
)

// Names of the breaker's states.
const (
	BreakerClosed   = "closed"    // everything runs
	BreakerOpen     = "open"      // nothing runs; the probe is asked, or the head of one key is tried
	BreakerHalfOpen = "half-open" // a few keys at a time are let through
)

// A BreakerState is a snapshot of the breaker.
type BreakerState struct {
	State       string // BreakerClosed, BreakerOpen or BreakerHalfOpen; empty when it is disabled
	Since       time.Time
	Reason      string    // why it opened
	NextProbe   time.Time // while it is open
	ProbeError  string    // the probe's last answer; empty: that all is well, or there is none
	Share       int       // while it is half open: so many keys run at a time
	Successes   int       // in a row, before one key is let through
	FailingKeys int       // keys that failed within 10 minutes and have not succeeded since; counted up to 8,192
}

// A guard connects the breaker's machine with the pool whose handlers it watches: it
// tells it of attempts, and does what it says. A nil guard lets everything through.
type guard struct {
	cfg   *ConsumerConfig
	rep   reporter
	m     *breaker.Machine
	probe *prober      // nil: none
	async func(func()) // runs a probe
	epoch time.Time    // of the machine's time
	view  atomic.Pointer[BreakerState]
	quiet atomic.Bool // nothing is let through
	heads atomic.Bool // heads of keys are tried, one at a time
	tried atomic.Bool // one was, since it opened

	mu       sync.Mutex // calls of m, and what they ask for, one after the other
	pool     *lane.Pool
	clock    lane.Clock
	stop     func() bool // of the timer
	gen      int         // of the timer's setting
	asking   bool
	answered string
	closed   bool
	events   []BreakerEvent // that are to be told, without mu
	telling  bool           // somebody does
}

func newGuard(cfg *ConsumerConfig, rep reporter) *guard {
	b := &cfg.Breaker
	if b.Disabled {
		return nil
	}
	g := &guard{cfg: cfg, rep: rep, probe: newProber(b), async: func(f func()) { go f() }}
	g.m = breaker.New(breaker.Config{
		HasProbe: g.probe != nil, Least: b.ProbeInterval / 3, Most: b.ProbeInterval, Longest: b.MaxInterval,
		Successes: b.Successes, Share: min(16, cfg.Concurrency), Retry: cfg.Retry.Backoff, Rand: rand.Int64N,
	})
	return g
}

// start is called once the pool stands, before it runs anything.
func (g *guard) start(pool *lane.Pool, clock lane.Clock) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pool, g.clock = pool, clock
	g.epoch = clock.Now()
	g.show()
}

// end stops the timer and a probe that is under way.
func (g *guard) end() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.stop != nil {
		g.stop()
	}
	if g.probe != nil {
		g.probe.cancel()
	}
}

func (g *guard) now() time.Duration { return g.clock.Now().Sub(g.epoch) }

// tick tells the time; it is called before each bunch.
func (g *guard) tick(now time.Time) { g.m.Tick(now.Sub(g.epoch)) }

func guardKey(r *lane.Run, it *lane.Item) breaker.Key { return breaker.NewKey(r.Part.Tag(), it.Hash) }

// succeeded counts the first n items of a run, which are done.
func (g *guard) succeeded(r *lane.Run, n int) {
	if g == nil {
		return
	}
	for i, it := range r.Items[:n] {
		if i > 0 && it.Hash == r.Items[i-1].Hash {
			continue
		}
		k := guardKey(r, it)
		g.m.Tried(k)
		if g.m.Watched(k) {
			g.tell(func() breaker.Actions { return g.m.Succeeded(k, r.Admitted(), g.now()) })
		}
	}
}

// failed takes in a failed attempt. spare: it is not spent, and nothing is decided
// about the record: it waits at the head of its key for the next one. again: that is
// made before other keys are tried.
func (g *guard) failed(r *lane.Run, it *lane.Item, class Class) (spare, again bool) {
	if g == nil {
		return class == ClassUnavailable, false
	}
	c := breaker.Retry
	switch class {
	case ClassPermanent:
		c = breaker.Permanent
	case ClassUnavailable:
		c = breaker.Unavailable
	}
	g.tell(func() (a breaker.Actions) {
		spare, a = g.m.Failed(guardKey(r, it), c, it.Attempts > 0, r.Admitted(), g.now())
		again = a.Again
		return a
	})
	return spare, again
}

// shut says that nothing is to be read: it is open, and heads wait that can be tried.
// Those that fail always would hold it open for ever, were they all that there is to
// try: then records of other keys are read.
func (g *guard) shut() bool {
	switch {
	case g == nil, !g.quiet.Load() && !g.heads.Load():
		return false
	case g.heads.Load() && g.pool.Records() == 0, g.tried.Load() && !g.pool.Fresh():
		return false
	}
	return true
}

// state is what State shows.
func (g *guard) state() BreakerState {
	if g == nil {
		return BreakerState{}
	}
	if v := g.view.Load(); v != nil {
		return *v
	}
	return BreakerState{State: BreakerClosed}
}

// tell tells the machine something and does what it asks for.
func (g *guard) tell(what func() breaker.Actions) {
	g.mu.Lock()
	ask := g.do(what())
	g.report()
	g.mu.Unlock()
	if ask {
		g.async(g.ask)
	}
}

// report tells what has changed, in order and without mu: whoever listens may wait for
// handlers, which come by here. Called with mu held, and returns so.
func (g *guard) report() {
	if g.telling {
		return // whoever does tells these too
	}
	g.telling = true
	for len(g.events) > 0 {
		e := g.events[0]
		g.events = g.events[1:]
		g.mu.Unlock()
		g.cfg.Events.Breaker(e)
		g.mu.Lock()
	}
	g.telling, g.events = false, nil
}

// do does what the machine asks for, but for the probe: it reports whether that is to
// be asked. Called with mu held.
func (g *guard) do(a breaker.Actions) (ask bool) {
	if g.closed {
		return false
	}
	if a.Gate {
		g.pool.Gate()
	}
	back := 0
	if a.GiveBack {
		back, _ = g.pool.GiveBack(g.epoch.Add(a.Since))
	}
	if a.Ungate {
		g.pool.Ungate()
	}
	if a.Admit >= 0 {
		g.pool.Admit(a.Admit, a.Fresh)
	}
	if a.Wake >= 0 {
		g.arm(a.Wake)
	}
	if a.Changed {
		g.changed(back)
	}
	ask = a.Probe && g.probe != nil && !g.asking
	g.asking = g.asking || ask
	return ask
}

// arm sets the timer.
func (g *guard) arm(at time.Duration) {
	if g.stop != nil {
		g.stop()
		g.stop = nil
	}
	g.gen++
	if at == 0 {
		return
	}
	gen := g.gen
	g.stop = g.clock.AfterFunc(max(0, at-g.now()), func() {
		g.tell(func() breaker.Actions {
			if gen != g.gen { // it was set anew
				return breaker.Nothing()
			}
			return g.m.Wake(g.pool.Admitted() > 0, g.now())
		})
	})
}

// ask asks the probe. It is called with asking set and without mu.
func (g *guard) ask() {
	err := g.probe.ask()
	g.tell(func() breaker.Actions {
		g.asking = false
		if g.answered = ""; err != nil {
			g.answered = err.Error()
		}
		if g.closed {
			return breaker.Nothing()
		}
		g.rep.log(slog.LevelDebug, "the breaker's probe has answered", "error", err)
		return g.m.Probed(err == nil, g.now())
	})
}

// changed shows the machine's new status and tells it when the state is another one.
func (g *guard) changed(back int) {
	old := g.state()
	now := g.show()
	if old.State == now.State && old.Reason == now.Reason {
		return
	}
	args := []any{"state", now.State, "share", now.Share}
	switch now.State {
	case BreakerOpen:
		args = append(args, "reason", now.Reason, "next_probe_in", now.NextProbe.Sub(g.clock.Now()).Round(time.Millisecond), "attempts_given_back", back)
		if old.State == BreakerClosed {
			g.rep.log(slog.LevelError, "the breaker is open: nothing is attempted until the dependency is up again", args...)
			break
		}
		g.rep.log(slog.LevelWarn, "the breaker is open again", args...)
	case BreakerHalfOpen:
		g.rep.log(slog.LevelInfo, "the breaker lets a few keys through", args...)
	default:
		g.rep.log(slog.LevelWarn, "the breaker is closed: everything runs", args...)
	}
	if g.cfg.Events.Breaker != nil {
		g.events = append(g.events, BreakerEvent{BreakerState: now, GivenBack: back})
	}
}

func (g *guard) show() BreakerState {
	st := g.m.Status()
	v := &BreakerState{Since: g.epoch.Add(st.Since), Reason: st.Reason, ProbeError: g.answered, Share: st.Share, Successes: st.Successes, FailingKeys: st.Failing}
	switch st.Phase {
	case breaker.Closed:
		v.State = BreakerClosed
	case breaker.Open:
		v.State, v.Share = BreakerOpen, 0
		v.NextProbe = g.epoch.Add(st.NextProbe)
	case breaker.Probing:
		v.State = BreakerHalfOpen
		if !st.Growing { // a head is the probe
			v.State, v.Share = BreakerOpen, 0
			v.NextProbe = g.clock.Now()
		}
	}
	heads := st.Phase == breaker.Probing && !st.Growing
	g.quiet.Store(st.Phase == breaker.Open)
	g.heads.Store(heads)
	g.tried.Store(heads || g.tried.Load() && st.Phase == breaker.Open)
	g.view.Store(v)
	return *v
}
