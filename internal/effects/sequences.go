package effects

import (
	"context"

	"github.com/orderly-go/orderly/store"
)

// Looks is how often the store was asked anew, because it was not as was thought: what
// else was read from it before may be old too.
func (o *Owner) Looks() uint64 { return o.looks.Load() }

// Remembers says that the store keeps what the sequence guard knows.
func (o *Owner) Remembers() bool {
	_, ok := o.b.(store.Sequencer)
	return ok
}

// Sequences reads what is kept of keys: see store.Sequencer.
func (o *Owner) Sequences(ctx context.Context, keys []store.SequenceKey) ([]store.Sequence, error) {
	all, err := o.b.(store.Sequencer).Sequences(ctx, o.part, keys)
	if err != nil {
		return nil, &DownError{err} // no record is at fault
	}
	return all, nil
}

// Prune leaves what is kept of so many keys.
func (o *Owner) Prune(ctx context.Context, keep int) error {
	if b, ok := o.b.(store.Sequencer); ok {
		return b.Prune(ctx, o.part, keep)
	}
	return nil
}
