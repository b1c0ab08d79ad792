package connect

import (
	"errors"
	"fmt"
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
	return err
}
