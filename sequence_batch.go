package orderly

import (
	seqguard "github.com/orderly-go/orderly/internal/guard"
	"github.com/orderly-go/orderly/internal/lane"
)

// deal looks at records of a lane that are handled together: at each as if those before
// it were done. It returns those that are given to the handler, and why the one behind
// them is not. Duplicates are never given: those at the head are a run of their own, of
// which nothing is given, and others end the run.
func (w *sequenceWatch) deal(r *lane.Run, ms []*Message) (seen []judged, after error) {
	s := sequencesOf(r)
	ahead := s.table.Ahead()
	seen = make([]judged, 0, len(ms))
	for i, m := range ms {
		j, err := w.judge(s, m, ahead.Next)
		if err != nil {
			return seen, err
		}
		if i > 0 && j.duplicate() != seen[0].duplicate() {
			return seen, lane.ErrHalted
		}
		seen = append(seen, j)
	}
	return seen, nil
}

// handled is the run without its duplicates, as far as it is done.
func handled(r *lane.Run, done int, skipped []*lane.Item) *lane.Run {
	of := *r
	of.Items = make([]*lane.Item, 0, done)
	for _, it := range r.Items[:done] {
		if len(skipped) > 0 && skipped[0] == it {
			skipped = skipped[1:]
			continue
		}
		of.Items = append(of.Items, it)
	}
	return &of
}

// jointly are records that are handled in one transaction, and not done before its end.
// A nil one looks at none.
type jointly struct {
	w     *sequenceWatch
	r     *lane.Run
	base  *sequenceBase
	ahead *seqguard.Ahead
	seen  map[*lane.Item]judged
}

// jointly begins a transaction.
func (w *sequenceWatch) jointly(r *lane.Run, b *sequenceBase) (*jointly, error) {
	if w == nil {
		return nil, nil
	}
	x := &jointly{w, r, b, sequencesOf(r).table.Ahead(), make(map[*lane.Item]judged)}
	if b != nil {
		if b.own.Looks() != b.looks {
			return nil, errReread
		}
		for _, k := range b.keys {
			x.ahead.Know(k.hash, k.key, k.state)
		}
	}
	return x, nil
}

// judge looks at a record whose turn it is. skip: it is a duplicate.
func (x *jointly) judge(it *lane.Item) (skip bool, err error) {
	if x == nil {
		return false, nil
	}
	j, err := x.w.judge(sequencesOf(x.r), it.Payload.(*Message), x.ahead.Next)
	x.seen[it] = j
	return j.duplicate(), err
}

// done learns that the transaction is committed. skipped: the record is a duplicate.
func (x *jointly) done(it *lane.Item) (skipped bool) {
	if x == nil {
		return false
	}
	j, m := x.seen[it], it.Payload.(*Message)
	if x.base != nil && j.numbered && !j.duplicate() {
		s := sequencesOf(x.r)
		hash, key := x.w.key(m)
		s.table.Load(hash, key, *x.ahead.State(hash, key)) // what the store has
		s.forget(m.Offset)
		return false
	}
	x.w.done(x.r, m, j)
	return j.duplicate()
}
