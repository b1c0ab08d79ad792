package orderly

import (
	"errors"
	"log/slog"

	"github.com/orderly-go/orderly/internal/effects"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/store"
)

// A record that a policy passes has to be passed in the store too, or its key would
// wait there for ever: the decision is kept with the record, which comes to a worker
// once more.

// passing is the decision to pass the record in the store; nil: there is none.
func (m *Message) passing() *givenUp {
	if tr := m.trouble; tr != nil && tr.given != nil && tr.given.decision != "" {
		return tr.given
	}
	return nil
}

// passes is giveUp for records whose progress is in a store, as far as the policy
// passes them.
func (h handling) passes(r *lane.Run, m *Message, tr *trouble, g *givenUp, v lane.Verdict) (lane.Verdict, bool) {
	switch {
	case !h.cfg.Effects.on():
		return v, false
	case g.decision != "": // the store did not take it: its handler is not called
		g.passes++
		v.Spare = true
		v.Delay = h.jitter(m, g.attempts+g.passes, h.cfg.Retry.doubled(g.passes))
		tr.is(stateUnavailable, g.err)
		return v, true
	case h.policyFor(m) == PolicyPark:
		g.decision = decisionPark
		tr.given = g
		return v, true
	case h.cfg.OnExhausted == PolicySkip:
		g.decision = string(PolicySkip)
		tr.given = g
		return v, true
	}
	return v, false
}

// passesLetter has a record passed in the store whose dead letter is written.
func (h handling) passesLetter(a *lane.Await, g *givenUp) bool {
	if !h.cfg.Effects.on() {
		return false
	}
	g.decision = string(PolicyDeadLetter)
	a.Retry(0)
	return true
}

// pass passes Items[i] in the store. It returns how many items are done.
func (h handling) pass(r *lane.Run, i int, own *owned) (done int, err error) {
	it := r.Items[i]
	m := it.Payload.(*Message)
	g := m.trouble.given
	learn := func() {}
	if g.decision == decisionPark {
		err = h.parkInStore(r, i, own)
	} else {
		why := store.Audit{Decision: g.decision, By: "policy", Why: brief(g.err)}
		if g.audit != nil {
			why = *g.audit
		}
		var with func(*store.Step)
		if with, learn, err = h.seq.passed(r.Ctx, r, own, it); err == nil {
			err = own.Skip(r.Ctx, r.Lane, h.recordOf(r, i), why, with)
		}
	}
	if full := (*effects.FullError)(nil); errors.As(err, &full) {
		if p := parkedOf(r); p != nil {
			p.Refuse(m.Offset, "it cannot be parked: "+full.Reason)
		}
		return i, errNoRoom{g, full}
	}
	var fenced *effects.FencedError
	var lost *effects.LostError
	switch {
	case errors.As(err, &fenced), errors.As(err, &lost):
		return i, err
	case err != nil && cancelled(r.Ctx):
		return i, lane.ErrHalted
	case err != nil:
		h.rep.record(slog.LevelWarn, "the store did not take that the record is passed, or parked; trying again", m, "error", err)
		return i, errWriteAgain{g}
	}
	if m.FencingToken = r.Token; g.word != nil {
		h.obeyed(parkedOf(r), m, g)
	} else if g.decision == string(PolicySkip) {
		h.rep.skipped(m, g)
	}
	learn()
	it.Slot.Done()
	if len(r.Items) > i+1 {
		return i + 1, lane.ErrHalted
	}
	return i + 1, nil
}
