package orderly

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
)

// parkWait is a record that waits for the owner's answer.
type parkWait struct {
	h      handling
	p      *parked.Partition
	skip   bool   // by an operator's word
	learn  func() // that it was skipped; nil: there is nothing to learn
	await  *lane.Await
	m      *Message    // that the record stays with
	failed *Message    // that its handler was given
	g      *givenUp    // nil: it was not handed to its handler
	before atomic.Bool // it was settled when it came
	writes int         // that failed; of the goroutine that answers
	over   bool        // Run ends because of it
}

// Settled: it is parked, as read back from the topic, or was settled before.
func (w *parkWait) Settled(int) {
	if !w.skip && w.await.Open() { // told before a commit can pass it
		w.h.rep.parked(w.failed, w.g, w.before.Load())
	}
	if w.learn != nil && w.await.Open() { // before the next of its key begins
		w.learn()
	}
	w.await.Done()
}

// Live: nothing of its key is parked.
func (w *parkWait) Live() { w.await.Retry(0) }

// Failing: the topic does not take it. Its key waits until it does; under OnWriteFailure
// stop not for ever.
func (w *parkWait) Failing(err error, next time.Duration) {
	if w.over || !w.await.Open() {
		return
	}
	w.writes++
	w.m.trouble.is(stateNotWritten, err)
	ev := w.event(err)
	if ev.Next = next; w.h.cfg.OnWriteFailure == PolicyStop && w.writes >= w.h.cfg.Retry.MaxAttempts {
		w.stop(ev)
		return
	}
	w.h.rep.parkingFailed(w.m, ev, w.writes == 1)
}

// Blocked: a cap is reached, or it is too large. It stays at the head of its key.
func (w *parkWait) Blocked(reason string, tooLarge bool) {
	if w.g == nil { // it has not failed
		w.await.Retry(0)
		return
	}
	w.p.Refuse(w.m.Offset, "it cannot be parked: "+reason)
	err := errors.Join(errors.New(reason), w.g.err)
	if tooLarge && w.await.Open() {
		w.writes++
		ev := w.event(errors.New(reason))
		if w.h.cfg.OnWriteFailure == PolicyStop && w.g.reason != reasonOperator {
			w.stop(ev)
			return
		}
		ev.GaveUp = true
		ev.Next = w.h.blockFor(w.failed, w.m.trouble, stateNotParked, err, w.g.attempts)
		w.h.rep.parkingFailed(w.m, ev, false)
		w.await.Retry(ev.Next)
		return
	}
	w.await.Retry(w.h.blockFor(w.failed, w.m.trouble, stateNotParked, err, w.g.attempts))
}

func (w *parkWait) event(err error) WriteFailedEvent {
	m := w.m
	return WriteFailedEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, ParkingTopic: w.p.Topic(), Err: err, Writes: w.writes}
}

// stop ends Run under OnWriteFailure stop.
func (w *parkWait) stop(ev WriteFailedEvent) {
	ev.GaveUp, ev.Next, w.over = true, 0, true
	w.h.rep.parkingFailed(w.m, ev, false)
	w.await.SetState(stateStopped)
	g := &givenUp{err: fmt.Errorf("it cannot be parked in %s: %w", ev.ParkingTopic, ev.Err)}
	if w.g != nil {
		g.attempts, g.err = w.g.attempts, fmt.Errorf("%w; its own error: %w", g.err, w.g.err)
	}
	w.h.halt(w.failed, w.m.trouble, g)
}
