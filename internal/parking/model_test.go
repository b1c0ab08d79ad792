package parking

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
)

// step does one thing of all that may happen next.
func (w *world) step() {
	w.steps++
	p := w.procs[len(w.procs)-1]
	if len(w.procs) > 1 && w.rng.IntN(3) == 0 {
		p = w.procs[w.rng.IntN(len(w.procs))]
	}
	m := &w.mood
	x := w.rng.IntN(100)
	chance := func(of int) bool { x -= of; return x < 0 }
	switch {
	case chance(20):
		if len(w.flight) > 0 {
			w.land(w.rng.IntN(len(w.flight)))
		}
	case chance(m.fail):
		if len(w.flight) > 0 {
			w.fail(w.rng.IntN(len(w.flight)))
		}
	case chance(m.command):
		w.command()
	case chance(m.move):
		w.handover()
	case chance(1):
		w.topic = true
	case chance(1):
		w.now += 1000
	case chance(m.trim):
		w.beginTrim(p)
	case chance(2):
		if m.loseCommit && w.store != nil && w.found(w.store).HasState {
			w.say("the commit is deleted")
			w.first = w.store.offset // where one without a commit begins: "latest"
			w.store, w.cur.dead = nil, true
			w.seen = true
			w.join()
		}
	default:
		w.act(p)
	}
}

func (w *world) beginTrim(p *proc) {
	if p.dead || p.owner == nil || p.token == 0 || w.trims >= 6 || p.owner.trim != nil {
		return
	}
	p.do(p.owner.Trim())
	if p.owner.trim != nil {
		w.trims++
		w.say("p%d begins a trim", p.n)
	}
}

// handover replaces or keeps the owner.
func (w *world) handover() {
	if w.moves >= 9 {
		return
	}
	w.moves++
	switch w.rng.IntN(4) {
	case 0:
		w.cur.dead = true
		if w.cur.out != nil {
			w.cur.out.abandoned = true
			w.late, w.cur.out = append(w.late, w.cur.out), nil
		}
		w.say("p%d crashes", w.cur.n)
		w.join()
	case 1, 2:
		w.join() // the one before acts on, and does not know
	default:
		w.gen++ // kept: its token is granted anew
		w.cur.gen, w.cur.needGrant = w.gen, true
		if w.cur.out != nil {
			w.cur.out.abandoned = true
			w.late, w.cur.out = append(w.late, w.cur.out), nil
		}
		w.say("p%d is kept in generation %d", w.cur.n, w.gen)
	}
}

// act lets a process do one thing.
func (w *world) act(p *proc) {
	if p.dead {
		return
	}
	switch w.rng.IntN(8) {
	case 0:
		p.grant()
	case 1:
		p.commit()
	case 2:
		if c := p.out; c != nil {
			answer := w.fixed || w.rng.IntN(12) > 0
			if !answer && w.rng.IntN(2) == 0 {
				w.say("p%d hears nothing of its commit, which lands later", p.n)
				c.abandoned = true
				w.late = append(w.late, c)
				p.unsure()
				return
			}
			w.commitLand(c, answer)
		} else if len(w.late) > 0 {
			i := w.rng.IntN(len(w.late))
			c := w.late[i]
			w.late = slices.Delete(w.late, i, i+1)
			w.commitLand(c, false)
		}
	case 3, 4:
		p.readOn()
	case 5:
		for _, key := range []string{"a", "b"} {
			if l := p.lanes[key]; l != nil {
				p.turn(l)
			}
		}
	case 6:
		if len(p.runs) > 0 {
			p.finish(w.rng.IntN(len(p.runs)))
		}
	case 7:
		if p.owner != nil && p.token > 0 {
			p.do(p.owner.Tick(w.now))
		} else {
			p.notice()
		}
	}
}

// readOn reads the next entry of the parking topic.
func (p *proc) readOn() {
	w := p.w
	if p.owner == nil || p.token == 0 {
		return
	}
	if p.read < w.start {
		p.read = w.start // deleted meanwhile: it is no longer needed
	}
	if p.read < int64(len(w.log)) {
		pos := p.read
		p.read++
		p.do(p.owner.Read(pos, w.log[pos].entry))
	}
}

// finishAll mends everything and lets the last owner end, after one more
// handover at some time. The operator retries each key, and again only when told
// that the retry came to nothing.
func (w *world) finishAll() {
	w.fixed = true
	for i := len(w.flight) - 1; i >= 0; i-- {
		if w.flight[i].proc == nil {
			w.land(i)
		}
	}
	asked := make(map[string]string)
	move := w.rng.IntN(400)
	for i := 0; i < 6000 && w.violation == "" && !w.halted && !w.done(); i++ {
		w.steps++
		if i == move {
			w.handover()
		}
		if i%100 == 50 && w.topic {
			w.operate(asked)
		}
		if len(w.flight) > 0 && i%2 == 0 {
			w.land(w.rng.IntN(len(w.flight)))
			continue
		}
		if w.rng.IntN(60) == 0 {
			w.beginTrim(w.cur)
		}
		w.act(w.cur)
	}
	if w.violation == "" && !w.halted && !w.done() {
		w.violate("stuck: %s", w.stuck())
	}
}

func (w *world) operate(asked map[string]string) {
	answers := make(map[string]string)
	top := int64(0)
	for _, l := range w.log {
		switch e := l.entry; {
		case e.Kind == KindMarker:
			top = max(top, e.Token)
		case e.Kind == KindAnswer && e.Token >= top && e.Answer.State.final():
			answers[e.Answer.Command.ID] = e.Answer.Result
		}
	}
	for o, key := range w.keys {
		id, before := asked[key]
		result, answered := answers[id]
		if slices.Index(w.keys, key) == o && (!before || answered && result != "released") {
			for whole := false; !whole; whole = w.nextCmd%3 == 0 { // the key, and the partition
				w.ask(Resume, int64(o))
			}
			w.ask(Resume, int64(o))
			asked[key] = w.ask(Retry, int64(o))
		}
	}
}

func (w *world) done() bool { return len(w.applied) == len(w.keys) }

func (w *world) stuck() string {
	p := w.cur
	s := fmt.Sprintf("done %v of %d; p%d token %d needGrant %t", w.order, len(w.keys), p.n, p.token, p.needGrant)
	if p.owner != nil {
		s += fmt.Sprintf(" marked %t stale %t fresh %t trim %+v pending %d", p.owner.marked, p.owner.stale, p.owner.fresh, p.owner.trim, len(p.owner.pending))
	}
	for k, l := range p.lanes {
		s += fmt.Sprintf("; lane %s %+v", k, *l)
	}
	return s
}

func run(seed uint64, without rule, sys system, verbose func(string, ...any)) *world {
	w := newWorld(seed, without, sys, verbose)
	w.join()
	n := 60 + w.rng.IntN(700)
	if w.mood.block {
		n += 600
	}
	for w.steps < n && w.violation == "" && !w.halted {
		w.step()
	}
	if w.violation == "" && !w.halted {
		w.finishAll()
	}
	return w
}

// soak reports whether the full counts are asked for.
func soak() bool { return os.Getenv("ORDERLY_SOAK") != "" }

// TestModel: whatever is delayed, lost, repeated, replaced and trimmed, no parked
// record is lost, none is overtaken, none is handled again once it is durably
// done, and in the end all are done.
func TestModel(t *testing.T) {
	n, moved, moves, trims, deletes, words, notes := 3000, 0, 0, 0, 0, 0, 0
	if soak() {
		n = 300_000
	}
	first := uint64(0)
	if s := os.Getenv("ORDERLY_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("ORDERLY_SEED: %v", err)
		}
		first = seed
	}
	for seed := first; seed < first+uint64(n); seed++ {
		w := run(seed, ruleNone, sysRight, nil)
		if w.violation != "" {
			run(seed, ruleNone, sysRight, t.Logf)
			t.Fatalf("ORDERLY_SEED=%d: %s", seed, w.violation)
		}
		if w.moves >= 4 {
			moved++
		}
		moves, trims, deletes, words, notes = moves+w.moves, trims+w.trims, deletes+w.deletes, words+w.words, notes+w.notes
	}
	t.Logf("%d runs, %d with at least four handovers; %d handovers, %d trims begun, %d carried out, %d words about blocked records, %d notes", n, moved, moves, trims, deletes, words, notes)
	if n > 1000 && (moved < n/4 || deletes < n/2 || words < n/40 || notes < n/20) {
		t.Error("the runs are too tame: too few handovers, trims, words or notes")
	}
}

// Each rule of the protocol, and each duty of the caller, taken out: the model
// finds what goes wrong, at the seed given or at another one. Two rules show
// only once in some tens of thousands of runs: they are searched in the soak, and
// have their schedules in trim_test.go.
var without = []struct {
	name string
	rule rule
	sys  system
	seed uint64
	rare bool
}{
	{"the token is granted by a commit of the present generation", ruleNone, sysSelfGrant, 30, false},
	{"the commit of the token carries all that the metadata said", ruleNone, sysForgetful, 0, false},
	{"one commit is outstanding", ruleNone, sysManyCommit, 28, false},
	{"entries count when read back", ruleReadBack, sysRight, 0, false},
	{"an entry rests on those before it", ruleChain, sysRight, 46, false},
	{"every owner writes its marker", ruleMarker, sysRight, 179, false},
	{"a write without an outcome: a new token", ruleNewToken, sysRight, 11341, true},
	{"settled up to X survives trims", ruleSettled, sysRight, 61162, true},
	{"live again when the resolutions are read back", ruleResolved, sysRight, 714, false},
	{"what a trim keeps is computed behind its marker", ruleAsOfMarker, sysRight, 10, false},
	{"what a trim keeps is read back", ruleTrimRead, sysRight, 10, false},
	{"a trim is committed, then done", ruleTrimCommit, sysRight, 1, false},
	{"a retry is answered at its end", ruleAnswer, sysRight, 136, false},
	{"a new topic: nothing counts before the own marker", ruleFresh, sysRight, 10969, false},
	{"a new topic: committed before anything is parked", ruleFreshFirst, sysRight, 28, false},
	{"the caps hold for what is on its way", ruleCaps, sysRight, 106, false},
	{"a note holds when a commit of the ownership names it", ruleNamed, sysRight, 138, false},
	{"a missing commit is not an empty one", ruleMissing, sysRight, 1044, false},
}

func TestModelMissesEachRule(t *testing.T) {
	for _, r := range without {
		t.Run(r.name, func(t *testing.T) {
			n := uint64(20_000)
			switch {
			case r.rare && soak():
				n = 200_000
			case r.rare:
				n = 0
			}
			w := run(r.seed, r.rule, r.sys, nil)
			for seed := uint64(0); w.violation == "" && seed < n; seed++ {
				r.seed = seed
				w = run(seed, r.rule, r.sys, nil)
			}
			switch {
			case w.violation == "" && r.rare && !soak():
				t.Logf("seed %d shows nothing any more: the soak searches another; trim_test.go has the schedule", r.seed)
				return
			case w.violation == "":
				t.Fatalf("%d runs went well without it", n)
			}
			t.Logf("seed %d, step %d: %s", r.seed, w.steps, w.violation[:min(len(w.violation), 90)])
		})
	}
}

// A topic that appears is to be used under a token granted after it was found.
// Random runs find nothing against the token held, because here nothing is parked
// before a commit of the present generation names the topic, which rule has its
// own counterexample above.
func TestModelOfATopicUsedUnderTheTokenHeld(t *testing.T) {
	n := uint64(1000)
	if soak() {
		n = 100_000
	}
	for seed := range n {
		if w := run(seed, ruleNone, sysAttach, nil); w.violation != "" {
			t.Fatalf("seed %d: %s", seed, w.violation)
		}
	}
}
