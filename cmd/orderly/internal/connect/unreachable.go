package connect

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/orderly-go/orderly"
)

// An UnreachableError says that no broker could be talked to.
type UnreachableError struct {
	Brokers []string
	Waited  time.Duration
	Err     error
}

func (e *UnreachableError) Error() string {
	if len(e.Brokers) == 0 {
		return fmt.Sprintf("no broker answers: %v; is it the right address, and the right TLS and user settings? \"orderly config\" shows them", e.Err)
	}
	return fmt.Sprintf("no broker of %s answers (tried for %s): %v; is it the right address, and the right TLS and user settings? \"orderly config\" shows them",
		strings.Join(e.Brokers, ", "), e.Waited.Round(time.Millisecond), e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Unreachable gives the library's error the words of the command line.
func Unreachable(err error) error {
	var ce *orderly.ConnectError
	if errors.As(err, &ce) {
		return &UnreachableError{ce.Brokers, ce.Waited, ce.Err}
	}
	// An answer of the client, wherever a command has put it into words of its own. That
	// of another dialer (a member's address, say) is not: the client names its own.
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && strings.Contains(err.Error(), "unable to dial: ") && !errors.As(err, new(*UnreachableError)) {
		return &UnreachableError{Err: err}
	}
	return err
}
