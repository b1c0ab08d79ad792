//go:build synctests

package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
)

// An act is what a handler does with one record.
type act func(ctx context.Context, m *orderly.Message) error

type memberKey struct{}

// plain makes a handler of an act, which records what it does.
func (m *member) plain(do act) orderly.Handler {
	return func(ctx context.Context, msg *orderly.Message) (err error) {
		m.started(msg, 0)
		ended := false
		defer func() {
			if !ended { // a panic: it passes on
				m.ended(ctx, msg, false)
			}
		}()
		err = do(context.WithValue(ctx, memberKey{}, m), msg)
		ended = true
		m.ended(ctx, msg, err == nil)
		return err
	}
}

// batch makes a batch handler of an act: record by record, up to the first that
// fails.
func (m *member) batch(do act) orderly.BatchHandler {
	return func(ctx context.Context, msgs []*orderly.Message) (done int, err error) {
		id := m.batches.Add(1)
		for _, msg := range msgs {
			m.started(msg, id)
		}
		panicked := true
		defer func() {
			if panicked { // nobody can tell how far it came
				done = 0
			}
			for i, msg := range msgs {
				m.ended(ctx, msg, i < done)
			}
		}()
		for done < len(msgs) {
			if err = do(context.WithValue(ctx, memberKey{}, m), msgs[done]); err != nil {
				break
			}
			done++
		}
		panicked = false
		return done, err
	}
}

func (m *member) started(msg *orderly.Message, batch int64) {
	m.w.ledger.started(m, msg)
	if msg.Offset%64 == 0 && batch == 0 {
		m.lookForInline(msg)
	}
	m.w.h.add(history.Event{
		Kind: history.Start, Member: m.name, Topic: msg.Topic, Partition: msg.Partition, Offset: msg.Offset,
		Key: history.BytesKey(msg.Key), Token: msg.FencingToken, Attempt: msg.Attempt, Batch: batch,
	})
}

// lookForInline counts a handler that runs straight from its partition's stream: there
// is no unit, of its key or any other.
func (m *member) lookForInline(msg *orderly.Message) {
	for _, p := range m.c.State().Partitions {
		if p.Partition == msg.Partition && p.Running > 0 && p.Keys == 0 {
			m.w.ledger.count("inline")
		}
	}
}

// ended records a handler's end. After these causes the result is discarded: what
// the last commit says was fixed before the context ended.
func (m *member) ended(ctx context.Context, msg *orderly.Message, ok bool) {
	cause := context.Cause(ctx)
	discarded := slices.ContainsFunc([]error{orderly.ErrDrainDeadline, orderly.ErrPartitionLost, orderly.ErrAborted},
		func(e error) bool { return errors.Is(cause, e) })
	m.w.ledger.returned(m, msg, ctx.Err() != nil)
	m.w.h.add(history.Event{
		Kind: history.End, Member: m.name, Topic: msg.Topic, Partition: msg.Partition, Offset: msg.Offset,
		Token: msg.FencingToken, Attempt: msg.Attempt, OK: ok, Cancelled: discarded,
	})
}

// busy is work that ends with its context.
func busy(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deaf is work that does not: the member is marked while it lasts.
func deaf(ctx context.Context, msg *orderly.Message, d time.Duration) error {
	defer ctx.Value(memberKey{}).(*member).ignoring(msg)()
	time.Sleep(d)
	return nil
}

var errHandler = errors.New("the handler was made to fail")

// mixture is the behaviour of handlers in a seed: for each record and attempt the
// same in all members.
type mixture struct {
	seed     uint64
	typical  time.Duration // most handlers take up to this
	failing  float64       // share of records that fail some times
	panicing float64
	long     float64 // share of attempts that take up to longest
	deaf     float64 // of these: ignore their contexts
	longest  time.Duration
	mended   *atomic.Bool // none fails or takes long any more
}

func (x mixture) act(ctx context.Context, m *orderly.Message) error {
	rec := rand.New(rand.NewPCG(x.seed^uint64(m.Partition)<<32, uint64(m.Offset)))
	fails := 0
	if rec.Float64() < x.failing {
		fails = 1 + rec.IntN(3)
	}
	panics := rec.Float64() < x.panicing
	long, ignoring := rec.Float64() < x.long, rec.Float64() < x.deaf
	if x.mended.Load() {
		fails, long = 0, false
	}
	try := rand.New(rand.NewPCG(x.seed^uint64(m.Partition)<<32^uint64(m.Attempt)<<16, uint64(m.Offset)))
	var err error
	switch {
	case long && m.Attempt <= 2:
		d := time.Duration(try.Int64N(int64(x.longest))) + time.Millisecond
		if ignoring {
			err = deaf(ctx, m, d)
		} else {
			err = busy(ctx, d)
		}
	case try.IntN(4) == 0: // at once
	default:
		err = busy(ctx, time.Duration(try.Int64N(int64(x.typical)))+1)
	}
	if err != nil {
		return err
	}
	if m.Attempt <= fails {
		if panics {
			panic("the handler was made to panic")
		}
		return errHandler
	}
	return nil
}
