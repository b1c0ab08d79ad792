package storetest

import (
	"context"
	"slices"

	"github.com/orderly-go/orderly/store"
)

// Sequences implements store.Sequencer.
func (m *Memory) Sequences(_ context.Context, p store.Part, keys []store.SequenceKey) (out []store.Sequence, err error) {
	if err := m.up(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		if s, ok := m.part(p).seq[k]; ok {
			s.State = slices.Clone(s.State)
			out = append(out, s)
		}
	}
	return out, nil
}

// Prune implements store.Sequencer.
func (m *Memory) Prune(_ context.Context, p store.Part, keep int) error {
	if err := m.up(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.part(p)
	var offsets []int64
	for _, s := range r.seq {
		offsets = append(offsets, s.Offset)
	}
	slices.Sort(offsets)
	if over := len(offsets) - keep; over > 0 {
		for k, s := range r.seq {
			if s.Offset <= offsets[over-1] {
				delete(r.seq, k)
			}
		}
	}
	return nil
}

// SequenceKeys is of how many keys the numbers are kept, over all partitions.
func (m *Memory) SequenceKeys() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.parts {
		n += len(r.seq)
	}
	return n
}
