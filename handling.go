package orderly

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
)

// handling calls the user's handlers and decides what becomes of failures. It
// needs only a configuration, and a way to stop: orderlytest runs it without a
// broker.
type handling struct {
	cfg    *ConsumerConfig
	rep    reporter
	stop   func(*StopError)
	jitter func(m *Message, attempts int, bound time.Duration) time.Duration
	timed  *attempts
	order  *orderCheck
	guard  *guard
	seq    *sequenceWatch // nil: numbers are not looked at
	// letters writes dead letters, under PolicyDeadLetter.
	letters letters
}

func newHandling(cfg *ConsumerConfig, stop func(*StopError)) handling {
	rep := newReporter(cfg)
	return handling{cfg: cfg, rep: rep, stop: stop, jitter: jitter, timed: &attempts{}, order: &orderCheck{rep: rep}, guard: newGuard(cfg, rep), seq: newSequenceWatch(cfg, rep)}
}

// pool returns the pool that runs the handlers.
func (h handling) pool(clock lane.Clock) *lane.Pool {
	apply := h.plain
	batchMax := h.cfg.Batch.Max
	if h.cfg.Batch.Handler != nil {
		apply = h.batch
	}
	apply = h.order.around(apply)
	if h.cfg.Effects.on() {
		apply, batchMax = h.applying, h.cfg.Effects.MaxRecords // it watches the order itself: where records are handled
	}
	cfg := lane.Config{
		Concurrency: h.cfg.Concurrency, BatchMax: batchMax,
		Apply: apply, OnFailure: h.failed, Keep: keep, Clock: clock,
	}
	if h.guard != nil {
		cfg.Tick = h.guard.tick
	}
	if h.cfg.Events.Settled != nil {
		cfg.Tally = h.tally
	}
	pool := lane.NewPool(cfg)
	h.guard.start(pool, clock)
	return pool
}

// plain calls the handler for one record after the other.
func (h handling) plain(r *lane.Run) (done int, err error) {
	retried := 0
	var skipped []*lane.Item
	// Deferred: the handler may end its goroutine.
	defer func() { h.settledBut(r, done, retried, skipped) }()
	beside := parkedOf(r)
	for i, it := range r.Items {
		if i > 0 && (r.Halted() || r.Part.Token() != r.Token) {
			// Also when it was halted and goes on meanwhile: what starts now has
			// another token, and another context.
			return i, lane.ErrHalted
		}
		r.At = i + 1
		m := it.Payload.(*Message)
		m.Attempt = m.nextAttempt()
		m.FencingToken = r.Token
		err := h.waits(beside, m)
		if err == nil {
			err = h.ended(r, it)
		}
		var j judged
		if err == nil && h.seq != nil {
			j, err = h.seq.before(r, m)
		}
		if err == nil && !j.duplicate() {
			err = h.one(r.Ctx, m)
		}
		if err != nil {
			if cancelled(r.Ctx) {
				return i, lane.ErrHalted
			}
			return i, err
		}
		if h.seq != nil {
			h.seq.done(r, m, j)
		}
		it.Slot.Done()
		done = i + 1
		m.released()
		tried(beside, m, nil)
		if j.duplicate() {
			skipped = append(skipped, it)
		} else if it.Attempts > 0 {
			retried++
		}
	}
	return done, nil
}

// cancelled reports that the group ended the context: the attempt was cut short
// and is not the record's fault.
func cancelled(ctx context.Context) bool { return ctx.Err() != nil }

var errNullKey = Permanent(errors.New("the record has no ordering key, and NullKeys is NullKeysReject"))

// one is one attempt.
func (h handling) one(ctx context.Context, m *Message) (err error) {
	return h.attempt(ctx, m, nil)
}

// attempt is one attempt, with call in place of Handler when there is one.
func (h handling) attempt(ctx context.Context, m *Message, call func(ctx context.Context) error) (err error) {
	cfg := h.cfg
	if err := m.unready(); err != nil {
		return err
	}
	if cfg.NullKeys == NullKeysReject && h.orderKey(m.Record) == nil {
		return errNullKey
	}
	if cfg.AttemptTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cfg.AttemptTimeout, ErrAttemptTimeout)
		defer cancel()
		h.timed.begin(m)
		defer h.timed.end(m)
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if call != nil {
		return call(ctx)
	}
	return cfg.Handler(ctx, m)
}

// batch calls the handler for a run of a lane.
func (h handling) batch(r *lane.Run) (done int, err error) {
	ms := make([]*Message, len(r.Items))
	for i, it := range r.Items {
		m := it.Payload.(*Message)
		m.Attempt = m.nextAttempt()
		m.FencingToken = r.Token
		ms[i] = m
	}
	ready, waits := h.ready(r, ms)
	var seen []judged
	if h.seq != nil {
		var after error
		if seen, after = h.seq.deal(r, ready); after != nil {
			waits = after
		}
		ready = ready[:len(seen)]
	}
	switch {
	case len(ready) == 0:
		err = waits
	case h.seq != nil && seen[0].duplicate():
		done, err = len(ready), waits
	default:
		if err = h.ended(r, r.Items[0]); err == nil {
			done, err = h.many(r.Ctx, ready)
		}
		if err == nil && done == len(ready) && waits != nil {
			err = waits
		}
	}
	if h.seq != nil && done == len(ready) {
		err = waits // whatever it says of records that it was not given
	}
	if err != nil && cancelled(r.Ctx) {
		// Whatever it says of the rest, those it names as done are done.
		err = lane.ErrHalted
		done = max(done, 0)
	}
	if done > len(ms) || h.seq != nil && done > len(ready) {
		return len(ms) + 1, err
	}
	retried := 0
	var skipped []*lane.Item
	for i, it := range r.Items[:max(done, 0)] {
		if h.seq != nil {
			h.seq.done(r, ms[i], seen[i])
		}
		it.Slot.Done()
		ms[i].released()
		tried(parkedOf(r), ms[i], nil)
		if h.seq != nil && seen[i].duplicate() {
			skipped = append(skipped, it)
		} else if it.Attempts > 0 {
			retried++
		}
	}
	h.settledBut(r, max(done, 0), retried, skipped)
	return done, err
}

func (h handling) many(ctx context.Context, ms []*Message) (done int, err error) {
	cfg := h.cfg
	if err := ms[0].unready(); err != nil {
		return 0, err
	}
	for i, m := range ms {
		if m.unready() != nil {
			ms = ms[:i]
			break
		}
	}
	if cfg.NullKeys == NullKeysReject {
		for i, m := range ms {
			if h.orderKey(m.Record) != nil {
				continue
			}
			if i == 0 {
				return 0, errNullKey
			}
			// Those before it run; it then is the first of its own run.
			ms = ms[:i]
			done, err = h.many(ctx, ms)
			if err == nil && done == i {
				err = errNullKey
			}
			return done, err
		}
	}
	if cfg.AttemptTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cfg.AttemptTimeout, ErrAttemptTimeout)
		defer cancel()
		h.timed.begin(ms[0])
		defer h.timed.end(ms[0])
	}
	defer func() {
		if v := recover(); v != nil {
			done, err = -1, &PanicError{Value: v, Stack: debug.Stack()}
			if len(ms) == 1 {
				done = 0
			}
		}
	}()
	done, err = cfg.Batch.Handler(ctx, ms)
	if err == nil && done != len(ms) {
		err = fmt.Errorf("the batch handler was given %d records and returned done = %d without an error", len(ms), done)
		if done < 0 || done > len(ms) {
			done = -1
		}
	}
	return done, err
}

// settledBut is settled for a run of which some items were skipped.
func (h handling) settledBut(r *lane.Run, n, retried int, skipped []*lane.Item) {
	if len(skipped) > 0 {
		of := handled(r, n, skipped)
		r, n = of, len(of.Items)
	}
	h.settled(r, n, retried)
}

func (h handling) settled(r *lane.Run, n, retried int) {
	if n == 0 {
		return
	}
	h.guard.succeeded(r, n)
	if h.cfg.Events.Settled == nil || r.Part.Halted() != 0 && late(r) {
		return
	}
	t := r.Tally
	if t.Done == 0 {
		t.Of = r.Items[0].Payload
	}
	t.Done += n
	t.Retried += retried
}

// late says that the results of a run are discarded: its partition has left, or what is
// done of it was fixed at the drain deadline. The next owner has its records.
func late(r *lane.Run) bool {
	if r.Part.Closed() {
		return true
	}
	cause := context.Cause(r.Ctx)
	return errors.Is(cause, ErrDrainDeadline) || errors.Is(cause, ErrAborted)
}

// tally tells what a worker has settled.
func (h handling) tally(t lane.Tally) {
	m := t.Of.(*Message)
	h.cfg.Events.Settled(SettledEvent{Topic: m.Topic, Partition: m.Partition, Records: t.Done, Retried: t.Retried})
}

// jitter is a random time below the bound: "full jitter", so that keys that
// failed together do not come back together.
func jitter(_ *Message, _ int, bound time.Duration) time.Duration { return rand.N(bound) + 1 }
