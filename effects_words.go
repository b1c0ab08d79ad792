package orderly

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/effects"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
)

// Commands of operators, where a store keeps what is parked: they come through the parking
// topic, which carries nothing else then, and what they do is done in the store.

// auditOf is what the store notes of a command.
func auditOf(c *parking.CommandBody) *store.Audit {
	return &store.Audit{Decision: string(c.Verb), By: c.Who, Why: c.Reason + " (command " + c.ID + ")"}
}

// obeyInStore does with a blocked record what an operator wants: it comes to a worker once
// more, which does it.
func (h handling) obeyInStore(m *Message, keep *lane.Item, tr *trouble, c *parking.CommandBody, err error) lane.Verdict {
	tr.given = &givenUp{err: err, attempts: int(m.item.Attempts), reason: reasonOperator, decision: string(c.Verb), audit: auditOf(c), word: c}
	if c.Verb == parking.Park {
		tr.given.decision = decisionPark
	}
	return lane.Verdict{Keep: keep, Spare: true}
}

// obeyed tells that a command about a blocked record is done.
func (h handling) obeyed(p *parked.Partition, m *Message, g *givenUp) {
	if g.word == nil || p == nil {
		return
	}
	if g.decision == decisionPark {
		p.Did(m.Offset, "its key is parked")
		return
	}
	h.rep.skippedByOperator(parked.Skip{Topic: m.Topic, Partition: m.Partition, Token: m.FencingToken, Key: h.storeKey(m), Offset: m.Offset, Command: g.word})
	p.Did(m.Offset, "skipped")
}

// held says why a record of a key that has left its lane is not handed to its handler now.
func (h handling) held(p *parked.Partition, m *Message) error {
	if p == nil || p.Calm() || m.release != nil {
		return nil
	}
	key := h.parkKey(m)
	if w := p.Word(key, m.Offset, m.trouble != nil || m.item.Attempts > 0); w != nil {
		return errWord{w}
	}
	if p.PausedBy(key) != "" {
		return errWaits
	}
	return nil
}

// waitsForResume lets a record wait whose key is paused.
func (h handling) waitsForResume(r *lane.Run, p *parked.Partition, m *Message, keep *lane.Item, tr *trouble, by error) lane.Verdict {
	tr.is(statePaused, by)
	v := lane.Verdict{Keep: keep, Spare: true, Await: lane.NewAwait(r, statePaused)}
	if !p.Arrive(parking.Item{Key: clone(h.parkKey(m)), Offset: m.Offset}, resumeWait{v.Await}) {
		v.Await = nil // there is no topic any more
	}
	return v
}

// resumeWait is a record whose key is paused. What the topic says of it otherwise does not
// matter: the store's rows do.
type resumeWait struct{ await *lane.Await }

func (w resumeWait) Settled(int)                  { w.await.Retry(0) }
func (w resumeWait) Live()                        { w.await.Retry(0) }
func (w resumeWait) Blocked(string, bool)         { w.await.Retry(0) }
func (w resumeWait) Failing(error, time.Duration) {}

// word takes a command about a record whose key is parked in the store.
func (s *effectsStore) word(part *lane.Partition, key []byte, offset int64, c *parking.CommandBody, answer func(parking.AnswerState, string)) bool {
	o, ok := part.Beside().(*ownership)
	if !ok {
		return false
	}
	own := o.owner.Load()
	if own == nil || !own.IsParked(key) {
		return false
	}
	s.wg.Go(func() {
		switch c.Verb {
		case parking.Park:
			answer(parking.Done, "its key is parked")
		case parking.Skip:
			o.skip(own, part, key, offset, c, answer)
		default:
			o.retry(own, part, key, answer)
		}
	})
	return true
}

// turn waits until a release of the key is this caller's to do. It reports false when
// nothing of the key is parked, or the ownership is over.
func (o *ownership) turn(own *owned, key []byte) bool {
	for own.ctx.Err() == nil {
		ended := own.ended(key)
		parked, began := own.Free(key)
		switch {
		case began && o.pausedBy(key) == "":
			return true
		case began:
			own.Stop(key, time.Now().Add(time.Second).UnixMilli())
			if !own.sleep(100 * time.Millisecond) {
				return false
			}
			continue
		case !parked:
			return false
		}
		select {
		case <-ended:
		case <-own.ctx.Done():
		}
	}
	return false
}

// retry releases a key by word.
func (o *ownership) retry(own *owned, part *lane.Partition, key []byte, answer func(parking.AnswerState, string)) {
	if !o.turn(own, key) {
		o.answerIf(own, answer, "released") // on its schedule, meanwhile
		return
	}
	switch f, through := o.release(own, part, key); {
	case f != nil:
		answer(parking.Done, "failed again: "+f.Cause)
	case through:
		answer(parking.Done, "released")
	default:
		answer("", "")
	}
}

// answerIf answers a command, unless the ownership is over.
func (o *ownership) answerIf(own *owned, answer func(parking.AnswerState, string), result string) {
	if own.ctx.Err() != nil {
		answer("", "")
		return
	}
	answer(parking.Done, result)
}

// skip lets the oldest parked record of a key count as done.
func (o *ownership) skip(own *owned, part *lane.Partition, key []byte, offset int64, c *parking.CommandBody, answer func(parking.AnswerState, string)) {
	if !o.turn(own, key) {
		answer("", "") // it is not parked any more: it may be blocked
		return
	}
	defer own.woken(key)
	e, ok := own.Take(key, 0)
	switch {
	case !ok:
		answer("", "")
		return
	case e.Offset > offset:
		own.Stop(key, 0)
		answer(parking.Done, "it was settled before")
		return
	case e.Offset < offset:
		own.Stop(key, time.Now().UnixMilli())
		answer(parking.Refused, fmt.Sprintf("the record waits behind the parked ones of its key and cannot be skipped yet: the oldest is at %d", e.Offset))
		return
	}
	with, learn, err := o.passedSkipped(own, part, e)
	if err == nil {
		err = own.Skip(own.ctx, e.Lane, effects.Record{Offset: offset, Key: key}, *auditOf(c), with)
	}
	if err != nil {
		o.doubtful(own, err)
		own.Stop(key, time.Now().Add(time.Second).UnixMilli())
		if own.sleep(100 * time.Millisecond) {
			answer("", "")
		}
		return
	}
	learn()
	own.Back(key, offset, nil)
	own.Stop(key, 0)
	o.s.rep.skippedByOperator(parked.Skip{Topic: o.ask.Topic, Partition: o.ask.Partition, Token: own.token, Key: key, Offset: offset, Command: c})
	answer(parking.Done, "skipped")
}

// passedSkipped is what a parked record that is skipped makes of its key's numbers.
func (o *ownership) passedSkipped(own *owned, part *lane.Partition, e store.Exception) (with func(*store.Step), learn func(), err error) {
	with, learn = func(*store.Step) {}, func() {}
	if o.s.seq == nil {
		return with, learn, nil
	}
	raw, err := own.Payload(own.ctx, e.Offset)
	if errors.Is(err, store.ErrStale) {
		return with, learn, nil // Skip finds out
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := effects.DecodePayload(raw)
	if err != nil {
		return with, learn, nil // it is skipped all the same
	}
	body := &parking.ParkedBody{Record: p.Record, Topic: o.ask.Topic, Partition: o.ask.Partition, Timestamp: p.Timestamp}
	return o.s.seq.passed(own.ctx, &lane.Run{Part: part}, own, &lane.Item{Payload: parkedMessage(body, e.Offset)})
}

// pausedBy says who has paused a key, and why; empty: it is not paused.
func (o *ownership) pausedBy(key []byte) string {
	if p := o.park.Load(); p != nil {
		return p.PausedBy(key)
	}
	return ""
}

// elsewhere is what takes commands about what is parked; nil: there is no store.
func (s *effectsStore) elsewhere() parked.Elsewhere {
	if s == nil {
		return nil
	}
	return s.word
}
