package orderly

import (
	"log/slog"
	"sync/atomic"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/selfcheck"
)

// orderCheck watches the handler's own boundary for violations of the order.
type orderCheck struct {
	check selfcheck.Check
	rep   reporter
	seen  atomic.Uint64
}

// around watches the runs of apply.
func (k *orderCheck) around(apply lane.Apply) lane.Apply {
	return func(r *lane.Run) (done int, err error) {
		if r.Lane < 0 && !selfcheck.Watches(r.Items[0].Hash) {
			return apply(r) // a run of one key: nearly all of a plain handler's
		}
		eachGroup(r, r.Items, func(group []*lane.Item) { k.begin(r, group[0]) })
		returned := false
		defer func() {
			if !returned { // the handler ended its goroutine
				done = r.At - 1
			}
			eachGroup(r, r.Items[:max(min(done, len(r.Items)), 0)], func(group []*lane.Item) {
				last := group[len(group)-1]
				k.check.Done(sequence(last), r, last.Offset)
			})
			eachGroup(r, r.Items, func(group []*lane.Item) { k.check.End(sequence(group[0]), r) })
		}()
		done, err = apply(r)
		returned = true
		return done, err
	}
}

// enter and leave are around for records that are handled in one transaction.
func (k *orderCheck) enter(r *lane.Run, items []*lane.Item) {
	eachGroup(r, items, func(group []*lane.Item) { k.begin(r, group[0]) })
}

func (k *orderCheck) leave(r *lane.Run, items, done []*lane.Item) {
	eachGroup(r, done, func(group []*lane.Item) {
		last := group[len(group)-1]
		k.check.Done(sequence(last), r, last.Offset)
	})
	eachGroup(r, items, func(group []*lane.Item) { k.check.End(sequence(group[0]), r) })
}

// eachGroup calls f with the items that are watched, those that follow each other
// in one sequence together.
func eachGroup(r *lane.Run, items []*lane.Item, f func([]*lane.Item)) {
	for len(items) > 0 {
		n := 1
		if r.Lane < 0 {
			n = len(items) // a run of one key
		}
		for n < len(items) && items[n].Hash == items[0].Hash {
			n++
		}
		if selfcheck.Watches(items[0].Hash) {
			f(items[:n])
		}
		items = items[n:]
	}
}

func (k *orderCheck) begin(r *lane.Run, it *lane.Item) {
	v := k.check.Begin(sequence(it), r, r.Token, it.Offset)
	if v == nil {
		return
	}
	k.seen.Add(1)
	m := it.Payload.(*Message)
	k.rep.record(slog.LevelError, "ORDER VIOLATED: this is a fault of orderly; please report it", m, "token", r.Token, "kind", v.Kind, "other_offset", v.Other)
	if f := k.rep.cfg.Events.OrderViolation; f != nil {
		f(OrderViolationEvent{Topic: m.Topic, Partition: m.Partition, Key: m.Key, Offset: v.Offset, Other: v.Other, Kind: v.Kind})
	}
}

func sequence(it *lane.Item) selfcheck.Sequence {
	m := it.Payload.(*Message)
	return selfcheck.Sequence{Topic: m.Topic, Partition: m.Partition, Hash: it.Hash}
}
