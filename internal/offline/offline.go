// Package offline is the door through which orderlytest runs handlers without a
// broker: by the very code of package orderly that a Consumer runs them with,
// which is not exported. It imports neither, so that both can import it.
package offline

import (
	"time"

	"github.com/orderly-go/orderly/internal/lane"
)

// Config is what package orderly is given.
type Config struct {
	Consumer any // an orderly.ConsumerConfig; Brokers, Group and Topics do not matter
	Clock    lane.Clock
	// Jitter picks the wait before an attempt: from zero to bound.
	Jitter func(partition int32, offset int64, attempt int, bound time.Duration) time.Duration
	// Stop is called when the policy stop ends the consumer, with a StopError.
	Stop func(err error)
	// Letter writes a dead letter, a *kgo.Record, and sets its offset. A large one
	// is refused before it comes here.
	Letter func(record any) error
}

// Handling is what it gives back: the pool in which handlers run, and how
// records come into it.
type Handling struct {
	Pool      *lane.Pool
	Partition func(topic string, partition int32) lane.PartitionConfig
	Item      func(record any) *lane.Item // record is a *kgo.Record
	Blocked   func(lane.BlockedUnit) any  // an orderly.BlockedKey
}

// New makes a Handling; package orderly sets it. An error is a ConfigError.
var New func(Config) (*Handling, error)
