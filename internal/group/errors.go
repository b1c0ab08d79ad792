package group

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The errors that end a Session; the root package gives them their public types.
type (
	// ConnectError: no broker answered within the start timeout.
	ConnectError struct {
		Waited time.Duration
		Err    error
	}
	// AccessError: the cluster refuses an operation, or the resource is missing.
	AccessError struct {
		Resource, Name, Operation string
		Err                       error
	}
	// OffsetRangeError: the offset to go on from is not in the log.
	OffsetRangeError struct {
		Topic              string
		Partition          int32
		Offset, Start, End int64
	}
	// RecreatedError: the topic is another one than the one being consumed.
	RecreatedError struct {
		Topic    string
		Old, New [16]byte
	}
)

// A ParkingError ends a Session at its start: what stands beside a partition is not
// what it has to be, and the group knows nothing of it.
type ParkingError struct{ Err error }

func (e *ParkingError) Error() string { return e.Err.Error() }
func (e *ParkingError) Unwrap() error { return e.Err }

func (e *ConnectError) Error() string { return fmt.Sprintf("no broker answered: %v", e.Err) }
func (e *ConnectError) Unwrap() error { return e.Err }

func (e *AccessError) Error() string {
	return fmt.Sprintf("%s %q: %s refused: %v", e.Resource, e.Name, e.Operation, e.Err)
}
func (e *AccessError) Unwrap() error { return e.Err }

func (e *OffsetRangeError) Error() string {
	return fmt.Sprintf("topic %s partition %d: offset %d outside [%d, %d]", e.Topic, e.Partition, e.Offset, e.Start, e.End)
}

func (e *RecreatedError) Error() string { return fmt.Sprintf("topic %s was recreated", e.Topic) }

// ErrRejoin ends a Session that needs a new membership to go on: an OffsetCommit
// was not answered, and its late landing can only be fenced by another member.
var ErrRejoin = errors.New("a new group membership is needed")

// access turns a refusal by the cluster into an AccessError; nil when err is
// something else.
func access(resource, name, operation string, err error) error {
	for _, refused := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.InvalidGroupID, kerr.InvalidTopicException, kerr.UnsupportedVersion,
	} {
		if errors.Is(err, refused) {
			return &AccessError{Resource: resource, Name: name, Operation: operation, Err: err}
		}
	}
	return nil
}
