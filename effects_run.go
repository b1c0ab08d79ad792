package orderly

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/effects"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/store"
)

// applying is the Apply of a handler with effects. The store's rows say what becomes
// of a record when it comes to its lane's head: it is applied, was applied, or its key
// has left the lane, and the record follows.
func (h handling) applying(r *lane.Run) (done int, err error) {
	o, ok := r.Part.Beside().(*ownership)
	if !ok {
		return 0, lane.ErrHalted // without a store nothing may run
	}
	own := o.owner.Load()
	if r.Side() {
		done, err = h.releasing(r, own)
	} else {
		done, err = h.lane(r, own)
	}
	return done, h.storeFailed(r, o, own, err)
}

// storeFailed sorts the errors of the store from those of handlers.
func (h handling) storeFailed(r *lane.Run, o *ownership, own *owned, err error) error {
	var fenced *effects.FencedError
	var down *effects.DownError
	var lost *effects.LostError
	switch {
	case err == nil, errors.Is(err, lane.ErrHalted):
		return err
	case errors.As(err, &lost):
		o.host.Lost(own.token, lost)
		return lane.ErrHalted
	case errors.As(err, &fenced):
		if o.owner.Load() == own {
			o.fenced(own, fenced)
		}
		return lane.ErrHalted
	case cancelled(r.Ctx):
		return lane.ErrHalted
	case errors.As(err, &down):
		return Unavailable(err)
	}
	return err
}

// recordOf is what the store has to know of a record.
func (h handling) recordOf(r *lane.Run, i int) effects.Record {
	m := r.Items[i].Payload.(*Message)
	key := h.storeKey(m)
	// A key that is paused leaves its lane, which goes on.
	p := parkedOf(r)
	paused := p != nil && !p.Calm() && h.cfg.Scope == ScopeKey && p.PausedBy(key) != ""
	return effects.Record{Offset: m.Offset, Key: key, Behind: paused || r.Behind(i), Payload: payloadOf(m), Size: int(size(m.Record)),
		Stays: h.cfg.Scope == ScopePartition}
}

// joint are the items of a run that share a transaction: what has failed before, or
// waits to be passed, runs alone.
func joint(items []*lane.Item) []*lane.Item {
	for i, it := range items {
		if it.Payload.(*Message).trouble != nil || it.Attempts > 0 {
			return items[:max(i, 1)]
		}
	}
	return items
}

// lane runs records of a lane in one transaction.
func (h handling) lane(r *lane.Run, own *owned) (done int, err error) {
	items := joint(r.Items)
	if m := items[0].Payload.(*Message); m.passing() != nil {
		return h.pass(r, 0, own)
	} else if m.trouble != nil && m.trouble.keyless != nil {
		return 0, m.trouble.keyless
	} else if h.cfg.Scope == ScopePartition {
		if err := h.held(parkedOf(r), m); err != nil {
			return 0, err
		}
	}
	recs := make([]effects.Record, len(items))
	for i := range items {
		recs[i] = h.recordOf(r, i)
	}
	alone, returned := len(items) == 1, false
	defer func() {
		if !returned && alone { // the handler has ended its goroutine
			_, _ = h.failedAlone(r, own, recs[0], nil)
		}
	}()
	var fresh, now []*lane.Item
	var seen *jointly
	defer func() { h.order.leave(r, items, now) }()
	var fates []effects.Fate
	err = h.numbered(r, own, items, &seen, func(base *sequenceBase, with func(*store.Step)) (err error) {
		fates, err = own.Run(r.Ctx, r.Lane, recs, func(ctx context.Context, tx any, at []int) (n int, err error) {
			fresh = fresh[:0]
			for _, i := range at {
				fresh = append(fresh, items[i])
			}
			if seen, err = h.seq.jointly(r, base); err != nil {
				return 0, err
			}
			return h.together(ctx, r, tx, fresh, seen)
		}, with)
		return err
	})
	returned = true
	switch {
	case err == nil:
	case errors.Is(err, store.ErrEnded):
		return 0, h.endedItself(items, err)
	case h.blameless(r, err):
		return 0, err
	case alone:
		return h.failedAlone(r, own, recs[0], err)
	default:
		return -1, nil // one by one it shows who it is
	}
	for i, f := range fates {
		switch f {
		case effects.Detached:
			r.Detach(i)
			continue
		case effects.Parked, effects.Kept:
			h.followed(r, items[i], f == effects.Kept)
			continue
		case effects.Fresh:
			if !seen.done(items[i]) {
				now = append(now, items[i])
			}
		}
		items[i].Slot.Done()
		tried(parkedOf(r), items[i].Payload.(*Message), nil)
	}
	h.appliedNow(r, now)
	if n := len(fates); n == 0 && own.Fate(r.Lane, recs[0]) == effects.Detached {
		return 0, errWaits // with the partition's scope it stays where it is
	}
	if len(fates) < len(r.Items) {
		err = lane.ErrHalted // what is left comes in a run of its own
	}
	return len(fates), err
}

// failedAlone detaches the key of a record that has failed, which was the only one of
// its run: with the partition's scope there is nothing else that could go on.
func (h handling) failedAlone(r *lane.Run, own *owned, rec effects.Record, err error) (int, error) {
	if h.cfg.Scope == ScopePartition {
		return 0, err
	}
	switch detached, detachErr := own.Detach(r.Ctx, r.Lane, rec); {
	case detachErr != nil:
		return 0, detachErr
	case detached:
		r.Detach(0)
		return 0, err
	}
	r.Items[0].Slot.Done() // it was applied, after all
	if len(r.Items) > 1 {
		return 1, lane.ErrHalted
	}
	return 1, nil
}

// blameless says that an error is nobody's fault of the records: the store is down, has
// another owner, or the context has ended.
func (h handling) blameless(r *lane.Run, err error) bool {
	var fenced *effects.FencedError
	var down *effects.DownError
	var lost *effects.LostError
	return errors.As(err, &fenced) || errors.As(err, &down) || errors.As(err, &lost) || cancelled(r.Ctx)
}

// together calls the handler for records that share a transaction, until it is old
// enough or nothing more may start. It returns how many it has handled.
func (h handling) together(ctx context.Context, r *lane.Run, tx any, items []*lane.Item, seen *jointly) (n int, err error) {
	begun := time.Now()
	h.order.enter(r, items)
	for i, it := range items {
		if i > 0 && (r.Halted() || r.Part.Token() != r.Token || time.Since(begun) >= h.cfg.Effects.MaxAge) {
			return i, nil
		}
		if err := h.effect(ctx, r, tx, it, seen); err != nil {
			return i, err
		}
	}
	return len(items), nil
}

// effect is one attempt; of a duplicate there is none.
func (h handling) effect(ctx context.Context, r *lane.Run, tx any, it *lane.Item, seen *jointly) error {
	m := it.Payload.(*Message)
	m.Attempt = m.nextAttempt()
	m.FencingToken = r.Token
	if err := h.ended(r, it); err != nil {
		return err
	}
	if skip, err := seen.judge(it); skip || err != nil {
		return err
	}
	return h.attempt(ctx, m, func(ctx context.Context) error { return h.cfg.Effects.Handler(ctx, tx, m) })
}

// releasing runs records of a key that has left its lane: each in a transaction of its
// own, in which its exception row goes.
func (h handling) releasing(r *lane.Run, own *owned) (done int, err error) {
	settled := 0
	for i, it := range r.Items {
		if i < settled {
			continue
		}
		if i > 0 && (r.Halted() || r.Part.Token() != r.Token) {
			return i, lane.ErrHalted
		}
		r.At = i + 1
		m := it.Payload.(*Message)
		if m.passing() != nil {
			if done, err := h.pass(r, i, own); done == i || err != nil {
				return done, err
			}
			continue
		}
		if err := m.unready(); err != nil {
			return i, err
		}
		if n, err := h.behind(r, i, own); n > 0 || err != nil {
			if settled = i + n; err != nil {
				return i, err
			}
			continue
		}
		one := r.Items[i : i+1]
		applied, err := h.release(r, one, own, h.recordOf(r, i))
		if errors.Is(err, store.ErrEnded) {
			return i, h.endedItself(one, err)
		}
		if err != nil {
			return i, err
		}
		it.Slot.Done()
		m.endRelease(applied)
		tried(parkedOf(r), m, nil)
		if applied {
			h.appliedNow(r, one)
		}
	}
	return len(r.Items), nil
}

func (h handling) release(r *lane.Run, one []*lane.Item, own *owned, rec effects.Record) (applied bool, err error) {
	var now []*lane.Item
	var seen *jointly
	defer func() { h.order.leave(r, one, now) }()
	err = h.numbered(r, own, one, &seen, func(base *sequenceBase, with func(*store.Step)) (err error) {
		applied, err = own.Release(r.Ctx, r.Lane, rec, func(ctx context.Context, tx any) (err error) {
			if seen, err = h.seq.jointly(r, base); err != nil {
				return err
			}
			_, err = h.together(ctx, r, tx, one, seen)
			return err
		}, with)
		return err
	})
	if applied = applied && err == nil && !seen.done(one[0]); applied {
		now = one
	}
	return applied, err
}

// appliedNow tells of records whose effects are committed.
func (h handling) appliedNow(r *lane.Run, items []*lane.Item) {
	if len(items) == 0 {
		return
	}
	of := *r
	of.Items = items
	retried := 0
	for _, it := range items {
		if it.Attempts > 0 {
			retried++
		}
	}
	h.settled(&of, len(items), retried)
}

// endedItself ends Run: a handler that commits by itself has effects without a
// position, and each further call would repeat them.
func (h handling) endedItself(items []*lane.Item, err error) error {
	m := items[0].Payload.(*Message)
	if n := len(items); n > 1 {
		err = fmt.Errorf("in the transaction of %d records, up to offset %d: %w", n, items[n-1].Offset, err)
	}
	if m.trouble == nil {
		m.trouble = &trouble{}
	}
	m.trouble.keyless = err
	h.stop(&StopError{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Attempts: m.Attempt, Err: err})
	return err
}
