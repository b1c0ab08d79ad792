package orderly

import (
	"fmt"
	"runtime/debug"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition says how the lanes run a partition.
func (h handling) partition(topic string, partition int32) lane.PartitionConfig {
	pc := lane.PartitionConfig{ID: fmt.Sprintf("%s/%d", topic, partition), Whole: h.cfg.Scope == ScopePartition}
	pc.Tag = lane.Hash([]byte(pc.ID))
	pc.Notes = h.seq.notes()
	if h.cfg.Batch.Handler != nil {
		pc.BatchMax, pc.BatchWait = h.cfg.Batch.Max, h.cfg.Batch.Wait
		if h.cfg.Scope == ScopeKey {
			pc.Lanes, pc.Detach = h.cfg.Lanes, true
		}
	}
	if h.cfg.Effects.on() {
		pc.BatchMax = h.cfg.Effects.MaxRecords
		if h.cfg.Scope == ScopeKey {
			pc.Lanes, pc.Leave = h.cfg.Lanes, true
		}
	}
	return pc
}

// slab is how many Messages are allocated at once: enough to cost nothing per
// record, few enough that a record that stays long does not hold many.
const slab = 2048

// items makes the lane's items of records.
func (h handling) items(recs []*kgo.Record, out []*lane.Item) []*lane.Item {
	var free []Message
	for i, r := range recs {
		if len(free) == 0 {
			free = make([]Message, min(len(recs)-i, slab))
		}
		m := &free[0]
		free = free[1:]
		m.Record = r
		// Field by field: a whole Item would be built aside and copied.
		it := &m.item
		it.Payload, it.Hash, it.Offset, it.Size = m, h.hash(m), r.Offset, size(r)
		out = append(out, it)
	}
	return out
}

func (h handling) hash(m *Message) uint64 {
	if h.cfg.Scope == ScopePartition {
		return 0
	}
	key, err := h.keyOf(m.Record)
	if err != nil {
		// Its place among the others is not known: nothing after it may go on.
		m.trouble = &trouble{keyless: err}
		h.stop(&StopError{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Err: err})
	}
	if key == nil {
		return lane.NullHash
	}
	return lane.Hash(key)
}

// keyOf is orderKey for a record that was not seen yet.
func (h handling) keyOf(r *kgo.Record) (key []byte, err error) {
	if h.cfg.OrderBy.Key == nil {
		return r.Key, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("OrderBy %q: its function panicked: %w", h.cfg.OrderBy.Name, &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	return h.cfg.OrderBy.Key(r), nil
}

func (h handling) orderKey(r *kgo.Record) []byte {
	if h.cfg.OrderBy.Key != nil {
		return h.cfg.OrderBy.Key(r)
	}
	return r.Key
}

// size is what a record counts against Buffer.Bytes: its data and our own.
func size(r *kgo.Record) int32 {
	const own = 256
	n := len(r.Key) + len(r.Value) + own
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 48
	}
	return int32(min(n, 1<<31-1))
}

// keep copies a record that may stay for long: the client's record is a piece of
// a whole fetch, which would stay with it.
func keep(it *lane.Item) *lane.Item {
	old := it.Payload.(*Message)
	r := *old.Record
	r.Key = clone(r.Key)
	r.Value = clone(r.Value)
	if r.Headers != nil {
		hs := make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			hs[i] = kgo.RecordHeader{Key: h.Key, Value: clone(h.Value)}
		}
		r.Headers = hs
	}
	m := &Message{Record: &r, trouble: old.trouble, release: old.release}
	m.item = lane.Item{Payload: m, Hash: it.Hash, Slot: it.Slot, Offset: it.Offset, Attempts: it.Attempts, Size: it.Size}
	return &m.item
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}
