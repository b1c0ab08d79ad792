package orderly

import (
	"errors"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errWaits is the result of a record that is not handed to its handler, because
// records of its key may be parked: it is asked what becomes of it.
var errWaits = errors.New("records of its key are parked")

// parkedOf is the parking side of the run's partition; nil: it has none.
func parkedOf(r *lane.Run) *parked.Partition {
	if o, ok := r.Part.Beside().(*ownership); ok {
		return o.park.Load()
	}
	p, _ := r.Part.Beside().(*parked.Partition)
	return p
}

// waits says that the record is not handed to its handler: it has to wait behind parked
// ones of its key or because that is paused, or an operator says what becomes of it.
func (h handling) waits(p *parked.Partition, m *Message) error {
	if p == nil || p.Calm() || m.release != nil {
		return nil
	}
	key := h.parkKey(m)
	switch w, ok := p.Concerns(key, m.Offset, m.trouble != nil || m.item.Attempts > 0); {
	case w != nil:
		return errWord{w}
	case ok:
		return errWaits
	}
	return nil
}

// ready returns the records before the first that has to wait, and why that one does.
func (h handling) ready(r *lane.Run, ms []*Message) ([]*Message, error) {
	p := parkedOf(r)
	if p == nil || p.Calm() {
		return ms, nil
	}
	for i, m := range ms {
		if err := h.waits(p, m); err != nil {
			return ms[:i], err
		}
	}
	return ms, nil
}

// parkKey is what is parked together: the ordering key, or the whole partition.
func (h handling) parkKey(m *Message) []byte {
	if h.cfg.Scope == ScopePartition {
		return nil
	}
	return h.orderKey(m.Record)
}

// policyFor is the policy for a record: under park those without an ordering key
// block, since all of them would follow.
func (h handling) policyFor(m *Message) Policy {
	if h.cfg.OnExhausted == PolicyPark && h.cfg.Scope == ScopeKey && h.orderKey(m.Record) == nil {
		return PolicyBlock
	}
	return h.cfg.OnExhausted
}

// arrive asks the owner of the parking topic what becomes of a record at the head of
// its key: one that was given up, or one that may have to follow parked ones.
func (h handling) arrive(r *lane.Run, m *Message, keep *lane.Item, tr *trouble, g *givenUp) lane.Verdict {
	return h.arriveFor(r, m, keep, tr, g, nil)
}

// arriveFor is arrive for a record that an operator may have skipped.
func (h handling) arriveFor(r *lane.Run, m *Message, keep *lane.Item, tr *trouble, g *givenUp, skip *parking.CommandBody) lane.Verdict {
	p := parkedOf(r)
	w := &parkWait{h: h, p: p, m: keep.Payload.(*Message), failed: m, g: g, skip: skip != nil}
	if w.skip {
		w.learn = h.seq.passes(r.Part, w.m)
	}
	v := lane.Verdict{Keep: keep, Spare: g == nil || g.reason == reasonOperator}
	it := parking.Item{Key: clone(h.parkKey(m)), Offset: m.Offset, Failed: g != nil, Skip: skip}
	it.Body = &parking.ParkedBody{Topic: m.Topic, Partition: m.Partition, Timestamp: m.Timestamp.UnixMilli(), Record: parkedRecord(w.m.Record)}
	state, cause := stateBehind, errWaits
	if g != nil {
		state, cause = stateParking, g.err
		it.Body.Failure = parking.Failure{Cause: brief(g.err), Permanent: g.reason != reasonExhausted, Attempts: g.attempts,
			First: tr.first.UnixMilli(), Last: time.Now().UnixMilli()}
	} else if by := h.pausedBy(p, it.Key); by != nil {
		state, cause = statePaused, by
	}
	tr.is(state, cause)
	if p == nil { // without a broker
		tr.is(stateBehind, cause)
		v.Hold = true
		return v
	}
	if w.await = lane.NewAwait(r, state); g != nil { // written at once
		w.await = lane.NewAwaitRun(r, state, 1)
	}
	v.Await = w.await
	w.before.Store(p.Knows(it.Key, m.Offset))
	switch ok := p.Arrive(it, w); {
	case ok:
	case g == nil:
		v.Await, v.Delay = nil, 0 // there is no topic any more: it goes to its handler
	default:
		v.Await = nil
		v.Delay = h.blockFor(m, tr, stateNoParking, g.err, g.attempts)
	}
	return v
}

func parkedRecord(r *kgo.Record) parking.Record {
	out := parking.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, parking.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// A release is a parked record that is with its handler.
type release struct {
	rep   reporter
	m     *Message
	ended func(f *parking.Failure)
	body  *parking.ParkedBody
}

// parkedMessage is a record that was parked, as it stood in its topic.
func parkedMessage(b *parking.ParkedBody, offset int64) *Message {
	r := &kgo.Record{Topic: b.Topic, Partition: b.Partition, Offset: offset, Key: b.Record.Key, Value: b.Record.Value, Timestamp: time.UnixMilli(b.Timestamp)}
	for _, x := range b.Record.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: x.Key, Value: x.Value})
	}
	m := &Message{Record: r}
	m.release = &release{m: m, body: b}
	return m
}

// start hands a parked record to its handler, beside the records of the partition that
// wait at the heads of their keys.
func (h handling) start(part *lane.Partition, rec parked.Record) bool {
	b := rec.Entry.Parked
	if b == nil {
		return true // only parked entries are released
	}
	m := parkedMessage(b, rec.Offset)
	m.Record.Topic, m.Record.Partition = rec.Topic, rec.Partition
	m.release.rep, m.release.ended = h.rep, rec.Ended
	r := m.Record
	ring := progress.NewRing(rec.Offset) // of its own: its offset is settled already
	slot, err := ring.Append(rec.Offset)
	if err != nil {
		return true
	}
	m.item = lane.Item{Payload: m, Slot: slot, Offset: rec.Offset, Size: size(r), Attempts: int32(b.Failure.Attempts + rec.Tries)}
	return part.Inject(&m.item, h.hashOf(rec.Key))
}

// hashOf is that of what is parked together.
func (h handling) hashOf(parkKey []byte) uint64 {
	switch {
	case h.cfg.Scope == ScopePartition:
		return 0
	case parkKey == nil:
		return lane.NullHash
	}
	return lane.Hash(parkKey)
}

// released tells that a parked record is done.
func (m *Message) released() {
	if r := m.release; r != nil {
		r.ended(nil)
		r.rep.released(m)
	}
}

// failedAgain ends the release of a key whose record failed again.
func (h handling) failedAgain(m *Message, err error, class Class, attempts int) lane.Verdict {
	r := m.release
	r.ended(&parking.Failure{Cause: brief(err), Permanent: class == ClassPermanent, Attempts: attempts,
		First: r.body.Failure.First, Last: time.Now().UnixMilli()})
	return lane.Verdict{Settled: true, Gone: true}
}
