package orderly

import (
	"bytes"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
)

// togetherMost is how many records of a key are handed on together.
const togetherMost = 4096

// follow hands records of a key that is parked on to be parked behind the others: all
// that wait, together. It reports false where more than that has to be found out: then
// the first goes alone.
func (h handling) follow(r *lane.Run, m *Message) (v lane.Verdict, ok bool) {
	p := parkedOf(r)
	key := h.parkKey(m)
	if p == nil || !plainFollower(m) {
		return v, false
	}
	upTo, ok := p.Joins(key)
	if !ok {
		return v, false
	}
	// What comes meanwhile goes with it. One that has been let through alone goes at once.
	if a := lane.NewAwaitRun(r, stateBehind, 1); !r.Admitted() && !r.Serial() && p.Gather(m.Offset, func() { a.Retry(0) }) {
		return lane.Verdict{Await: a, Spare: true}, true
	}
	items := r.Together(togetherMost)
	w := &followers{h: h, p: p, token: r.Token, ms: make([]*Message, 0, len(items))}
	run := parking.RunBody{Topic: m.Topic, Partition: m.Partition, Records: make([]parking.Follower, 0, len(items))}
	for _, it := range items {
		m := it.Payload.(*Message)
		if !plainFollower(m) || !bytes.Equal(h.parkKey(m), key) { // keys that have one hash
			break
		}
		w.ms = append(w.ms, m)
		run.Records = append(run.Records, parking.Follower{Offset: m.Offset, Timestamp: m.Timestamp.UnixMilli(), Record: parkedRecord(m.Record)})
		if m.Offset < upTo {
			w.before++
		}
	}
	w.await = lane.NewAwaitRun(r, stateBehind, len(w.ms))
	if !p.Follow(clone(key), run, w) {
		return v, false
	}
	return lane.Verdict{Await: w.await, Spare: true}, true
}

// plainFollower says that nothing is known of a record but that it waits.
func plainFollower(m *Message) bool {
	return m.trouble == nil && m.release == nil && m.item.Attempts == 0
}

// followers are records that wait together until they are parked behind others of their
// key. It is a parked.Waiter.
type followers struct {
	h      handling
	p      *parked.Partition
	await  *lane.Await
	token  int64
	ms     []*Message // those that are not settled
	before int        // so many of them were settled when they came
	writes int        // that failed
	over   bool       // Run ends because of it
}

// Settled: the next n are parked, as read back from the topic, or were settled before.
func (w *followers) Settled(n int) {
	if w.h.cfg.Events.Parked != nil && w.await.Open() { // told before a commit can pass them
		for i, m := range w.ms[:n] {
			m.FencingToken = w.token
			w.h.rep.parked(m, nil, i < w.before)
		}
	}
	w.ms, w.before, w.writes = w.ms[n:], max(0, w.before-n), 0
	w.await.DoneN(n)
}

// Live: nothing of their key is parked any more, or it has to be asked anew.
func (w *followers) Live() { w.await.Retry(0) }

// Failing: the topic does not take them. They wait until it does; under OnWriteFailure
// stop not for ever.
func (w *followers) Failing(err error, next time.Duration) {
	if w.over || !w.await.Open() {
		return
	}
	w.writes++
	m := w.ms[0]
	w.await.SetState(stateNotWritten)
	ev := WriteFailedEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, ParkingTopic: w.p.Topic(), Err: err, Writes: w.writes, Next: next}
	if w.h.cfg.OnWriteFailure != PolicyStop || w.writes < w.h.cfg.Retry.MaxAttempts {
		w.h.rep.parkingFailed(m, ev, w.writes == 1)
		return
	}
	ev.GaveUp, ev.Next, w.over = true, 0, true
	w.h.rep.parkingFailed(m, ev, false)
	w.await.SetState(stateStopped)
	w.h.halt(m, &trouble{}, &givenUp{err: fmt.Errorf("it cannot be parked in %s: %w", ev.ParkingTopic, ev.Err)})
}

// Blocked does not concern records that have not failed.
func (w *followers) Blocked(string, bool) { w.await.Retry(0) }
