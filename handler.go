package orderly

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A Handler processes one record. nil means done; any error means the record
// has failed and is tried again, in place, after a backoff.
//
// The context does not end with Run's context: a handler may finish when the
// consumer is asked to stop. It ends at the drain deadline when the partition
// leaves, when the partition is lost, when the group's coordinator was not heard
// for the session timeout, and after AttemptTimeout where one is set.
//
// A handler returns when its context ends. One that does not is reported and
// counts as stuck; its key stays closed in this process until it has returned.
type Handler func(ctx context.Context, m *Message) error

// A BatchHandler processes records of one lane, in offset order: several keys,
// each key's records in their order. ms[:done] are done, err is the error of
// ms[done]; a nil err says that all are done. The key of ms[done] then waits for
// its retry while the other keys go on.
//
// A done below zero, or a panic, means that the handler cannot tell how far it
// came: the records are handed over again one by one, at no attempt, and only
// then a failure is anybody's. What the handler did before may so be repeated.
type BatchHandler func(ctx context.Context, ms []*Message) (done int, err error)

// Batch is the configuration of a BatchHandler.
type Batch struct {
	Handler BatchHandler
	// Max is the largest number of records of one call. Default 100, at most
	// 10,000.
	Max int
	// Wait is how long a lane waits for Max records before it is run with
	// fewer. Default 0: it runs what is there. At most 10 s.
	Wait time.Duration
}

// A DecodeError is the failure of a record whose value is not what JSON expects.
// The raw bytes are in the Message.
type DecodeError struct{ Err error }

// Error says what was wrong with the value.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("orderly: the record's value is not the JSON that the handler expects: %v", e.Err)
}

// Unwrap returns the decoder's error.
func (e *DecodeError) Unwrap() error { return e.Err }

// JSON turns a function of a typed value into a Handler: the record's value is
// decoded into a new T for each attempt. A record that does not decode has
// failed with a [DecodeError].
func JSON[T any](fn func(ctx context.Context, v T, m *Message) error) Handler {
	return func(ctx context.Context, m *Message) error {
		var v T
		if err := json.Unmarshal(m.Value, &v); err != nil {
			return &DecodeError{Err: err}
		}
		return fn(ctx, v, m)
	}
}
