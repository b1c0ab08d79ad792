package orderly

import (
	"context"
	"errors"
	"log/slog"

	"github.com/orderly-go/orderly/internal/effects"
	seqguard "github.com/orderly-go/orderly/internal/guard"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/store"
)

// A store that is a store.Sequencer keeps what the guard has seen, with the position of
// the lane. What is in memory is a copy of it: a key that is not there is read before
// its record's turn comes. When the store turns out not to be as was thought, or the
// owner has another token, all copies go.

// sequenceBase is what is known of the keys of a run's records, before any of them. A
// nil one: no store remembers.
type sequenceBase struct {
	own   *owned
	looks uint64
	keys  map[store.SequenceKey]*baseKey
}

type baseKey struct {
	hash  uint64
	key   []byte
	state *seqguard.Key
}

// errReread: the store was asked anew since the base was read.
var errReread = errors.New("orderly: the sequence numbers have to be read again")

// rereads bounds how often in a row.
const rereads = 5

// numbered carries out a step of records whose numbers a store may keep. current is the
// transaction's, which is begun anew when the database chose it to lose.
func (h handling) numbered(r *lane.Run, own *owned, items []*lane.Item, current **jointly, do func(b *sequenceBase, with func(*store.Step)) error) error {
	var err error
	for range rereads {
		var b *sequenceBase
		if b, err = h.seq.base(r.Ctx, r, own, items); err != nil {
			return err
		}
		with := func(s *store.Step) {
			if *current = nil; b != nil {
				s.Sequences = func() []store.Sequence { return (*current).rows() }
			}
		}
		if err = do(b, with); !errors.Is(err, errReread) {
			return err
		}
	}
	return &effects.DownError{Err: err} // no record is at fault
}

// under forgets what was known under another token, or before the store was asked anew.
func (s *sequences) under(own *owned, looks uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own != own || s.looks != looks {
		s.table.Reset()
		s.own, s.looks = own, looks
	}
}

// base reads what is known of the keys of records.
func (w *sequenceWatch) base(ctx context.Context, r *lane.Run, own *owned, items []*lane.Item) (*sequenceBase, error) {
	if w == nil || !own.Remembers() {
		return nil, nil
	}
	s := sequencesOf(r)
	b := &sequenceBase{own, own.Looks(), make(map[store.SequenceKey]*baseKey, len(items))}
	s.under(own, b.looks)
	var ask []store.SequenceKey
	for _, it := range items {
		m := it.Payload.(*Message)
		if _, ok := w.number(m); !ok {
			continue
		}
		hash, key := w.key(m)
		id := store.SequenceKeyOf(key)
		if b.keys[id] != nil {
			continue
		}
		state, known := s.table.Known(hash, key)
		if !known {
			state = new(seqguard.Key)
			ask = append(ask, id)
		}
		b.keys[id] = &baseKey{hash, key, state}
	}
	if len(ask) == 0 {
		return b, nil
	}
	kept, err := own.Sequences(ctx, ask)
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		state, err := seqguard.Decode(k.State)
		if err != nil {
			m := items[0].Payload.(*Message)
			w.rep.log(slog.LevelWarn, "what the store keeps of a key's sequence numbers cannot be read; they are learned anew",
				"topic", m.Topic, "partition", m.Partition, "kept_at", k.Offset, "error", err)
			continue
		}
		b.keys[k.Key].state = &state
	}
	if o, ok := r.Part.Beside().(*ownership); ok {
		o.unseen(len(ask) - len(kept))
	}
	return b, nil
}

// number is a record's, when it has one that counts.
func (w *sequenceWatch) number(m *Message) (n seqguard.Number, ok bool) {
	if redriven(m.Record) {
		return n, false
	}
	n, ok, err := w.read(m.Record)
	return n, ok && err == nil
}

// rows are what the transaction's records make of their keys' numbers. Without effects
// there is no transaction, and no rows.
func (x *jointly) rows() (out []store.Sequence) {
	if x == nil {
		return nil
	}
	at := make(map[store.SequenceKey]int)
	for it, j := range x.seen {
		m := it.Payload.(*Message)
		if !j.numbered || j.duplicate() {
			continue
		}
		hash, key := x.w.key(m)
		id := store.SequenceKeyOf(key)
		i, ok := at[id]
		if !ok {
			i = len(out)
			at[id] = i
			out = append(out, store.Sequence{Key: id, State: x.ahead.State(hash, key).Encode()})
		}
		out[i].Offset = max(out[i].Offset, m.Offset)
	}
	return out
}

// passed is what a record that was given up makes of its key's numbers: in the store,
// and learned when it is there.
func (w *sequenceWatch) passed(ctx context.Context, r *lane.Run, own *owned, it *lane.Item) (with func(*store.Step), learn func(), err error) {
	m := it.Payload.(*Message)
	with, learn = func(*store.Step) {}, func() {}
	if w == nil {
		return with, learn, nil
	}
	b, err := w.base(ctx, r, own, []*lane.Item{it})
	if err != nil {
		return nil, nil, err
	}
	if b == nil {
		if l := w.passes(r.Part, m); l != nil {
			learn = l
		}
		return with, learn, nil
	}
	n, ok := w.number(m)
	if !ok {
		return with, learn, nil
	}
	hash, key := w.key(m)
	id := store.SequenceKeyOf(key)
	state := b.keys[id].state
	state.Pass(n)
	row := []store.Sequence{{Key: id, Offset: m.Offset, State: state.Encode()}}
	fits := func() bool { return own.Looks() == b.looks } // else it is not known to
	with = func(s *store.Step) {
		if fits() {
			s.Sequences = func() []store.Sequence { return row }
		}
	}
	return with, func() {
		s := sequencesOf(r)
		if fits() {
			s.table.Load(hash, key, *state)
		}
		s.forget(m.Offset)
	}, nil
}

// unseen counts keys of which the store had nothing: it is pruned after so many as are
// to be remembered, so that it never has more than twice as many.
func (o *ownership) unseen(n int) {
	if n == 0 || o.newKeys.Add(int64(n)) < int64(o.s.cfg.Sequence.Keys) {
		return
	}
	o.newKeys.Store(0)
	o.prune()
}

// prune leaves the store with as many keys' numbers as are to be remembered.
func (o *ownership) prune() {
	if !o.s.cfg.Sequence.on() || !o.pruning.CompareAndSwap(false, true) {
		return
	}
	own := o.owner.Load()
	o.s.wg.Go(func() {
		defer o.pruning.Store(false)
		ctx, cancel := context.WithTimeout(o.s.ctx, lowLimit)
		defer cancel()
		if err := own.Prune(ctx, o.s.cfg.Sequence.Keys); err != nil {
			o.s.rep.log(slog.LevelDebug, "the store's sequence numbers were not pruned; a later time tries again",
				"topic", o.ask.Topic, "partition", o.ask.Partition, "error", err)
		}
	})
}
