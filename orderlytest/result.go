package orderlytest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Result is what a delivery came to.
type Result struct {
	// Attempts are the handler's calls in the order in which they ended; of a
	// batch, each record that the call decided about. A record that was refused
	// without a call (NullKeysReject) is among them.
	Attempts []Attempt
	// Blocked are the keys whose oldest record failed and was not done in time,
	// or at which the delivery stopped.
	Blocked []orderly.BlockedKey
	// Left is the number of records that are not done: those of blocked keys,
	// and after a stop those that had not started.
	Left int
	// Stop is set when the policy stop ended the delivery.
	Stop *orderly.StopError
	// DeadLetters are the records that were written to a dead-letter topic, as
	// written, in that order.
	DeadLetters []kgo.Record
	// Skipped are the records that were passed by the policy skip, without their
	// values.
	Skipped []kgo.Record
	// Elapsed is the virtual time from the first attempt to the last.
	Elapsed time.Duration

	report history.Report
}

// An Attempt is one call of the handler for one record.
type Attempt struct {
	Record  kgo.Record
	Attempt int
	Err     error         // nil: the record is done
	At      time.Duration // of virtual time, since the beginning
}

// Done returns the values of the key's records that are done, in the order in
// which they were.
func (r *Result) Done(key string) (values []string) {
	for _, a := range r.Attempts {
		if a.Err == nil && bytes.Equal(a.Record.Key, []byte(key)) {
			values = append(values, string(a.Record.Value))
		}
	}
	return values
}

// Errors returns the errors of attempts for records of the key, in their order.
func (r *Result) Errors(key string) (errs []error) {
	for _, a := range r.Attempts {
		if a.Err != nil && bytes.Equal(a.Record.Key, []byte(key)) {
			errs = append(errs, a.Err)
		}
	}
	return errs
}

// RequireOrdered fails the test unless at most one record of a key was with the
// handler at a time, and each began only when the one before it was done. It
// also fails when no key had two records: then nothing was shown.
func (r *Result) RequireOrdered(t testing.TB) {
	t.Helper()
	requireOrdered(t, r.report)
}

// RequireDone fails the test unless all records are done.
func (r *Result) RequireDone(t testing.TB) {
	t.Helper()
	if r.Left > 0 || r.Stop != nil {
		t.Fatalf("orderlytest: not all records are done: %s", r)
	}
}

// String tells how the delivery ended.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d attempts, %d records left, %s of virtual time", len(r.Attempts), r.Left, r.Elapsed)
	if r.Stop != nil {
		fmt.Fprintf(&b, "; %v", r.Stop)
	}
	for _, k := range r.Blocked {
		fmt.Fprintf(&b, "; key %q blocked at offset %d after %d attempts, %d records wait", k.Key, k.Offset, k.Attempts, k.Waiting)
	}
	return b.String()
}

func requireOrdered(t testing.TB, rep history.Report) {
	t.Helper()
	if !rep.OK() {
		t.Fatalf("orderlytest: the order per key does not hold:\n%s", rep)
	}
}
