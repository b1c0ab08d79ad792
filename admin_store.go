package orderly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/effects"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/orderly-go/orderly/store"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What consumers with Effects park is in their database: an Admin sees it when it has that.

var errStoreNeeded = errors.New("the group's consumers have Effects, and what they park is in their database: name that, too (--store, AdminConfig.Store)")

// standings are the positions and exceptions of a topic's partitions in the store.
func (a *Admin) standings(ctx context.Context, topic string) ([]store.Standing, error) {
	r, ok := a.cfg.Store.(store.Rewinder)
	if !ok {
		return nil, fmt.Errorf("orderly: the store %T cannot say what it has: it is no store.Rewinder", a.cfg.Store)
	}
	all, err := r.Standings(ctx, a.cfg.Group, topic)
	if err != nil {
		return nil, fmt.Errorf("orderly: what the store has of group %s and topic %s: %w", a.cfg.Group, topic, err)
	}
	source, err := parkinglog.Find(ctx, a.cl, topic)
	if err != nil {
		return nil, fmt.Errorf("orderly: topic %s: %w", topic, err)
	}
	return slices.DeleteFunc(all, func(s store.Standing) bool { return s.Part.TopicID != source.ID }), nil
}

// parkedRows are the parked exceptions of each parked key, the lowest offset first.
func parkedRows(s store.Standing) (keys [][]store.Exception) {
	type key struct {
		text  string
		keyed bool
	}
	at := make(map[key]int)
	for _, e := range s.State.Exceptions {
		k := key{string(e.Key), e.Key != nil}
		i, ok := at[k]
		if !ok {
			i = -1 // blocked, and not parked: its lowest is not
			if e.Parked() {
				i = len(keys)
				keys = append(keys, nil)
			}
			at[k] = i
		}
		if i >= 0 && e.Parked() {
			keys[i] = append(keys[i], e)
		}
	}
	return keys
}

// storedKeys returns the keys that the store keeps parked.
func (a *Admin) storedKeys(ctx context.Context, topic string) (keys []ParkedKey, err error) {
	all, err := a.standings(ctx, topic)
	if err != nil {
		return nil, err
	}
	rules := parking.DefaultRules()
	for _, s := range all {
		for _, rows := range parkedRows(s) {
			head := rows[0]
			f := head.Failure
			k := ParkedKey{Topic: topic, Partition: s.Part.Partition, Handler: s.Part.Handler, Key: head.Key, FirstOffset: head.Offset, Records: len(rows),
				Cause: f.Cause, Permanent: f.Permanent, Attempts: f.Attempts, Releases: f.Releases, Since: moment(f.First)}
			if due := rules.Due(parking.Failure(f)); due > 0 && due != parking.Waits {
				k.Next = time.UnixMilli(due)
			}
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// storedRecords returns the records of a key that the store keeps parked.
func (a *Admin) storedRecords(ctx context.Context, topic string, partition int32, key []byte, limit int) (out []ParkedRecord, err error) {
	all, err := a.standings(ctx, topic)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Part.Partition != partition {
			continue
		}
		for _, rows := range parkedRows(s) {
			if head := rows[0]; string(head.Key) != string(key) || (head.Key == nil) != (key == nil) {
				continue
			}
			for _, e := range rows[:min(limit, len(rows))] {
				r, err := a.storedRecord(ctx, s.Part, e)
				if errors.Is(err, store.ErrStale) {
					continue // it was released meanwhile
				}
				if err != nil {
					return nil, fmt.Errorf("orderly: the parked record at offset %d of topic %s partition %d: %w", e.Offset, topic, partition, err)
				}
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b ParkedRecord) int { return cmp.Compare(a.Record.Offset, b.Record.Offset) })
	return out[:min(limit, len(out))], nil
}

func (a *Admin) storedRecord(ctx context.Context, part store.Part, e store.Exception) (out ParkedRecord, err error) {
	raw, err := a.cfg.Store.Payload(ctx, part, e.Offset)
	if err != nil {
		return out, err
	}
	p, err := effects.DecodePayload(raw)
	if err != nil {
		return out, err
	}
	r := &kgo.Record{Topic: part.Topic, Partition: part.Partition, Offset: e.Offset, Timestamp: time.UnixMilli(p.Timestamp), Key: p.Key, Value: p.Value}
	for _, h := range p.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return ParkedRecord{Record: r, Cause: e.Failure.Cause, Attempts: e.Failure.Attempts, Releases: e.Failure.Releases,
		First: moment(e.Failure.First), Last: moment(e.Failure.Last)}, nil
}

// countStored counts what the store keeps parked of a partition.
func (p *partitionNow) countStored(s store.Standing) {
	p.ParkedKeys += len(parkedRows(s))
	for _, e := range s.State.Exceptions {
		if e.Parked() {
			p.ParkedRecords++
			p.stored = append(p.stored, e.Offset)
		}
	}
}
