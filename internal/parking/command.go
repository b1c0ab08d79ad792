package parking

import "slices"

// commands acts on what operators asked for and nobody has answered.
func (o *Owner) commands() {
	if !o.open() {
		return
	}
	for _, a := range slices.Clone(o.state.commands) {
		if c := a.cmd; !o.handled[c.Command.ID] {
			o.handled[c.Command.ID] = true
			o.command(c, a.accepted)
		}
	}
}

func (o *Owner) command(c *Entry, accepted bool) {
	id := ID(c.Key)
	settled, parked := o.state.Settled(id, c.Offset)
	switch verb := c.Command.Verb; {
	case verb == ResetOffsets:
		o.answer(c, Done, "noted")
	case o.now-c.Command.When > o.rules.Remember.Milliseconds():
		// Its id may be forgotten: it may be a repeat of one that was answered.
		o.answer(c, Refused, "it is older than commands are remembered; send it anew")
	case verb == Skip && o.earlier[c.Command.ID] != nil:
		// Whoever carried it out may not have lived to say so.
		o.tellSkipped(o.earlier[c.Command.ID])
		o.answer(c, Done, "skipped")
	case o.self.Scope == "partition" && c.Key != nil:
		o.answer(c, Refused, "in partition scope the whole partition is one sequence, and has no key: "+keyless[verb])
	case verb == Pause, verb == Resume:
		o.answer(c, Done, "")
	case verb == Retry && parked:
		w := o.working(id)
		w.key = c.Key
		if o.rules.broken(ruleAnswer) {
			o.answer(c, Done, "released")
		} else {
			w.retries = append(w.retries, c)
			if !accepted {
				o.answer(c, Accepted, "")
			}
		}
		o.begin(id)
	case verb == Skip && parked && settled:
		w := o.working(id)
		w.key = c.Key
		w.skips = append(w.skips, c)
		o.pump(id, w)
	case verb == Skip && parked:
		o.answer(c, Refused, "the record waits behind the parked ones of its key and cannot be skipped yet")
	case parked:
		o.answer(c, Done, "its key is parked")
	case settled && o.skipped[c.Command.ID]:
		o.answer(c, Done, "skipped")
	case settled:
		o.answer(c, Done, "it was settled before, and its key is not parked")
	default:
		o.emit(Ask{c.Key, c.Offset, c.Command, accepted})
	}
}

// keyless is what to say in place of a key where there are none.
var keyless = map[Verb]string{
	Pause: "pause the partition", Resume: "resume the partition",
	Retry: "name none (--no-key)", Skip: "name none (--no-key)", Park: "name none (--no-key)",
}

// anew takes up the commands about a record of a key again that has been settled, or
// everything that waits for a key's turn: what they come to has changed.
func (o *Owner) anew(key []byte, offset int64) {
	for _, a := range o.state.commands {
		if a.cmd.Offset == offset && o.handled[a.cmd.Command.ID] && sameKey(a.cmd.Key, key) && a.cmd.Command.Verb != Pause && a.cmd.Command.Verb != Resume {
			delete(o.handled, a.cmd.Command.ID)
			o.again = true
		}
	}
}

// Answer takes what became of a command that Ask handed out.
func (o *Owner) Answer(id string, state AnswerState, result string) []Action {
	for _, a := range o.state.commands {
		if a.cmd.Command.ID == id {
			o.answer(a.cmd, state, result)
		}
	}
	return o.take()
}

// answer writes an answer, once the owner may write. An answer that is lost with
// its token is given again: the command is still there.
func (o *Owner) answer(c *Entry, state AnswerState, result string) {
	if !o.open() {
		delete(o.handled, c.Command.ID)
		return
	}
	n := o.lastN
	if len(o.state.answers) > 0 {
		n = max(n, o.state.answers[len(o.state.answers)-1].Answer.N)
	}
	o.lastN = n + 1
	e := &Entry{Kind: KindAnswer, Key: c.Key, Offset: c.Offset,
		Answer: &AnswerBody{Command: *c.Command, State: state, Result: result, At: o.now, N: o.lastN}}
	e.Answer.Command.N = o.state.placeOf(c)
	if state == Done && c.Command.Verb == Pause {
		// Who reads the answer may count on it, and may read it before we do.
		o.pausing = append(o.pausing, e)
	}
	o.write(e, -1)
}

// Paused reports whether the key, or the partition, is paused by an operator.
func (o *Owner) Paused(id KeyID) bool { return o.Held() != nil || o.PauseOf(id) != nil }

// PauseOf returns the pause of a key that is in force, or is about to be, or nil.
func (o *Owner) PauseOf(id KeyID) *AnswerBody {
	for _, e := range o.pausing {
		if !e.Answer.Command.Whole && ID(e.Key) == id {
			return e.Answer
		}
	}
	return o.state.held[id]
}

// Held returns the pause of the whole partition that is in force, or is about to be,
// or nil.
func (o *Owner) Held() *AnswerBody {
	for _, e := range o.pausing {
		if e.Answer.Command.Whole {
			return e.Answer
		}
	}
	return o.state.whole
}
