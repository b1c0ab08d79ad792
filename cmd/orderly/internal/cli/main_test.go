package cli

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
	"go.uber.org/goleak"
)

// TestMain lets the test program stand for the command: the demo starts it again
// as its consumer processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == demo.MemberCommand {
		os.Exit(Run(context.Background(), "test", os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	goleak.VerifyTestMain(m)
}

// call runs a command line.
func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(ctx, "v1.2.3", args, Streams{In: &bytes.Buffer{}, Out: &out, Err: &err})
	return code, out.String(), err.String()
}
