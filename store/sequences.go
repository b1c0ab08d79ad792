package store

import (
	"context"
	"crypto/sha256"
)

// A SequenceKey stands for a key whose records have numbers: a digest of it.
type SequenceKey [16]byte

// SequenceKeyOf is the digest of a key; nil is a key of its own.
func SequenceKeyOf(key []byte) (k SequenceKey) {
	kind := byte(1)
	if key == nil {
		kind = 0
	}
	sum := sha256.Sum256(append(append(make([]byte, 0, 1+len(key)), kind), key...))
	return SequenceKey(sum[:len(k)])
}

// A Sequence is what the sequence guard knows of a key, behind the record at Offset.
type Sequence struct {
	Key    SequenceKey
	Offset int64
	State  []byte // for the guard to read; less than a kilobyte
}

// A Sequencer is a Backend that keeps what the sequence guard has seen: with the
// position of the lane, in one transaction. So the next owner knows which numbers are
// done exactly as far as it knows which records are.
type Sequencer interface {
	Backend
	// Sequences reads those of the keys that are there. No step of a lane of theirs
	// runs meanwhile: if another owner makes one, the next step finds another
	// position than it expects.
	Sequences(ctx context.Context, p Part, keys []SequenceKey) ([]Sequence, error)
	// Prune removes all but so many, those with the highest offsets.
	Prune(ctx context.Context, p Part, keep int) error
}
