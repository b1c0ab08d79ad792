package orderly

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A ConfigError holds all problems of a configuration at once.
type ConfigError struct{ Problems []string }

// Error lists the problems, one a line when there are several.
func (e *ConfigError) Error() string {
	if len(e.Problems) == 1 {
		return "orderly: configuration: " + e.Problems[0]
	}
	return fmt.Sprintf("orderly: configuration has %d problems:\n  - %s", len(e.Problems), strings.Join(e.Problems, "\n  - "))
}

// A StopError ends Run under the policy stop: a record used up its attempts. The
// record is not settled: whoever gets the partition next stops at it in turn.
type StopError struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Attempts  int
	Err       error // of the last attempt
}

// Error names the record and the cause.
func (e *StopError) Error() string {
	return fmt.Sprintf("orderly: stopped by policy at topic %s partition %d offset %d key %q after %s: %v",
		e.Topic, e.Partition, e.Offset, e.Key, counted(int64(e.Attempts), "attempt"), e.Err)
}

// Unwrap returns the error of the last attempt.
func (e *StopError) Unwrap() error { return e.Err }

// An OffsetRangeError ends Run when the offset to go on from is no longer (or not
// yet) in the log: records were deleted by retention, or the log was cut. Which
// records were lost to this group must be a person's decision: set Reset to go
// on by name.
type OffsetRangeError struct {
	Topic      string
	Partition  int32
	Offset     int64 // to go on from
	Start, End int64 // of the log
}

// Error names the range and the way out.
func (e *OffsetRangeError) Error() string {
	what := fmt.Sprintf("%d records were deleted before they were processed", e.Start-e.Offset)
	if e.Start-e.Offset == 1 {
		what = "a record was deleted before it was processed"
	}
	if e.Offset > e.End {
		what = "the log ends " + counted(e.Offset-e.End, "record") + " before it: it was cut, or the offset is another topic's"
	}
	return fmt.Sprintf("orderly: topic %s partition %d: the committed offset %d is outside the log [%d, %d]: %s; "+
		"set Reset to ResetEarliest or ResetLatest to go on by name", e.Topic, e.Partition, e.Offset, e.Start, e.End, what)
}

// A TopicRecreatedError ends Run, or stops a Producer, when a topic was deleted
// and created again under its name meanwhile. Offsets of the old topic mean
// nothing in the new one; at the next start the new topic is read from Start. To a
// Producer the records that it wrote to the old one are gone.
type TopicRecreatedError struct {
	Topic    string
	Old, New string // topic ids; New is empty when the topic is gone

	producing bool
}

// Error names both topics and the way out.
func (e *TopicRecreatedError) Error() string {
	if e.producing {
		return fmt.Sprintf("orderly: topic %s was deleted and created again (id %s, now %s): what was written to the old one is gone; "+
			"start a new producer to write to the new one", e.Topic, e.Old, e.New)
	}
	if e.New == "" {
		return fmt.Sprintf("orderly: topic %s (id %s) was deleted while it was consumed; create it and start again: it is then read from Start", e.Topic, e.Old)
	}
	return fmt.Sprintf("orderly: topic %s was deleted and created again (id %s, now %s): the progress of the old topic does not apply; "+
		"start again to read the new one from Start", e.Topic, e.Old, e.New)
}

// A ConnectError ends Run when no broker answered within StartTimeout.
type ConnectError struct {
	Brokers []string
	Waited  time.Duration
	Err     error // of the last try
}

// Error names the brokers and the last cause.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("orderly: no broker of %s answered within %s: %v; check the addresses, or raise StartTimeout",
		strings.Join(e.Brokers, ", "), e.Waited.Round(time.Millisecond), e.Err)
}

// Unwrap returns the error of the last try.
func (e *ConnectError) Unwrap() error { return e.Err }

// An AccessError ends Run when the cluster refuses something that is needed, or
// something needed is not there.
type AccessError struct {
	Resource  string // "topic", "group" or "cluster"
	Name      string
	Operation string // as in an ACL: Read, Describe ...
	Err       error
}

// Error names the resource, the operation, the cause and the way out.
func (e *AccessError) Error() string {
	way := ""
	switch {
	case errors.Is(e.Err, kerr.UnknownTopicOrPartition):
		way = "; the topic is not there, or hidden from this user: check the name, create it, or grant Describe"
	case errors.Is(e.Err, kerr.ClusterAuthorizationFailed) && e.Operation == "IdempotentWrite":
		way = "; grant the user Write on the topic it produces to (Kafka before 2.8: IdempotentWrite on the cluster)"
	case errors.Is(e.Err, kerr.TopicAuthorizationFailed), errors.Is(e.Err, kerr.GroupAuthorizationFailed), errors.Is(e.Err, kerr.ClusterAuthorizationFailed):
		way = fmt.Sprintf("; grant the user %s on this %s (kafka-acls.sh --add --operation %s)", e.Operation, e.Resource, e.Operation)
	}
	return fmt.Sprintf("orderly: %s %q: %s refused: %v%s", e.Resource, e.Name, e.Operation, e.Err, way)
}

// Unwrap returns the cluster's error.
func (e *AccessError) Unwrap() error { return e.Err }

// A PanicError is the failure of an attempt whose handler panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error names the value; the stack is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Causes of a handler's context, from context.Cause.
var (
	// ErrDrainDeadline: the partition leaves, and the drain deadline has passed.
	ErrDrainDeadline = errors.New("orderly: drain deadline passed")
	// ErrPartitionLost: the partition is another member's.
	ErrPartitionLost = errors.New("orderly: partition lost")
	// ErrCoordinatorSilent: the group's coordinator was not heard for the
	// session timeout; another member may own the partition.
	ErrCoordinatorSilent = errors.New("orderly: coordinator not heard for the session timeout")
	// ErrAttemptTimeout: the attempt took longer than AttemptTimeout.
	ErrAttemptTimeout = errors.New("orderly: attempt took longer than AttemptTimeout")
	// ErrAborted: Abort was called.
	ErrAborted = errors.New("orderly: aborted")
)

// counted is a count with its noun.
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
