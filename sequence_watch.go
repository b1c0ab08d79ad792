package orderly

import (
	"fmt"
	"sync"

	seqguard "github.com/orderly-go/orderly/internal/guard"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sequenceWatch looks at the number of each record that is about to be handed over. A
// nil one does nothing.
type sequenceWatch struct {
	cfg  *ConsumerConfig
	rep  reporter
	read readNumber
}

func newSequenceWatch(cfg *ConsumerConfig, rep reporter) *sequenceWatch {
	if !cfg.Sequence.on() {
		return nil
	}
	read := cfg.Sequence.reader()
	if cfg.Sequence.OnGap != GapIgnore {
		return &sequenceWatch{cfg, rep, read}
	}
	return &sequenceWatch{cfg, rep, func(r *kgo.Record) (seqguard.Number, bool, error) {
		n, ok, err := read(r)
		n.Sparse = true
		return n, ok, err
	}}
}

// sequences are what an owner has seen of a partition's numbers.
type sequences struct {
	table *seqguard.Table

	mu   sync.Mutex
	told map[int64]struct{} // offsets of records that are not done and were told of

	// With a store that remembers: whose rows table is a copy of.
	own   *owned
	looks uint64
}

// maxTold bounds told: what was forgotten may be told twice.
const maxTold = 65_536

// notes are those of a new ownership.
func (w *sequenceWatch) notes() any {
	if w == nil {
		return nil
	}
	return &sequences{table: seqguard.NewTable(w.cfg.Sequence.Keys)}
}

func (s *sequences) news(offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, old := s.told[offset]; old {
		return false
	}
	if s.told == nil || len(s.told) >= maxTold {
		s.told = make(map[int64]struct{})
	}
	s.told[offset] = struct{}{}
	return true
}

func (s *sequences) forget(offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, offset)
}

// A judged record is one whose number was looked at.
type judged struct {
	seqguard.Verdict
	n        seqguard.Number
	numbered bool
}

func (j *judged) duplicate() bool { return j.numbered && j.Finding == seqguard.Duplicate }

// errGap is the result of a record that is not handed to its handler, because numbers
// before its own are missing.
type errGap struct{ *SequenceGapError }

// verdictOf asks a table, or an Ahead, what a number means.
type verdictOf func(hash uint64, key []byte, n seqguard.Number) seqguard.Verdict

// judge looks at a record that is about to be handed over. An error is why it is not.
func (w *sequenceWatch) judge(s *sequences, m *Message, verdict verdictOf) (j judged, err error) {
	if m.unready() != nil || redriven(m.Record) {
		return j, nil
	}
	j.n, j.numbered, err = w.read(m.Record)
	if err != nil {
		return judged{}, Permanent(fmt.Errorf("the record's sequence number: %w", err))
	}
	if !j.numbered {
		return j, nil
	}
	hash, key := w.key(m)
	switch j.Verdict = verdict(hash, key, j.n); j.Finding {
	case seqguard.Next, seqguard.NewCount, seqguard.Duplicate: // a duplicate is told of when it is skipped
		return j, nil
	}
	if s.news(m.Offset) {
		w.rep.sequence(m, j)
	}
	if j.Finding == seqguard.Gap && w.cfg.Sequence.OnGap != GapDetect && m.release == nil {
		return j, &errGap{&SequenceGapError{Writer: j.n.Writer, Epoch: j.n.Epoch, Number: j.n.N, Last: j.Last, Missing: j.Missing}}
	}
	return j, nil
}

// key is the key whose numbers a record's is one of. Headers number the record's key:
// other keys of one ordering key have counts of their own.
func (w *sequenceWatch) key(m *Message) (hash uint64, key []byte) {
	key = m.Key
	if w.cfg.OrderBy.Key != nil && !w.cfg.Sequence.Headers {
		key = w.cfg.OrderBy.Key(m.Record)
	}
	switch {
	case key == nil:
		return lane.NullHash, nil
	case w.cfg.Scope == ScopeKey && w.cfg.OrderBy.Key == nil && m.release == nil:
		return m.item.Hash, key
	}
	return lane.Hash(key), key
}

func sequencesOf(r *lane.Run) *sequences { return r.Part.Notes().(*sequences) }

// before is judge for a record that is alone.
func (w *sequenceWatch) before(r *lane.Run, m *Message) (judged, error) {
	s := sequencesOf(r)
	return w.judge(s, m, s.table.Check)
}

// done learns that a record is done, before the next of its key begins.
func (w *sequenceWatch) done(r *lane.Run, m *Message, j judged) {
	if !j.numbered {
		return
	}
	if j.duplicate() {
		w.rep.sequence(m, j)
		return
	}
	s := sequencesOf(r)
	hash, key := w.key(m)
	s.table.Done(hash, key, j.n)
	switch j.Finding {
	case seqguard.Next, seqguard.NewCount:
	default:
		s.forget(m.Offset)
	}
}

// passes returns what learns that a record was given up and its key goes on; nil: there
// is nothing to learn.
func (w *sequenceWatch) passes(part *lane.Partition, m *Message) func() {
	if w == nil || redriven(m.Record) {
		return nil
	}
	n, ok, err := w.read(m.Record)
	if !ok || err != nil {
		return nil
	}
	s := part.Notes().(*sequences)
	return func() {
		hash, key := w.key(m)
		s.table.Pass(hash, key, n)
		s.forget(m.Offset)
	}
}

// state is how many keys of a partition are known.
func (s *sequences) state() SequenceState {
	known, forgotten := s.table.Len()
	return SequenceState{Keys: known, Forgotten: forgotten}
}
