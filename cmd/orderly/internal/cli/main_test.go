package cli

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
	"go.uber.org/goleak"
)

// TestMain lets the test program stand for the command: the demo starts it again
// as its consumer processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == demo.MemberCommand || os.Args[1] == prove.MemberCommand) {
		os.Exit(Run(context.Background(), "test", os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	if len(os.Args) > 1 && os.Args[1] == measuredCommand {
		os.Exit(measured(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// call runs a command line.
func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err shared
	code = Run(ctx, "v1.2.3", args, Streams{In: &bytes.Buffer{}, Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// A shared writer is one that the log and several workers write to, as to standard
// error.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}
