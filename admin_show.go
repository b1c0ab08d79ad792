package orderly

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A ParkedRecord is a record that is parked.
type ParkedRecord struct {
	Record   *kgo.Record // as it stands in its topic: topic, partition and offset are those
	Cause    string      // of its last failure; empty: it follows another record
	Attempts int         // until it was parked
	Releases int         // that failed at it since
	First    time.Time   // when it failed first; zero: it has not
	Last     time.Time
}

// ParkedRecords returns the parked records of a key (the ordering key; nil: none), the
// oldest first, limit at the most.
func (a *Admin) ParkedRecords(ctx context.Context, topic string, partition int32, key []byte, limit int) ([]ParkedRecord, error) {
	if a.cfg.Store != nil {
		if recs, err := a.storedRecords(ctx, topic, partition, key, limit); err != nil || len(recs) > 0 {
			return recs, err
		}
	}
	l, name, bounds, err := a.places(ctx, topic, false)
	if a.cfg.Store != nil && errors.Is(err, errNoParkingTopic) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, ok := bounds[partition]
	if !ok {
		return nil, nil
	}
	at, err := positions(ctx, l, partition, b, key, limit)
	if errors.Is(err, errStoreNeeded) && a.cfg.Store != nil {
		err = nil
	}
	if err != nil || len(at) == 0 {
		return nil, wrapped(topic, name, err)
	}
	var out []ParkedRecord
	from, to := at[0].Pos, at[0].Pos
	where := make(map[int64][]parking.Place) // a run holds many records
	for _, p := range at {
		from, to, where[p.Pos] = min(from, p.Pos), max(to, p.Pos), append(where[p.Pos], p)
	}
	err = eachEntry(ctx, l, partition, from, func(r parkinglog.Read) bool {
		for _, p := range where[r.Pos] {
			if e := r.Entry.Record(p.Offset); e != nil {
				out = append(out, parkedRecordOf(e, p))
			}
		}
		return r.Pos < to
	}, to+1)
	slices.SortFunc(out, func(a, b ParkedRecord) int { return cmp.Compare(a.Record.Offset, b.Record.Offset) })
	return out, wrapped(topic, name, err)
}

func wrapped(topic, name string, err error) error {
	if err == nil {
		return nil
	}
	return &ParkingTopicError{Source: topic, Topic: name, Err: err}
}

func positions(ctx context.Context, l *parkinglog.Log, partition int32, b parkinglog.Bound, key []byte, limit int) ([]parking.Place, error) {
	state, rules := parking.NewState(), parking.DefaultRules()
	err := eachEntry(ctx, l, partition, b.Start, func(r parkinglog.Read) bool {
		state.Apply(r.Pos, r.Entry, &rules)
		return r.Pos+1 < b.End
	}, b.End)
	if m := state.Owner(); err == nil && m != nil && m.Store != "" {
		err = errStoreNeeded
	}
	return state.Places(parking.ID(key), limit), err
}

func parkedRecordOf(e *parking.Entry, p parking.Place) ParkedRecord {
	body := e.Parked
	r := &kgo.Record{Topic: body.Topic, Partition: body.Partition, Offset: e.Offset, Timestamp: time.UnixMilli(body.Timestamp),
		Key: bytes.Clone(body.Record.Key), Value: bytes.Clone(body.Record.Value)}
	for _, h := range body.Record.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	return ParkedRecord{Record: r, Cause: body.Failure.Cause, Attempts: body.Failure.Attempts, Releases: p.Releases,
		First: moment(body.Failure.First), Last: moment(max(p.Last, body.Failure.Last))}
}

// moment is a time in milliseconds; zero stays zero.
func moment(ms int64) (t time.Time) {
	if ms > 0 {
		t = time.UnixMilli(ms)
	}
	return t
}

// A CommandRecord is a command and what became of it.
type CommandRecord struct {
	Topic     string
	Partition int32
	Verb      string // retry, skip, park, pause, resume, or reset-offsets
	Whole     bool   // about the partition, not a key
	Key       []byte
	Offset    int64
	Who       string // as declared
	When      time.Time
	Reason    string
	Answer
}

// Commands returns the commands of a topic that are still written down, the oldest
// first: those without a final answer, and others for a week at the least.
func (a *Admin) Commands(ctx context.Context, topic string) ([]CommandRecord, error) {
	l, name, bounds, err := a.places(ctx, topic, true)
	if a.cfg.Store != nil && errors.Is(err, errNoParkingTopic) {
		return nil, nil // nobody has given a command
	}
	if err != nil {
		return nil, err
	}
	var all []CommandRecord
	for partition, b := range bounds {
		of, err := commandsOf(ctx, l, topic, partition, b)
		if err != nil {
			return nil, wrapped(topic, name, err)
		}
		all = append(all, of...)
	}
	slices.SortStableFunc(all, func(a, b CommandRecord) int {
		return cmp.Or(a.When.Compare(b.When), cmp.Compare(a.Partition, b.Partition))
	})
	return all, nil
}

func commandsOf(ctx context.Context, l *parkinglog.Log, topic string, partition int32, b parkinglog.Bound) ([]CommandRecord, error) {
	var all []CommandRecord
	at := make(map[string]int)
	note := func(e *parking.Entry, c *parking.CommandBody) *CommandRecord {
		i, ok := at[c.ID]
		if !ok {
			i = len(all)
			at[c.ID] = i
			all = append(all, CommandRecord{Topic: topic, Partition: partition, Verb: string(c.Verb), Whole: c.Whole, Key: bytes.Clone(e.Key), Offset: e.Offset,
				Who: c.Who, When: time.UnixMilli(c.When), Reason: c.Reason, Answer: Answer{ID: c.ID, State: "requested"}})
		}
		return &all[i]
	}
	state, rules := parking.NewState(), parking.DefaultRules()
	err := eachEntry(ctx, l, partition, b.Start, func(r parkinglog.Read) bool {
		switch e := r.Entry; {
		case state.Apply(r.Pos, e, &rules) != parking.Counts:
		case e.Command != nil:
			note(e, e.Command)
		case e.Answer != nil:
			c := note(e, &e.Answer.Command)
			if c.State == string(parking.Done) || c.State == string(parking.Refused) {
				break // a copy
			}
			c.State, c.Result, c.At = string(e.Answer.State), e.Answer.Result, time.UnixMilli(e.Answer.At)
		}
		return r.Pos+1 < b.End
	}, b.End)
	return all, err
}
