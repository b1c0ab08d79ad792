package orderly

import (
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Message is one record at one attempt. It embeds the client's record: Key,
// Value, Topic, Partition, Offset, Timestamp and Headers are its fields.
//
// A Message belongs to the handler that got it and is never reused, so it may be
// kept. Its fields must not be changed.
type Message struct {
	*kgo.Record
	// Attempt counts the calls of the handler for this record: 1, 2, 3 ... It
	// survives restarts and handovers as far as it was recorded in a commit; calls
	// that spent no attempt, or whose attempt the breaker has given back, are not: after
	// a handover, and after a give-back, a number may come a second time.
	Attempt int
	// FencingToken is larger for each later ownership of the partition, across
	// processes and restarts. A sink that remembers the highest token it has
	// seen for a partition and refuses lower ones cannot be written to by an
	// owner that was replaced without noticing.
	FencingToken int64

	trouble *trouble // nil for a record that has not failed
	release *release // nil for a record that was not parked
	item    lane.Item
}
