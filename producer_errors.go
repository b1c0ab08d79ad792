package orderly

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What is known of a record that was not acknowledged: errors.Is of every failure
// of a record is true for exactly one of them.
var (
	// ErrNotWritten: the record is surely not in the log. To send it again makes
	// no duplicate.
	ErrNotWritten = errors.New("orderly: not written")
	// ErrMaybeWritten: the record may be in the log; nobody can tell. To send it
	// again may make a duplicate.
	ErrMaybeWritten = errors.New("orderly: may have been written")
)

// ErrProducerClosed: the producer was closed before the record was sent.
var ErrProducerClosed = errors.New("orderly: the producer is closed")

// A KeyClosedError is the failure of a record, which closed its key, or the
// refusal of a later record of that key. The key stays closed until Clear,
// ClearPartition or ClearAll: a record of it that was written now would pass the
// failed one.
type KeyClosedError struct {
	Topic     string
	Partition int32 // -1 when the topic could not be looked up
	Key       []byte
	// First is the first failed record of the key.
	First *kgo.Record
	// Refused: this record came after First and was not sent.
	Refused bool
	// Outcome of this record: ErrNotWritten or ErrMaybeWritten.
	Outcome error
	// Err is the cause, as the broker or the client gave it.
	Err error

	first  string
	behind bool // the record is not First
}

// Error names the key, its first failed record, the cause and the way out.
func (e *KeyClosedError) Error() string {
	if e.Refused {
		return fmt.Sprintf("orderly: topic %s partition %d: key %q is closed, record refused (not written): its record %s failed: %v; "+
			"send again from there on after Clear", e.Topic, e.Partition, e.Key, e.first, e.Err)
	}
	known := "is not written"
	if e.Outcome == ErrMaybeWritten {
		known = "may have been written"
	}
	if e.behind {
		return fmt.Sprintf("orderly: topic %s partition %d: a record of key %q behind record %s failed with it and %s: %v; "+
			"the key is closed until Clear, so that no later record passes it", e.Topic, e.Partition, e.Key, e.first, known, e.Err)
	}
	return fmt.Sprintf("orderly: topic %s partition %d: record %s of key %q failed and %s: %v; "+
		"the key is closed until Clear, so that no later record passes it", e.Topic, e.Partition, e.first, e.Key, known, e.Err)
}

// Unwrap returns the outcome and the cause.
func (e *KeyClosedError) Unwrap() []error { return []error{e.Outcome, e.Err} }

// A failure is that of a record whose key is not closed by it.
type failure struct{ outcome, err error }

func (e *failure) Error() string   { return e.err.Error() }
func (e *failure) Unwrap() []error { return []error{e.outcome, e.err} }

// A PartitionsChangedError stops a producer: the topic no longer has the number
// of partitions that it had when the producer first saw it, or fewer than
// ProducerConfig.Partitions says. To go on with the new number would send Moves of
// all keys to another partition, away from their earlier records.
type PartitionsChangedError struct {
	Topic    string
	Old, New int
	Moves    float64 // share of all keys, 0 to 1
}

// Error names the topic, both counts, the share of keys and the way out.
func (e *PartitionsChangedError) Error() string {
	if e.New < e.Old {
		return fmt.Sprintf("orderly: topic %s has %d partitions and not %d: set ProducerConfig.Partitions to what it had "+
			"when its keys were first written", e.Topic, e.New, e.Old)
	}
	return fmt.Sprintf("orderly: topic %s had %d partitions and has %d now: %.0f %% of all keys would move to another partition, "+
		"away from their earlier records. Set ProducerConfig.Partitions[%q] = %d to keep keys where they are; or, when consumers have done "+
		"all that was written before, start a new producer to use all %d",
		e.Topic, e.Old, e.New, e.Moves*100, e.Topic, e.Old, e.New)
}

// moves is the share of keys, evenly hashed, whose partition is another one of
// n than of o: of the residues modulo their least common multiple, only the
// smaller count of them agree.
func moves(o, n int) float64 {
	a, b := o, n
	for b != 0 {
		a, b = b, a%b
	}
	return 1 - float64(min(o, n))/float64(o/a*n)
}

// An UnsentError is returned by Close: its deadline came before all records were
// acknowledged. Each of them has failed, with ErrNotWritten or ErrMaybeWritten.
type UnsentError struct {
	Keys []UnsentKey // in the order of topic, partition, key
	Err  error       // of the context
}

// An UnsentKey counts the records of one key that were not acknowledged.
type UnsentKey struct {
	Topic     string
	Partition int32
	Key       []byte
	Records   int
	Maybe     int // of these: may have been written
}

// Error counts the records and names the first keys.
func (e *UnsentError) Error() string {
	const named = 5
	records, maybe := 0, 0
	var keys []string
	for i, k := range e.Keys {
		records += k.Records
		maybe += k.Maybe
		if i < named {
			keys = append(keys, fmt.Sprintf("topic %s partition %d key %q: %d", k.Topic, k.Partition, k.Key, k.Records))
		}
	}
	if more := len(e.Keys) - named; more > 0 {
		keys = append(keys, fmt.Sprintf("and %d more keys", more))
	}
	return fmt.Sprintf("orderly: closed with %d records of %d keys not acknowledged, %d of which may have been written (%s): %v",
		records, len(e.Keys), maybe, strings.Join(keys, "; "), e.Err)
}

// Unwrap returns the context's error.
func (e *UnsentError) Unwrap() error { return e.Err }

// unsent collects what Close reports.
type unsent map[string]*UnsentKey

func (u unsent) add(topic string, partition int32, key []byte, maybe bool) {
	id := fmt.Sprintf("%s\x00%d\x00%t\x00%s", topic, partition, key == nil, key)
	k := u[id]
	if k == nil {
		k = &UnsentKey{Topic: topic, Partition: partition, Key: clone(key)}
		u[id] = k
	}
	k.Records++
	if maybe {
		k.Maybe++
	}
}

func (u unsent) error(cause error) error {
	if len(u) == 0 {
		return nil
	}
	e := &UnsentError{Err: cause}
	for _, k := range u {
		e.Keys = append(e.Keys, *k)
	}
	slices.SortFunc(e.Keys, func(a, b UnsentKey) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return strings.Compare(string(a.Key), string(b.Key))
	})
	return e
}

// errDelivery is the cause when DeliveryTimeout has passed.
func (p *Producer) errDelivery(sent bool) error {
	what := "not sent"
	if sent {
		what = "not acknowledged"
	}
	if last := p.wire.refused.Load(); last != nil {
		return fmt.Errorf("%s within DeliveryTimeout (%s); the last connection failed: %w", what, p.cfg.DeliveryTimeout, *last)
	}
	return fmt.Errorf("%s within DeliveryTimeout (%s)", what, p.cfg.DeliveryTimeout)
}
