package parking

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// The world of the model: a coordinator with one commit per partition, the log of
// the parking topic, a sink that refuses lower tokens, and processes, each with a
// real Owner. Everything that is sent stays in flight until the schedule lands
// it, loses it, or lets its sender hear nothing. A process that was replaced acts
// on, for ever or until it crashes.
type world struct {
	rng       *rand.Rand
	rules     Rules
	sys       system
	verbose   func(string, ...any)
	violation string // the first violation
	steps     int

	keys    []string           // of the source records, by offset
	bad     []bool             // fail for ever, until fixed
	applied map[int64]bool     // done, or skipped
	skipped map[int64]int64    // and never handled: nothing is too late after it; the token of who skipped it
	order   map[string][]int64 // effects per key
	sinkTop int64
	fixed   bool

	gen   int
	store *commit
	first int64     // where an owner without a commit begins
	late  []*commit // without an answer: they land at any time

	topic    bool
	seen     bool // by whoever joins: a topic that is not new, and no commit, are told by all brokers
	log      []logged
	start    int64 // of the log
	held     int64 // past the last entry of the log that Found calls state
	replayed replayed
	unsorted bool // writes of one process may land in any order

	flight  []*flying // writes and deletes on their way
	procs   []*proc
	cur     *proc // member of the present generation
	now     int64
	nextCmd int
	sent    []Entry // commands, for repeats
	mood    mood
	halted  bool // stopped by name, rightly
	moves   int  // handovers
	trims   int
	deletes int
	notes   int // that were written
	words   int // of operators about blocked records, that were obeyed
}

// system is what a caller of the core may do wrong.
type system int

const (
	sysRight      system = iota
	sysSelfGrant         // the token is not granted by a commit
	sysForgetful         // the commit of the token carries the offset alone
	sysManyCommit        // a commit without an answer is followed by the next
	sysAttach            // a topic that appears is used under the token held
)

type commit struct {
	gen       int
	token     int64
	offset    int64
	ahead     []int64
	guard     *Guard
	note      *Noted // nil: none
	proc      *proc
	grant     bool
	abandoned bool // its sender heard nothing and has gone on
}

// noted is what its note says is done.
func (c *commit) noted() (out []int64) {
	if c == nil || c.note == nil {
		return nil
	}
	for _, r := range c.note.Entry.Progress.Ahead {
		for o := r.From; o < r.To; o++ {
			out = append(out, o)
		}
	}
	return out
}

type logged struct {
	entry *Entry
}

type flying struct {
	proc   *proc
	write  *Write // nil: a delete
	entry  *Entry
	before int64
	told   bool // its sender was told that it does not know
}

func newWorld(seed uint64, without rule, sys system, verbose func(string, ...any)) *world {
	rng := rand.New(rand.NewPCG(seed, 17))
	r := DefaultRules()
	r.Rewrite = 1 + int(seed%4)
	r.without, r.Join = without, rng.IntN(3)
	r.MaxPerKey = 2 + rng.IntN(6)
	r.Run = 1 + int(seed/5%3)
	if seed%7 == 1 {
		r.MaxKeys, r.MaxBytes = 1+int(seed%2), (1+int64(seed%5))*(&Record{}).Size()
	}
	w := &world{rng: rng, rules: r, sys: sys, verbose: verbose, applied: map[int64]bool{}, skipped: map[int64]int64{}, order: map[string][]int64{},
		unsorted: rng.IntN(2) == 0, topic: rng.IntN(3) > 0}
	n := 2 + rng.IntN(4)
	for range n {
		key := "a"
		if rng.IntN(4) == 0 {
			key = "b"
		}
		w.keys = append(w.keys, key)
		w.bad = append(w.bad, rng.IntN(3) == 0)
	}
	w.bad[0] = true
	w.mood = mood{noAhead: rng.IntN(2) == 0, slow: rng.IntN(2) == 0, hold: rng.IntN(2) * rng.IntN(900), loseCommit: rng.IntN(16) == 0, block: seed%3 == 2, together: seed%5 == 1 || seed%5 == 3, notes: seed%4 == 2,
		fail: rng.IntN(8), command: rng.IntN(6), move: rng.IntN(4), trim: rng.IntN(6), luck: 2 + rng.IntN(8), mend: rng.IntN(600)}
	if w.mood.block {
		w.mood.command += 6
		w.mood.mend += 900
	}
	return w
}

func (w *world) say(format string, args ...any) {
	if w.verbose != nil {
		w.verbose("%4d %s", w.steps, fmt.Sprintf(format, args...))
	}
}

func (w *world) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
		w.say("VIOLATION %s", w.violation)
	}
}

// mood makes runs differ: each has its own mixture of what may happen.
type mood struct {
	noAhead    bool // the commit has no room for what is done ahead
	notes      bool // which then goes into a note
	slow       bool // writes of unknown outcome land late
	hold       int  // until this step the first record waits: the watermark stays
	block      bool // records that fail are tried in place, until an operator says what becomes of them
	loseCommit bool // the group's commit is deleted
	together   bool // records come together, and are written in runs

	fail, command, move, trim int // how often, of 100
	mend                      int // the step from which on the bad records succeed
	luck                      int // one handler in so many fails without reason
}

// belief is what an owner that begins now would take to be settled and parked.
type belief struct {
	settled, parked map[int64]bool
	offset          int64
	keys            int
	bytes           int64
}

// stop: an owner refuses to begin, by name. That is right only when the commit
// was deleted.
func (w *world) stop(err error) {
	if w.halted = w.store == nil; !w.halted {
		w.violate("false mismatch: %v", err)
	}
}

func (w *world) found(c *commit) Found {
	f := Found{Topic: w.topic, Start: w.start, Committed: c != nil}
	if c != nil {
		f.Guard = c.guard
	}
	f.HasState = w.held > w.start
	return f
}

// put appends to the log.
func (w *world) put(e *Entry) {
	w.log = append(w.log, logged{e})
	if k := e.Kind; k != KindMarker && k != KindCommand {
		w.held = int64(len(w.log))
	}
}

// replayed is what the log says from one position on, as far as it was read: most
// looks find the position unchanged, and only the entries since the last are read.
type replayed struct {
	state    *State
	from, to int64
}

// replay returns what the log says from a position on.
func (w *world) replay(from int64) *State {
	r := &w.replayed
	if r.state == nil || r.from != from {
		*r = replayed{NewState(), from, from}
	}
	for ; r.to < int64(len(w.log)); r.to++ {
		r.state.Apply(r.to, w.log[r.to].entry, &w.rules)
	}
	return r.state
}

func (w *world) believe() (b belief) {
	b = belief{settled: map[int64]bool{}, parked: map[int64]bool{}}
	from, fresh, err := Check(w.found(w.store), &w.rules)
	if err != nil {
		w.stop(err)
		return b
	}
	s := NewState()
	if w.topic && !fresh {
		s = w.replay(from)
	}
	if w.store != nil {
		b.offset = w.store.offset
	}
	noted := w.store.noted()
	for o := range int64(len(w.keys)) {
		settled, _ := s.Settled(ID([]byte(w.keys[o])), o)
		b.keys, _, b.bytes, _ = s.Counts()
		b.settled[o] = settled || o < b.offset || w.store != nil && slices.Contains(w.store.ahead, o) || slices.Contains(noted, o)
		if k := s.keys[ID([]byte(w.keys[o]))]; k != nil {
			_, b.parked[o] = k.find(o)
		}
	}
	return b
}

// parkedOfAKey is how many records of one key are parked at the most.
func (w *world) parkedOfAKey(b belief) (most int) {
	n := make(map[string]int)
	for o, parked := range b.parked {
		if parked {
			n[w.keys[o]]++
			most = max(most, n[w.keys[o]])
		}
	}
	return most
}

// look checks what must hold at every moment.
func (w *world) look() {
	b := w.believe()
	if w.halted {
		return
	}
	switch perKey := w.parkedOfAKey(b); {
	case b.keys > w.rules.MaxKeys:
		w.violate("over the cap: %d keys are parked", b.keys)
	case b.bytes > w.rules.MaxBytes:
		w.violate("over the cap: %d bytes are parked", b.bytes)
	case perKey > w.rules.MaxPerKey:
		w.violate("over the cap: %d records of a key are parked", perKey)
	}
	for o := range int64(len(w.keys)) {
		if b.settled[o] && !b.parked[o] && !w.applied[o] {
			w.violate("lost: %d is settled, not parked and was never done", o)
		}
	}
}

// apply is an effect of a handler on the sink.
func (w *world) apply(token, o int64) bool {
	if token < w.sinkTop {
		return false
	}
	w.sinkTop = token
	b := w.believe()
	if w.halted {
		return true
	}
	key := w.keys[o]
	for p := range int64(len(w.keys)) {
		by, skipped := w.skipped[p]
		switch {
		case w.keys[p] != key:
		case p == o && skipped && token < by:
			// A frozen owner's handler: no handler of the one that skipped the record has
			// told the sink its token.
		case p < o && !w.applied[p]:
			w.violate("overtaken: %d is handled, %d of its key never was", o, p)
		case p >= o && b.settled[p] && !b.parked[p] && w.applied[p] && (p == o || !skipped):
			w.violate("old over new: %d is handled, %d of its key is durably done", o, p)
		}
	}
	w.applied[o] = true
	w.order[key] = append(w.order[key], o)
	return true
}

// land puts a write into the log, or carries out a delete.
func (w *world) land(i int) {
	f := w.flight[i]
	if f.told && w.mood.slow && !w.fixed && w.rng.IntN(12) > 0 {
		return
	}
	if f.write == nil {
		w.flight = slices.Delete(w.flight, i, i+1)
		w.start = max(w.start, min(f.before, int64(len(w.log))))
		w.deletes++
		w.say("log begins at %d", w.start)
		w.look()
		return
	}
	if !w.unsorted && f.proc != nil { // the first of its process
		i = slices.IndexFunc(w.flight, func(g *flying) bool { return g.proc == f.proc && g.write != nil })
		f = w.flight[i]
	}
	w.flight = slices.Delete(w.flight, i, i+1)
	pos := int64(len(w.log))
	w.skip(f.entry)
	w.put(f.entry)
	w.say("lands at %d: %s", pos, describe{f.entry})
	if f.proc != nil && !f.proc.dead && f.proc.owner != nil && !f.told {
		f.proc.do(f.proc.owner.Acked(f.write.ID, pos))
	}
	w.look()
}

// skip: a record that is skipped counts as done, where the entry counts; also one that was
// done before, which nobody knew any more.
func (w *world) skip(e *Entry) {
	if e.Resolved == nil || !e.Resolved.Skipped {
		return
	}
	for _, l := range w.log {
		if l.entry.Kind == KindMarker && l.entry.Token > e.Token {
			return
		}
	}
	if _, known := w.skipped[e.Offset]; !known {
		w.applied[e.Offset], w.skipped[e.Offset] = true, e.Token
	}
}

// fail lets the sender of a write hear of a failure.
func (w *world) fail(i int) {
	f := w.flight[i]
	if f.write == nil || f.told || f.proc == nil || f.proc.dead {
		return
	}
	why := Unknown
	if w.rng.IntN(2) == 0 {
		why = NotWritten
		w.flight = slices.Delete(w.flight, i, i+1)
	}
	f.told = true
	w.say("p%d hears %v of %s", f.proc.n, []string{"not written", "too large", "unknown"}[why], describe{f.entry})
	f.proc.do(f.proc.owner.Failed(f.write.ID, why))
}

// describe is an entry as the account of a run shows it; most runs give none.
type describe struct{ *Entry }

func (d describe) String() string {
	e := d.Entry
	s := fmt.Sprintf("%s t%d.%d", e.Kind, e.Token, e.Seq)
	switch {
	case e.Resolved != nil:
		s += fmt.Sprintf(" %s[%d..%d] skip=%t", e.Key, e.Offset, e.Resolved.Last, e.Resolved.Skipped)
	case e.Command != nil:
		s += fmt.Sprintf(" %s %s@%d id %s", e.Command.Verb, e.Key, e.Offset, e.Command.ID)
	case e.Answer != nil:
		s += fmt.Sprintf(" to %s: %s %s", e.Answer.Command.ID, e.Answer.State, e.Answer.Result)
	case e.Key != nil:
		s += fmt.Sprintf(" %s@%d after %d", e.Key, e.Offset, e.After)
	}
	return s
}

// command sends a command, or one of those sent before again.
func (w *world) command() {
	if !w.topic {
		return
	}
	if len(w.sent) > 0 && w.rng.IntN(3) == 0 {
		e := w.sent[w.rng.IntN(len(w.sent))]
		w.flight = append(w.flight, &flying{write: &Write{From: -1}, entry: &e})
		return
	}
	o := int64(w.rng.IntN(len(w.keys)))
	verb := []Verb{Retry, Retry, Retry, Retry, Retry, Skip, Pause, Resume}[w.rng.IntN(8)]
	if w.mood.block {
		for _, key := range []string{"a", "b"} {
			if l := w.cur.lanes[key]; l != nil && l.stuck && w.rng.IntN(4) > 0 {
				o = l.queue[0]
			}
		}
		verb = []Verb{Retry, Park, Park, Skip, Skip, Skip, Pause, Resume}[w.rng.IntN(8)]
	}
	w.ask(verb, o)
}

func (w *world) ask(verb Verb, o int64) string {
	w.nextCmd++
	e := Entry{Kind: KindCommand, Key: []byte(w.keys[o]), Offset: o, Command: &CommandBody{ID: fmt.Sprint(w.nextCmd), Verb: verb, When: w.now}}
	// The partition instead of the key.
	e.Command.Whole = (verb == Pause || verb == Resume) && w.nextCmd%3 == 0
	w.sent = append(w.sent, e)
	w.flight = append(w.flight, &flying{write: &Write{From: -1}, entry: &e})
	w.say("operator: %s", describe{&e})
	return e.Command.ID
}
