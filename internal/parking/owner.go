package parking

import (
	"cmp"
	"slices"
)

// An Owner is the member that holds a partition, as far as its parking topic
// goes: it takes in what happens and says what is to be done. It acts only on
// what was read back from the topic. It has no clock, no goroutine and no lock;
// its caller serves one partition from one goroutine at a time.
type Owner struct {
	rules     *Rules
	self      MarkerBody
	state     *State
	now       int64 // milliseconds
	notBefore int64 // no release on schedule begins; milliseconds

	token, seq int64
	pending    map[int64]*Entry // written under the present token, not read back
	pausing    []*Entry         // of pending: answers to pauses, which hold before anyone can read them
	marked     bool             // the marker of the present token was read
	stale      bool             // a new token is needed
	doubtful   map[int64]bool   // of pending: they failed, and may land at any time

	guard     Guard // as committed
	fresh     bool  // the commit names no parking topic yet
	watermark int64 // as committed

	trim   *trimming // nil unless one is under way
	delete int64     // what stands before is to be deleted; none
	work   map[KeyID]*work
	busy   int     // keys that are released
	due    []KeyID // some are to be, the longest parked first; as looked for last
	looked int64   // when that was, in milliseconds
	freed  int     // releases that have ended well, and none has begun in their place
	note   *Noted
	noting int64 // number of the note that is on its way; zero: none is

	// Of writes that are not read back, so that the caps hold for those too.
	newKeys  int
	newBytes int64

	handled map[string]bool   // commands that are acted on under the present token
	skipped map[string]bool   // commands whose skip was written
	earlier map[string]*Entry // skips under an earlier token whose commands are not answered
	again   bool              // commands are to be looked at anew
	count   int64             // keys at work so far
	lastN   int64             // of answers
	out     []Action
}

// A Grant is a fencing token, given by a commit that carried all that the
// metadata before it said.
type Grant struct {
	Token     int64
	Watermark int64
	Fresh     bool // it names no parking topic
	Guard     Guard
	Note      *Noted // that it names; it counts for the first grant of an owner
	// NotBefore is when releases on schedule begin, in milliseconds: the owner before may
	// have ended by one.
	NotBefore int64
}

// NewOwner returns an owner without a token; Granted follows. A parking topic
// that appears while the partition is owned needs a token granted after it was
// found. Entries are handed to Read from where Check said.
func NewOwner(rules *Rules, self MarkerBody) *Owner {
	return &Owner{rules: rules, self: self, delete: none, state: NewState(), work: make(map[KeyID]*work), skipped: make(map[string]bool), earlier: make(map[string]*Entry)}
}

// Granted gives the owner a token: at the beginning, and again for a partition
// that is kept, also after NeedToken. What was written before and is not read
// before the new marker does not count and never will.
func (o *Owner) Granted(g Grant) []Action {
	o.token, o.seq, o.watermark, o.notBefore = g.Token, 0, g.Watermark, g.NotBefore
	o.guard, o.fresh = g.Guard, g.Fresh && !o.rules.broken(ruleFresh)
	if t := o.trim; t != nil && t.commit && g.Guard.Trim == t.base {
		o.state = t.next // its commit was taken, though nobody answered
	}
	o.marked, o.stale, o.trim = false, false, nil
	o.pending, o.handled = make(map[int64]*Entry), make(map[string]bool)
	o.doubtful, o.pausing = nil, nil
	o.newKeys, o.newBytes, o.noting = 0, 0, 0
	if o.note == nil {
		o.note = g.Note
	}
	for _, w := range o.work {
		w.written, w.inflight, w.resolving, w.first = 0, 0, none, false
		w.retries, w.skips = nil, nil // taken up again: they are not answered
	}
	if o.rules.broken(ruleMarker) {
		o.marked, o.fresh = true, false
		o.pumpAll()
		return o.take()
	}
	o.mark()
	return o.take()
}

func (o *Owner) mark() { o.write(&Entry{Kind: KindMarker, Marker: &o.self}, -1) }

// open reports whether entries may be written and parked records be run.
func (o *Owner) open() bool {
	return o.marked && !o.stale && o.trim == nil && len(o.doubtful) == 0
}

// Open reports whether the partition's records may be started.
func (o *Owner) Open() bool { return o.marked && !o.stale && !o.fresh }

// Idle reports whether every record can go to its handler without being asked
// about: nothing is parked, paused or under way.
func (o *Owner) Idle() bool {
	return o.Open() && len(o.state.keys) == 0 && len(o.work) == 0 && len(o.state.paused) == 0 && len(o.pausing) == 0
}

// Busy reports whether records are released, or a trim copies some.
func (o *Owner) Busy() bool { return o.busy > 0 || o.trim != nil }

// Releasing returns how many keys are released.
func (o *Owner) Releasing() int { return o.busy }

func (o *Owner) write(e *Entry, from int64) {
	o.seq++
	e.Token, e.Seq = o.token, o.seq
	o.pending[e.Seq] = e
	o.emit(Write{WriteID{o.token, e.Seq}, e, from})
}

func (o *Owner) emit(a Action) { o.out = append(o.out, a) }

func (o *Owner) take() []Action {
	out := o.out
	o.out = nil
	return out
}

// Read takes the next entry of the topic. It is the only way in which anything
// written comes to count.
func (o *Owner) Read(pos int64, e *Entry) []Action {
	mine := e.Token == o.token && o.pending[e.Seq] != nil
	if o.fresh && !o.marked && !mine && e.Kind != KindCommand {
		if e.Kind == KindMarker {
			o.state.top = max(o.state.top, e.Token)
		}
		return nil // not ours, and no commit vouches for it
	}
	before := o.state.last
	v := o.state.Apply(pos, e, o.rules)
	if t := o.trim; t != nil && t.next != nil {
		t.next.Apply(pos, e, o.rules)
	}
	if mine {
		if e.Kind == KindMarker && v == Counts && !o.marked && before != nil && before.Policy != o.self.Policy {
			o.emit(Policy{before.Policy})
		}
		o.mine(pos, e, v)
	} else if v == Counts && e.Resolved != nil && e.Resolved.Skipped {
		o.earlier[e.Resolved.By] = &Entry{Key: e.Key, Offset: e.Offset, Resolved: e.Resolved}
	} else if e.Kind == KindProgress && v == Counts && o.rules.broken(ruleNamed) {
		o.note = &Noted{pos, e}
	} else if e.Kind == KindMarker && e.Token > o.token {
		o.needToken("another owner's marker stands in the parking topic")
	}
	if v == Counts && e.Answer != nil && e.Answer.State.final() {
		delete(o.earlier, e.Answer.Command.ID)
	}
	switch {
	case e.Kind == KindCommand:
		o.commands()
	case e.Kind == KindAnswer && e.Answer.Command.Whole:
		o.pumpAll()
	case e.Kind != KindMarker:
		o.pump(ID(e.Key), o.work[ID(e.Key)])
	}
	o.look()
	o.releaseMore()
	o.trimOn()
	return o.take()
}

// look looks at commands anew, where something they are about has changed.
func (o *Owner) look() {
	if o.again {
		o.again = false
		o.commands()
	}
}

// mine takes an entry of our own.
func (o *Owner) mine(pos int64, e *Entry, v Verdict) {
	delete(o.pending, e.Seq)
	o.pausing = slices.DeleteFunc(o.pausing, func(p *Entry) bool { return p.Seq == e.Seq })
	resumed := o.cleared(e.Seq)
	if e.Kind == KindMarker {
		switch {
		case v != Counts:
			o.needToken("a higher marker stands before ours")
		case !o.marked:
			if s := o.state; s.records > 0 && s.under != nil {
				if err := sameOrder(s.under, &o.self); err != nil {
					o.stale = true
					o.emit(Stop{err})
					return
				}
			}
			o.marked = true
			if o.self.Store != "" {
				clear(o.state.keys) // of those that went on without it: what is settled, its rows say
			}
			if o.fresh {
				o.trim = &trimming{}
				o.trimFrom(pos, e)
				if o.rules.broken(ruleFreshFirst) {
					o.trim, o.fresh, o.guard.Trim = nil, false, pos
				}
			}
			o.pumpAll()
		default:
			o.trimFrom(pos, e)
		}
		return
	}
	if r := e.Resolved; r != nil && r.Skipped && v == Counts {
		o.tellSkipped(e)
	}
	if e.Kind == KindProgress {
		o.noted(pos, e, v)
	}
	o.landed(e)
	if resumed {
		o.pumpAll()
	}
}

// tellSkipped tells that a record is done by an operator's word.
func (o *Owner) tellSkipped(e *Entry) {
	c := &CommandBody{ID: e.Resolved.By, Verb: Skip, Reason: e.Resolved.Reason}
	for _, a := range o.state.commands {
		if a.cmd.Command.ID == c.ID {
			c = a.cmd.Command
		}
	}
	o.emit(Skipped{e.Key, e.Offset, c})
}

// landed takes a write of ours out of those under way for its key. Whether it
// counts, the state says.
func (o *Owner) landed(e *Entry) {
	id := ID(e.Key)
	w := o.work[id]
	if w == nil || w.inflight == 0 || e.Kind != KindParked && e.Kind != KindRun && e.Kind != KindResolved && e.Kind != KindTried || o.trim != nil && o.trim.next != nil {
		return
	}
	o.unreserve(w, e)
	if w.inflight -= max(e.Records(), 1); w.inflight == 0 {
		w.written, w.resolving = 0, none
	}
	o.unreserveKey(id, w)
}

// Acked takes the acknowledgement of a write. It says nothing about whether the
// entry counts: a higher marker may stand before it.
func (o *Owner) Acked(id WriteID, pos int64) []Action {
	if id.Seq == probe {
		o.probed(id)
		return o.take()
	}
	if e := o.pending[id.Seq]; e != nil && id.Token == o.token && o.rules.broken(ruleReadBack) {
		return o.Read(pos, e)
	}
	return nil
}

// A WriteError says why a write failed.
type WriteError int

const (
	NotWritten WriteError = iota // surely; it is written again at a later Tick
	TooLarge                     // surely, and it never will be
	Unknown                      // it may land at any time
)

// Failed takes the failure of a write.
func (o *Owner) Failed(id WriteID, why WriteError) []Action {
	if id.Seq == probe {
		o.probe(id.Token)
		return o.take()
	}
	e := o.pending[id.Seq]
	if e == nil || id.Token != o.token {
		return nil // void, or read back meanwhile
	}
	if why == Unknown && !o.rules.broken(ruleNewToken) {
		o.doubt(id)
		return o.take()
	}
	delete(o.pending, id.Seq)
	o.pausing = slices.DeleteFunc(o.pausing, func(p *Entry) bool { return p == e })
	switch e.Kind {
	case KindMarker:
		o.mark()
	case KindAnswer:
		if e.Answer.State.final() {
			delete(o.handled, e.Answer.Command.ID)
		}
	case KindParked:
		if w := o.work[ID(e.Key)]; w != nil && why == TooLarge {
			w.tooLarge = max(w.tooLarge, e.Offset)
		}
	case KindProgress:
		o.noting = 0
	case KindRun:
		if w := o.work[ID(e.Key)]; w != nil && why == TooLarge {
			w.singly = true
		}
	}
	o.landed(e)
	o.trimOn()
	return o.take()
}

func (o *Owner) needToken(reason string) {
	if !o.stale {
		o.stale = true
		o.emit(NeedToken{max(o.state.top, o.token), reason})
	}
}

// Guard returns what the next commit of the partition says of the parking topic;
// ok is false when it names none yet. Its watermark must have been taken before.
func (o *Owner) Guard() (g Guard, ok bool) {
	g = o.guard
	g.Holds = o.state.holdsAbove(o.watermark)
	if t := o.trim; t != nil && t.commit {
		g.Trim = t.base
		return g, true
	}
	return g, !o.fresh
}

// Committed takes the acknowledgement of a commit made under the present token.
func (o *Owner) Committed(watermark int64, g Guard, ok bool) []Action {
	o.watermark = max(o.watermark, watermark)
	if spent := len(o.state.keys) - o.state.parkedKeys; spent > 0 && 4*spent >= len(o.state.keys) {
		o.state.forget(o.watermark)
	}
	if ok {
		o.guard = g
		o.trimmed(g)
	}
	return o.take()
}

// State returns what was read so far. It is the owner's: only to be looked at,
// between two calls of the owner.
func (o *Owner) State() *State { return o.state }

// Clock moves the clock, and nothing else.
func (o *Owner) Clock(now int64) { o.now = now }

// Tick moves the clock: keys that are due are released, writes that failed are
// written again.
func (o *Owner) Tick(now int64) []Action {
	o.now = now
	if o.open() {
		o.commands()
		o.freed = 0
		o.releaseDue()
		for _, id := range o.ids() {
			o.pump(id, o.work[id])
		}
	}
	o.trimOn()
	return o.take()
}

func (o *Owner) pumpAll() {
	if o.open() {
		o.commands()
	}
	for _, id := range o.ids() {
		o.pump(id, o.work[id])
	}
}

// ids returns the keys at work in the order in which they came, so that a run
// can be repeated.
func (o *Owner) ids() []KeyID {
	type numbered struct {
		n  int64
		id KeyID
	}
	all := make([]numbered, 0, len(o.work))
	for id, w := range o.work {
		all = append(all, numbered{w.n, id})
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	ids := make([]KeyID, len(all))
	for i := range all {
		ids[i] = all[i].id
	}
	return ids
}
