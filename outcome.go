package orderly

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A Class says what kind of failure an error is.
type Class int

const (
	// ClassRetry: the attempt is spent; the record is tried again after a
	// backoff until its attempts are used up. Every error that nothing says
	// otherwise of, network errors and panics included.
	ClassRetry Class = iota
	// ClassPermanent: no further attempt would help; the policy decides now.
	ClassPermanent
	// ClassUnavailable: a dependency is down and the record is not at fault; the
	// attempt is not spent.
	ClassUnavailable
)

// Permanent marks an error as one that no further attempt would mend: what
// OnExhausted says happens now. A nil err stays nil.
func Permanent(err error) error { return marked(err, ClassPermanent, 0) }

// Unavailable marks an error as a dependency's that is down, while the record is
// not at fault: the attempt is not spent. A nil err stays nil.
func Unavailable(err error) error { return marked(err, ClassUnavailable, 0) }

// RetryAfter marks an error as one after which the next attempt waits for d, or
// for Retry.MaxBackoff when that is less; the attempt is spent. Without a positive
// d the next attempt waits as after any error. A nil err stays nil.
func RetryAfter(err error, d time.Duration) error { return marked(err, ClassRetry, max(d, 0)) }

func marked(err error, class Class, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &outcome{err: err, class: class, after: after}
}

// An outcome is an error that its handler has classified.
type outcome struct {
	err   error
	class Class
	after time.Duration
}

func (o *outcome) Error() string { return o.err.Error() }
func (o *outcome) Unwrap() error { return o.err }

// classify says what an error is, and after what time the record is to be tried
// again when its handler says so. The handler's own mark, the outermost, comes
// before everything else.
func classify(r *Retry, err error) (class Class, after time.Duration, problem error) {
	var o *outcome
	if errors.As(err, &o) {
		return o.class, min(o.after, r.MaxBackoff), nil
	}
	var d *DecodeError
	if errors.As(err, &d) {
		return ClassPermanent, 0, nil
	}
	if r.Classify == nil {
		return ClassRetry, 0, nil
	}
	class, problem = r.ask(err)
	return class, 0, problem
}

// ask calls Classify, which may be wrong.
func (r *Retry) ask(err error) (class Class, problem error) {
	defer func() {
		if v := recover(); v != nil {
			class, problem = ClassRetry, fmt.Errorf("Retry.Classify panicked; the error counts as retryable: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	switch class = r.Classify(err); class {
	case ClassRetry, ClassPermanent, ClassUnavailable:
		return class, nil
	}
	return ClassRetry, fmt.Errorf("Retry.Classify returned %d, which is no Class; the error counts as retryable", class)
}
