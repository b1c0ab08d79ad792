package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition reads one partition; a fetch is under way while the one before is
// looked at.
func (a *audit) partition(ctx context.Context, p int32, at, end int64, out chan<- read) error {
	type fetched struct {
		recs []*kgo.Record
		next int64
		gone *logread.GoneError
		err  error
	}
	ahead := make(chan fetched, 1)
	go func() {
		defer close(ahead)
		for at < end {
			var f fetched
			f.recs, f.next, f.gone, f.err = a.fetch(ctx, p, at, end)
			select {
			case ahead <- f:
			case <-ctx.Done():
				return
			}
			if f.err != nil {
				return
			}
			at = f.next
		}
	}()
	for f := range ahead {
		if f.err != nil {
			return f.err
		}
		r := a.look(p, f.recs, end)
		r.next, r.gone = min(f.next, end), f.gone
		select {
		case out <- r:
		case <-ctx.Done():
			for range ahead { // it ends by the same word
			}
			return nil
		}
	}
	return nil
}

// fetch reads from an offset on. What is not there any more is passed over.
func (a *audit) fetch(ctx context.Context, p int32, at, end int64) ([]*kgo.Record, int64, *logread.GoneError, error) {
	began := a.o.Now()
	for {
		c, err := a.src.Fetch(ctx, p, at, fetchBytes, true)
		if gone := (*logread.GoneError)(nil); errors.As(err, &gone) {
			if gone.Start <= at {
				return nil, at, nil, &logread.TopicError{Topic: a.o.Topic, Err: fmt.Errorf("partition %d ends at %d now, before %d: it was cut off; begin again", p, gone.Ends, at)}
			}
			return nil, min(gone.Start, end), gone, nil
		}
		if err != nil {
			return nil, at, nil, err
		}
		recs, next, err := c.Records(true)
		switch {
		case err != nil:
			return nil, at, nil, err
		case next > at:
			return recs, next, nil, nil
		case c.Stable() >= end:
			return nil, end, nil, nil // nothing is left of what was there
		case a.o.Now().Sub(began) > patience:
			return nil, at, nil, &logread.TopicError{Topic: a.o.Topic, Err: fmt.Errorf("partition %d gives nothing from offset %d on for %s, and ended at %d before", p, at, patience, end)}
		}
	}
}

// look makes observations of records.
func (a *audit) look(p int32, recs []*kgo.Record, end int64) read {
	r := read{partition: p, seen: make([]Observation, 0, len(recs))}
	own := a.o.Number.own()
	for _, rec := range recs {
		if rec.Offset >= end {
			break
		}
		if len(a.keys) > 0 && !a.keys[string(rec.Key)] {
			continue
		}
		r.seen = append(r.seen, Observation{Key: rec.Key, Partition: p, Offset: rec.Offset, Time: rec.Timestamp.UnixMilli(), PID: rec.ProducerID, PEpoch: rec.ProducerEpoch})
		if len(rec.Key) == 0 {
			if own {
				r.writers = append(r.writers, nil)
			}
			continue
		}
		o := &r.seen[len(r.seen)-1]
		o.id = idOf(rec.Key)
		writer := a.o.Number.read(o, rec.Value, func(name string) []byte { return header(rec, name) })
		if own {
			r.writers = append(r.writers, writer)
		}
	}
	return r
}

// header is the value of a header that is there once.
func header(r *kgo.Record, name string) (value []byte) {
	n := 0
	for _, h := range r.Headers {
		if h.Key == name {
			value = h.Value
			n++
		}
	}
	if n != 1 {
		return nil
	}
	return value
}
