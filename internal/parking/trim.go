package parking

import (
	"cmp"
	"slices"
)

// trimming is a trim under way. Nothing else is written meanwhile. The steps: wait
// until all that was written is read back; write a marker; read to it; write
// behind it what a reader that begins there would miss, read it back, look again;
// commit the marker's position; then delete what stands before it.
//
// A new topic is taken into use in the same way, from the owner's first marker
// on: what stands before that does not count, except commands.
type trimming struct {
	asked  bool // the marker is written
	base   int64
	next   *State // what a reader that begins at base knows
	commit bool   // next knows everything; base waits to be committed
	plan   []Write
}

// Trim begins a trim, when none is under way. A caller asks for one when much of
// the topic is not needed any more: Garbage.
func (o *Owner) Trim() []Action {
	if o.open() && !o.fresh {
		o.state.forget(o.watermark)
		o.state.forgetAnswers(o.now - 2*o.rules.Remember.Milliseconds())
		o.trim = &trimming{}
		if o.rules.broken(ruleAsOfMarker) {
			o.trim.plan = o.missing(NewState())
		}
		o.trimOn()
	}
	return o.take()
}

// Garbage returns how many entries stand in the topic, from where it counts, and
// how many of them are needed.
func (o *Owner) Garbage() (entries, needed int64) {
	s := o.state
	return s.entries, int64(s.records) + int64(len(s.keys)-s.parkedKeys) + int64(len(s.commands)+len(s.answers)) + 1
}

// trimOn takes the next step when the one before is read back.
func (o *Owner) trimOn() {
	t := o.trim
	switch {
	case t == nil || o.stale || !o.marked || t.commit:
	case len(o.pending) > 0 && !(o.rules.broken(ruleAsOfMarker) && !t.asked):
	case t.next == nil && !t.asked:
		t.asked = true
		o.mark()
	case t.next != nil:
		o.rewrite()
	}
}

// trimFrom begins the new state at our marker.
func (o *Owner) trimFrom(pos int64, e *Entry) {
	if o.trim == nil {
		return
	}
	o.trim.asked, o.trim.base, o.trim.next = true, pos, NewState()
	o.trim.next.Apply(pos, e, o.rules)
	if o.rules.broken(ruleAsOfMarker) && o.trim.plan != nil {
		for _, w := range o.trim.plan {
			o.write(w.Entry, w.From)
		}
	}
}

func (o *Owner) rewrite() {
	t := o.trim
	missing := o.missing(t.next)
	if o.rules.broken(ruleAsOfMarker) && t.plan != nil {
		missing = nil
	}
	for _, w := range missing {
		o.write(w.Entry, w.From)
	}
	if len(missing) == 0 || o.rules.broken(ruleTrimRead) {
		t.commit = true
		if o.rules.broken(ruleTrimCommit) {
			o.emit(Delete{t.base})
		}
		o.emit(Commit{})
	}
}

// trimmed takes the commit of a trim.
func (o *Owner) trimmed(g Guard) {
	t := o.trim
	if t == nil || !t.commit || g.Trim != t.base {
		return
	}
	o.state, o.trim, o.fresh = t.next, nil, false
	o.delete = t.base
	o.deleteOn()
	o.pumpAll()
}

// deleteOn deletes what a trim has made useless, once no payload of it is still
// to be read for a handler.
func (o *Owner) deleteOn() {
	if o.delete == none {
		return
	}
	for _, w := range o.work {
		if w.running != none && w.pos < o.delete {
			return
		}
	}
	o.emit(Delete{o.delete})
	o.delete = none
}

// missing returns the entries that bring next to what the state knows, in the
// order in which they stand in the topic: payloads are read along it.
func (o *Owner) missing(next *State) (out []Write) {
	ids := make([]KeyID, 0, len(o.state.keys))
	for id := range o.state.keys {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b KeyID) int { return cmp.Compare(o.state.keys[a].first(), o.state.keys[b].first()) })
	for _, id := range ids {
		if len(out) >= o.rules.Rewrite {
			return out // the rest when these are read back
		}
		out = o.missingKey(out, o.state.keys[id], next.keys[id])
	}
	for _, a := range o.state.commands {
		if !slices.ContainsFunc(next.commands, func(b asked) bool { return b.cmd.Command.ID == a.cmd.Command.ID }) {
			c, body := *a.cmd, *a.cmd.Command
			body.N, c.Command = a.at, &body
			out = append(out, Write{Entry: &c, From: -1})
		}
	}
	for _, a := range o.state.answers {
		if !next.answered[a.Answer.Command.ID] {
			c := *a
			out = append(out, Write{Entry: &c, From: -1})
		}
	}
	if n := o.note; n != nil && o.trim != nil && n.Pos < o.trim.base {
		c := *n.Entry
		out = append(out, Write{Entry: &c, From: -1})
	}
	return out
}

func (o *Owner) missingKey(out []Write, k, next *keyState) []Write {
	if next == nil {
		next = &keyState{}
	}
	after := int64(0)
	for _, r := range k.recs {
		if _, there := next.find(r.offset); !there {
			out = append(out, Write{From: r.pos, Entry: &Entry{Kind: KindParked, Offset: r.offset, After: after,
				Parked: &ParkedBody{Failure: Failure{Permanent: r.permanent, Releases: int(r.tries), Last: r.last}}}})
		}
		after = r.offset + 1
	}
	if k.upTo > after && k.upTo > o.watermark && next.upTo < k.upTo && !o.rules.broken(ruleSettled) {
		out = append(out, Write{From: k.at, Entry: &Entry{Kind: KindSettled, Offset: k.upTo, After: after}})
	}
	return out
}

func (k *keyState) first() int64 {
	if len(k.recs) > 0 {
		return k.recs[0].pos
	}
	return k.at
}

// Complete makes of an entry that is written From another the whole entry.
func Complete(e, from *Entry) *Entry {
	out := *e
	out.Key = from.Key
	if of := from.Record(e.Offset); e.Kind == KindParked && of != nil {
		body, f := *of.Parked, e.Parked.Failure
		body.Failure.Permanent, body.Failure.Releases, body.Failure.Last = f.Permanent, f.Releases, f.Last
		out.Parked = &body
	}
	return &out
}
