package orderly

import (
	"errors"
	"sync/atomic"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
)

// parkWait is a record that waits for the owner's answer.
type parkWait struct {
	h      handling
	p      *parked.Partition
	skip   bool // by an operator's word
	await  *lane.Await
	m      *Message    // that the record stays with
	failed *Message    // that its handler was given
	g      *givenUp    // nil: it was not handed to its handler
	before atomic.Bool // it was settled when it came
}

// Settled: it is parked, as read back from the topic, or was settled before.
func (w *parkWait) Settled() {
	if !w.skip && w.await.Open() { // told before a commit can pass it
		w.h.rep.parked(w.failed, w.g, w.before.Load())
	}
	w.await.Done()
}

// Live: nothing of its key is parked.
func (w *parkWait) Live() { w.await.Retry(0) }

// Failing: the topic does not take it. Its key waits until it does.
func (w *parkWait) Failing(err error) { w.m.trouble.is(stateNotWritten, err) }

// Blocked: a cap is reached, or it is too large. It stays at the head of its key.
func (w *parkWait) Blocked(reason string) {
	if w.g == nil { // it has not failed
		w.await.Retry(0)
		return
	}
	w.p.Refuse(w.m.Offset, "it cannot be parked: "+reason)
	err := errors.Join(errors.New(reason), w.g.err)
	w.await.Retry(w.h.blockFor(w.failed, w.m.trouble, stateNotParked, err, w.g.attempts))
}
