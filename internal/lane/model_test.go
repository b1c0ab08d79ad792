package lane

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// An op is one step of the model's driver.
type op struct {
	Kind string
	Part int
	N    int
	Seed uint64
}

var opKinds = []string{
	"enqueue", "enqueue", "enqueue", "enqueue", "halt", "halt and wait", "clear", "clear",
	"cancel", "cancel and wait", "renew", "renew", "token", "reopen", "sleep", "sleep", "settle", "fast", "inline",
	"end serial", "gate", "gate and wait", "admit", "admit", "admit", "ungate",
}

// A world is a pool with the checker around it.
type world struct {
	*checker
	pl     *Pool
	seed   uint64
	plain  bool // one record after the other, as plain handlers are run
	faults atomic.Bool
	next   int64
	own    []*ownership
	byPart sync.Map // *Partition to *ownership
	calls  map[string]uint64
	callMu sync.Mutex
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := PartitionConfig{}
		conf := Config{Concurrency: rapid.IntRange(1, 6).Draw(rt, "concurrency")}
		mode := rapid.SampledFrom([]string{"key", "inline", "whole", "lanes", "detach"}).Draw(rt, "mode")
		switch mode {
		case "whole":
			cfg.Whole = true
		case "lanes", "detach":
			cfg.Lanes = rapid.IntRange(1, 3).Draw(rt, "lanes")
			cfg.Detach = mode == "detach"
		}
		one := mode == "key" || mode == "inline"
		plain := one || rapid.Bool().Draw(rt, "plain")
		if !one && !plain {
			cfg.BatchMax = rapid.IntRange(1, 5).Draw(rt, "max")
			cfg.BatchWait = rapid.SampledFrom([]time.Duration{0, 5 * time.Millisecond}).Draw(rt, "wait")
			conf.BatchMax = cfg.BatchMax
		}
		if rapid.IntRange(0, 3).Draw(rt, "serial") == 0 {
			cfg.Serial = Serial{Until: rapid.Int64Range(1, 60).Draw(rt, "until"), Before: func(*Item) bool { return true }}
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) op {
			return op{
				rapid.SampledFrom(opKinds).Draw(t, "kind"), rapid.IntRange(0, 1).Draw(t, "part"),
				rapid.IntRange(1, 12).Draw(t, "n"), rapid.Uint64().Draw(t, "seed"),
			}
		}), 1, 60).Draw(rt, "ops")
		if mode == "inline" {
			ops = append([]op{{Kind: "inline", N: 2}}, ops...)
		}
		var errs []string
		synctest.Test(t, func(t *testing.T) { errs = drive(conf, cfg, plain, seed, ops) })
		if len(errs) > 0 {
			rt.Fatal(strings.Join(errs, "\n"))
		}
	})
}

func drive(conf Config, cfg PartitionConfig, plain bool, seed uint64, ops []op) []string {
	w := &world{checker: newChecker(cfg), seed: seed, plain: plain, calls: map[string]uint64{}}
	w.faults.Store(true)
	conf.Apply, conf.OnFailure = w.apply, w.onFailure
	w.pl = NewPool(conf)
	for i := range 2 {
		w.own = append(w.own, w.open(fmt.Sprintf("t/%d", i), 1))
	}
	for _, op := range ops {
		w.step(op)
	}

	// What goes on now goes on without faults. After some seconds only what waits
	// for a retry or is held may be left, with what is behind it.
	w.faults.Store(false)
	w.step(op{Kind: "ungate"})
	for i, o := range w.own {
		w.step(op{Kind: "renew", Part: i})
		w.clear(o, 3)
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	for _, o := range w.own {
		blocked := map[int64]bool{}
		for _, b := range o.p.Blocked(1 << 30) {
			blocked[b.Head.Offset] = true
		}
		for k, q := range w.fronts(o) {
			if !blocked[q[0]] {
				w.failf("%s: %v of key %d are left although nothing blocks them", o.p.cfg.ID, q, k)
			}
		}
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	for i, o := range w.own {
		held := map[int64]bool{}
		waiting := 0
		for _, b := range o.p.Blocked(1 << 30) {
			if !b.Held && b.Awaits == "" {
				w.failf("%s: record %d waits until %v", o.p.cfg.ID, b.Head.Offset, b.Next)
			}
			held[b.Head.Offset] = true
			waiting += b.Waiting
		}
		left := 0
		for k, q := range w.fronts(o) {
			if left += len(q); !held[q[0]] {
				w.failf("%s: %v of key %d are left after all retries", o.p.cfg.ID, q, k)
			}
		}
		if st := o.p.Stat(); st.Records != left || st.Running != 0 || waiting != left || st.Blocked != len(held) {
			w.failf("%s: %+v and %d records behind %d held heads, want %d", o.p.cfg.ID, st, waiting, len(held), left)
		}
		// Only the next owner can run what is held.
		w.step(op{Kind: "reopen", Part: i})
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	for _, o := range w.own {
		if left := w.undone(o); len(left) > 0 {
			w.failf("%s: %v are left in the last ownership", o.p.cfg.ID, offsets(left))
		}
		if st := o.p.Stat(); st.Units != 0 || st.Blocked != 0 || st.Bytes != 0 || len(o.p.timers) > 0 {
			w.failf("%s: %+v, want nothing left", o.p.cfg.ID, st)
		}
		o.p.Failed(func(off int64, n int32) { w.failf("record %d has %d attempts although it is done", off, n) })
	}
	if w.pl.Records() != 0 || w.pl.Bytes() != 0 || !w.pl.Idle() || len(w.pl.ghosts) > 0 || w.pl.Admitted() != 0 {
		w.failf("the pool counts %d records of %d bytes, idle %t, ghosts %v", w.pl.Records(), w.pl.Bytes(), w.pl.Idle(), w.pl.ghosts)
	}
	w.pl.Close(errTest)
	w.pl.live.Wait()
	return w.errs
}

func (w *world) open(id string, token int64) *ownership {
	cfg := w.cfg
	cfg.ID = id
	o := w.add(w.pl.Add(cfg, token), token)
	w.byPart.Store(o.p, o)
	return o
}

func (w *world) step(op op) {
	o := w.own[op.Part]
	rnd := rand.New(rand.NewPCG(op.Seed, 1))
	quiet := func(is bool) {
		w.mu.Lock()
		o.quiet = is
		w.mu.Unlock()
	}
	switch op.Kind {
	case "enqueue":
		its := make([]*Item, op.N)
		for i := range its {
			w.next += 1 + rnd.Int64N(3)
			its[i] = &Item{Hash: rnd.Uint64N(6), Offset: w.next, Size: 1}
		}
		w.enqueue(o, its)
	case "halt", "halt and wait":
		bit := uint32(1 + op.N%2)
		o.bits |= bit
		o.p.SetHalt(bit)
		if op.Kind == "halt and wait" {
			<-o.p.WaitIdle()
			quiet(true)
		}
	case "clear":
		w.clear(o, uint32(1+op.N%2))
	case "cancel", "cancel and wait":
		o.cancelled = true
		o.p.Cancel(errTest)
		if op.Kind == "cancel and wait" {
			<-o.p.WaitIdle()
			quiet(true)
		}
	case "renew":
		if o.bits == 0 {
			quiet(false)
		}
		o.cancelled = false
		o.p.Renew()
	case "token":
		w.mu.Lock()
		o.token++
		w.mu.Unlock()
		o.p.SetToken(o.token)
		w.mu.Lock()
		if o.quiet {
			o.least = o.token
		}
		w.mu.Unlock()
	case "reopen":
		left := w.undone(o)
		o.p.Close(errTest)
		w.mu.Lock()
		o.over = true
		w.mu.Unlock()
		again := w.open(o.p.cfg.ID, o.token+1)
		w.own[op.Part] = again
		for len(left) > 0 {
			n := min(len(left), 1+rnd.IntN(8))
			w.enqueue(again, left[:n])
			left = left[n:]
		}
	case "end serial":
		o.p.EndSerial()
	case "gate", "gate and wait":
		w.pl.Gate()
		if op.Kind == "gate and wait" {
			for _, o := range w.own {
				<-o.p.WaitIdle()
			}
			synctest.Wait() // late ones of ownerships that have ended
			w.mu.Lock()
			w.shut, w.most = true, 0
			w.mu.Unlock()
		}
	case "admit":
		w.mu.Lock()
		w.most = max(w.most, op.N%4)
		w.mu.Unlock()
		w.pl.Admit(op.N%4, op.N&4 != 0)
	case "ungate":
		w.mu.Lock()
		w.shut = false
		w.mu.Unlock()
		w.pl.Ungate()
	case "sleep":
		time.Sleep(time.Duration(op.N*op.N) * time.Millisecond)
	case "settle":
		synctest.Wait()
	case "fast":
		fast(w.pl)
	case "inline":
		w.pl.inlineAlways.Store(op.N%2 == 0)
	}
}

func (w *world) clear(o *ownership, bits uint32) {
	o.bits &^= bits
	if o.bits == 0 && !o.cancelled {
		w.mu.Lock()
		o.quiet = false
		w.mu.Unlock()
	}
	o.p.ClearHalt(bits)
}

func (w *world) owner(r *Run) *ownership {
	o, ok := w.byPart.Load(r.Part)
	for !ok { // opened, and not yet noted
		runtime.Gosched()
		o, ok = w.byPart.Load(r.Part)
	}
	return o.(*ownership)
}

// luck is random and the same for the same record at the same call.
func (w *world) luck(r *Run) *rand.Rand {
	w.callMu.Lock()
	defer w.callMu.Unlock()
	name := fmt.Sprint(r.Part.cfg.ID, r.Items[0].Offset)
	w.calls[name]++
	return rand.New(rand.NewPCG(w.seed^uint64(r.Items[0].Offset), w.calls[name]))
}

func (w *world) apply(r *Run) (done int, err error) {
	o := w.owner(r)
	w.start(o, r)
	done, err = w.outcome(r, w.luck(r))
	w.end(o, r, done, err)
	if err == errEnded {
		runtime.Goexit()
	}
	return done, err
}

func (w *world) outcome(r *Run, rnd *rand.Rand) (done int, err error) {
	n := len(r.Items)
	if !w.faults.Load() {
		return n, nil
	}
	switch k := rnd.IntN(40); {
	case k < 8:
		time.Sleep(time.Duration(1+rnd.IntN(20)) * time.Millisecond)
	case k < 9: // stuck, whatever its context says
		time.Sleep(time.Duration(50+rnd.IntN(500)) * time.Millisecond)
	case k < 11: // listens to its context
		select {
		case <-r.Ctx.Done():
			return rnd.IntN(n), ErrHalted
		case <-time.After(300 * time.Millisecond):
		}
	case k < 16:
		return rnd.IntN(n), errTest
	case k < 18:
		return -1 - rnd.IntN(2), nil
	case k < 19:
		return -1, errTest
	case k < 20:
		return n + 1 + rnd.IntN(2), nil
	case k < 21:
		return rnd.IntN(n), nil
	case k < 22:
		return rnd.IntN(n), ErrHalted
	case k < 23:
		return -1, errEnded // ends its goroutine
	}
	if w.plain {
		for i := range r.Items {
			if i > 0 && r.Halted() {
				return i, ErrHalted
			}
			runtime.Gosched()
		}
	}
	return n, nil
}

func (w *world) onFailure(r *Run, it *Item, err error) Verdict {
	o := w.owner(r)
	rnd := w.luck(r)
	v := Verdict{Delay: time.Duration(rnd.IntN(30)) * time.Millisecond, Spare: rnd.IntN(4) == 0}
	w.failed(o, r, it, v.Spare)
	switch rnd.IntN(18) {
	case 0:
		v.Hold = true
	case 1:
		v.Delay = 10 * time.Minute
	case 2:
		v.Delay = 0
	case 3:
		v.Settled = true
		w.settled(o, it)
	case 4: // never answered
		v.Await = NewAwait(r, "waiting")
	case 5, 6, 7, 8:
		v.Await = NewAwait(r, "waiting")
		w.answer(o, v.Await, it, rnd)
	}
	if rnd.IntN(3) == 0 {
		v.Keep = &Item{Payload: it.Payload}
	}
	return v
}

// answer answers at once, before the worker has come back, or later; and then
// again, which must change nothing.
func (w *world) answer(o *ownership, a *Await, it *Item, rnd *rand.Rand) {
	settle, late, delay := rnd.IntN(2) == 0, rnd.IntN(3) > 0, time.Duration(rnd.IntN(50))*time.Millisecond
	answer := func() {
		if !a.Open() {
			return // closed meanwhile
		}
		if settle {
			w.settled(o, it)
			a.Done()
		} else {
			a.Retry(delay)
		}
		if a.Open() || a.Done() || a.Retry(0) {
			w.failf("record %d: a second answer counted", it.Offset)
		}
	}
	if late {
		time.AfterFunc(10*delay, answer)
		return
	}
	answer()
}
