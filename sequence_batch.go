package orderly

import (
	seqguard "github.com/orderly-go/orderly/internal/guard"
	"github.com/orderly-go/orderly/internal/lane"
)

// A dealt run is what of it is given to a batch handler: its duplicates are not, and
// nothing is behind a record that must not be handed over.
type dealt struct {
	given []*Message
	at    []int    // their places in the run
	seen  []judged // those that were looked at, by place
	after error    // of the record behind them
}

// deal looks at records of a lane that are handled together: at each as if those before
// it were done.
func (w *sequenceWatch) deal(r *lane.Run, ms []*Message) (d dealt) {
	s := sequencesOf(r)
	ahead := s.table.Ahead()
	d.seen = make([]judged, 0, len(ms))
	d.given, d.at = make([]*Message, 0, len(ms)), make([]int, 0, len(ms))
	for i, m := range ms {
		j, err := w.judge(s, m, ahead.Next)
		if err != nil {
			d.after = err
			return d
		}
		d.seen = append(d.seen, j)
		if !j.duplicate() {
			d.given, d.at = append(d.given, m), append(d.at, i)
		}
	}
	return d
}

// done is how many records of the run are done, when so many are of those that were
// given. A duplicate behind the last of them is done too: what it repeats is.
func (d *dealt) done(n int) int {
	switch {
	case n < 0:
		return n
	case n < len(d.at):
		return d.at[n]
	case n == len(d.at):
		return len(d.seen)
	}
	return len(d.seen) + n // more than there were: told as it is
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
	ahead *seqguard.Ahead
	seen  map[*lane.Item]judged
}

// jointly begins a transaction.
func (w *sequenceWatch) jointly(r *lane.Run) *jointly {
	if w == nil {
		return nil
	}
	return &jointly{w, r, sequencesOf(r).table.Ahead(), make(map[*lane.Item]judged)}
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
	j := x.seen[it]
	x.w.done(x.r, it.Payload.(*Message), j)
	return j.duplicate()
}
