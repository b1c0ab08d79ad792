package orderly

import "github.com/orderly-go/orderly/internal/lane"

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
