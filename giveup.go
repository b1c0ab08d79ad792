package orderly

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
)

// Reasons for which a record is given up.
const (
	reasonExhausted = "exhausted"
	reasonPermanent = "permanent"
	reasonOperator  = "operator" // by an operator's word
)

// failed decides about a record whose attempt failed.
func (h handling) failed(r *lane.Run, it *lane.Item, err error) lane.Verdict {
	cfg := h.cfg
	m := it.Payload.(*Message)
	if err == errWaits { // nothing has wrapped it
		if v, ok := h.follow(r, m); ok {
			return v
		}
	}
	keep, tr := retain(it)
	if tr.first.IsZero() {
		tr.first = time.Now()
	}
	if again := (errWriteAgain{}); errors.As(err, &again) {
		return h.giveUp(r, m, keep, tr, again.givenUp)
	}
	if said := (errWord{}); errors.As(err, &said) {
		return h.obey(r, m, keep, tr, said.Word)
	}
	if full := (errNoRoom{}); errors.As(err, &full) {
		return h.noRoom(m, keep, tr, full)
	}
	if errors.Is(err, errOver) {
		return lane.Verdict{Settled: true, Gone: true}
	}
	if errors.Is(err, errWaits) && h.cfg.Effects.on() {
		return h.waitsInStore(r, m, keep, tr)
	}
	if errors.Is(err, errWaits) {
		return h.arrive(r, m, keep, tr, nil)
	}
	if gap := (*errGap)(nil); errors.As(err, &gap) {
		return h.gapped(r, m, keep, tr, gap)
	}
	if tr.keyless != nil {
		// Run ends: its place among the others is not known.
		return lane.Verdict{Hold: true, Keep: keep}
	}
	class, after, problem := classify(&cfg.Retry, err)
	if problem != nil {
		h.rep.classifyProblem(m, problem)
	}
	var p *PanicError
	panicked := errors.As(err, &p)
	h.rep.attempt(m, err, class, panicked, tr.waits == 0)
	tried(parkedOf(r), m, err)
	attempts := int(it.Attempts)
	// While the breaker is not closed no attempt is spent, and nothing is decided.
	if spare, again := h.guard.failed(r, it, class); spare || class == ClassUnavailable {
		// It never uses attempts up; only the wait grows, so that it does not spin.
		tr.waits++
		tr.unspent++
		state := stateBackoff
		if class == ClassUnavailable {
			state = stateUnavailable
		}
		tr.is(state, err)
		v := lane.Verdict{Spare: true, Again: again, Keep: keep}
		v.Delay = h.jitter(m, attempts+tr.waits, cfg.Retry.doubled(tr.waits))
		h.rep.blocked(m, attempts, v.Delay, state)
		return v
	}
	tr.waits = 0
	if m.release == nil {
		attempts = r.Part.Spent(it) // the breaker may have opened, and closed, while its handler ran
	}
	attempts++
	if m.release != nil {
		return h.failedAgain(m, err, class, attempts)
	}
	if class != ClassPermanent && attempts < cfg.Retry.MaxAttempts {
		tr.is(stateBackoff, err)
		v := lane.Verdict{Delay: after, Keep: keep, Refund: true}
		if after == 0 {
			v.Delay = h.jitter(m, attempts, cfg.Retry.doubled(attempts))
		}
		h.rep.blocked(m, attempts, v.Delay, stateBackoff)
		return v
	}
	g := &givenUp{err: err, attempts: attempts, reason: reasonExhausted}
	if class == ClassPermanent {
		g.reason = reasonPermanent
	}
	return h.giveUp(r, m, keep, tr, g)
}

// giveUp does what the policy says with a record whose attempts are used up, or of
// whose error its handler says that it is permanent.
func (h handling) giveUp(r *lane.Run, m *Message, keep *lane.Item, tr *trouble, g *givenUp) lane.Verdict {
	v := lane.Verdict{Keep: keep}
	if v, ok := h.passes(r, m, tr, g, v); ok {
		return v
	}
	switch h.policyFor(m) {
	case PolicyPark:
		return h.arrive(r, m, keep, tr, g)
	case PolicyStop:
		h.halt(m, tr, g)
		v.Hold = true
	case PolicySkip:
		h.rep.skipped(m, g)
		if learn := h.seq.passes(r.Part, m); learn != nil {
			learn()
		}
		v.Settled = true
	case PolicyDeadLetter:
		v.Spare = tr.given == g // the write is tried again, not the handler
		tr.given = g
		tr.is(stateWriting, g.err)
		v.Await = lane.NewAwait(r, stateWriting)
		g.learn = h.seq.passes(r.Part, keep.Payload.(*Message))
		h.write(v.Await, keep.Payload.(*Message), m, g)
	default:
		v.Delay = h.blockFor(m, tr, g.reason, g.err, g.attempts)
		v.Refund = g.reason == reasonExhausted
		v.Spare = errors.Is(g.err, ErrProcessEnded) // its handler was not called
	}
	return v
}

// gapped decides about a record before which numbers are missing.
func (h handling) gapped(r *lane.Run, m *Message, keep *lane.Item, tr *trouble, gap *errGap) (v lane.Verdict) {
	g := &givenUp{err: gap.SequenceGapError, attempts: int(keep.Attempts), reason: reasonPermanent}
	switch {
	case h.cfg.Sequence.OnGap == GapStop:
		h.halt(m, tr, g)
		v = lane.Verdict{Keep: keep, Hold: true}
	case h.cfg.Scope == ScopeKey && h.orderKey(m.Record) == nil: // all of them would follow
		v = lane.Verdict{Keep: keep, Delay: h.blockFor(m, tr, statePermanent, g.err, g.attempts)}
	case h.cfg.Effects.on():
		g.decision = decisionPark
		tr.given = g
		v = lane.Verdict{Keep: keep}
	default:
		v = h.arrive(r, m, keep, tr, g)
	}
	v.Spare = true // its handler was not called
	return v
}

// blockFor keeps a record that was given up blocked until its next try.
func (h handling) blockFor(m *Message, tr *trouble, state string, err error, attempts int) time.Duration {
	if tr.told == "" || tr.told == stateFailing {
		tr.told = state
		h.rep.staysBlocked(m, state, err, attempts)
	}
	tr.is(state, err)
	d := h.jitter(m, attempts, h.cfg.Retry.MaxBackoff)
	h.rep.blocked(m, attempts, d, state)
	return d
}

// halt ends Run because of a record.
func (h handling) halt(m *Message, tr *trouble, g *givenUp) {
	tr.is(stateStopped, g.err)
	h.stop(&StopError{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Attempts: g.attempts, Err: g.err})
}

// write writes a record's dead letter; the answer settles the record, has it
// written again after a backoff, or leaves it to OnWriteFailure. m is the Message
// that the record stays with, failed the one that its handler was given.
func (h handling) write(a *lane.Await, m, failed *Message, g *givenUp) {
	cfg, tr := h.cfg, m.trouble
	source := place{m.Topic, m.Partition, m.Offset}
	h.letters.send(failed, g, func(at place, err error) {
		switch {
		case !a.Open():
			h.rep.lateLetter(source, err)
			return
		case err == nil:
			// Before the next record of its key can begin: who listens must not hear of
			// that one first.
			h.rep.deadLettered(failed, g, at)
			if h.passesLetter(a, g) {
				return
			}
			if g.learn != nil {
				g.learn()
			}
			tr.given = nil
			a.Done()
			return
		}
		ev := WriteFailedEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, DeadLetterTopic: at.topic, Err: err}
		tooLarge := errors.Is(err, errTooLarge)
		if !errors.Is(err, errCrowded) {
			g.writes++
		}
		ev.Writes = g.writes
		if !tooLarge && g.writes < cfg.Retry.MaxAttempts {
			ev.Next = h.jitter(m, g.attempts+g.writes, cfg.Retry.doubled(max(g.writes, 1)))
			tr.is(stateFailing, err)
			h.rep.writeFailed(failed, ev, tr.told == "")
			tr.told = stateFailing
			a.Retry(ev.Next)
			return
		}
		ev.GaveUp = true
		if cfg.OnWriteFailure == PolicyStop {
			h.rep.writeFailed(failed, ev, false)
			a.SetState(stateStopped)
			h.halt(failed, tr, &givenUp{attempts: g.attempts, err: fmt.Errorf("its dead letter cannot be written to %s: %w; its own error: %w", at.topic, err, g.err)})
			return
		}
		state := stateFailed
		if tooLarge {
			state = stateTooLarge
		}
		// Blocked: its handler is called again, and then perhaps there is no need of
		// a dead letter any more.
		tr.given = nil
		ev.Next = h.blockFor(failed, tr, state, err, g.attempts)
		h.rep.writeFailed(failed, ev, false)
		a.Retry(ev.Next)
	})
}

// doubled is the longest wait after so many failures in a row.
func (r *Retry) doubled(failures int) time.Duration {
	d := r.Backoff
	for i := 1; i < failures && d < r.MaxBackoff; i++ {
		d *= 2
	}
	return min(d, r.MaxBackoff)
}
