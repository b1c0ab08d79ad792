package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/audit"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/consume"
	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
	"github.com/orderly-go/orderly/cmd/orderly/internal/explain"
	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/orderly-go/orderly/cmd/orderly/internal/migrate"
	"github.com/orderly-go/orderly/cmd/orderly/internal/pipe"
	"github.com/orderly-go/orderly/cmd/orderly/internal/produce"
	"github.com/orderly-go/orderly/cmd/orderly/internal/status"
)

// The exit codes of all commands. They do not change their meaning.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitViolated     = 3
	exitInconclusive = 4
	exitRefused      = 5
	exitInterrupted  = 130
)

// exitHelp documents them, in the help of the root command.
const exitHelp = `Exit codes:
  0    ok
  1    failed: a record stopped the command, a file or the embedded broker's directory or port cannot be used
  2    usage: unknown command or flag, wrong argument, input or configuration
  3    finding: a promise was violated, or a check found something
  4    inconclusive: nothing was shown either way
  5    cannot connect, or refused by the cluster
  130  interrupted`

// commandError is an error that a command returned. What does not come in one
// was returned by cobra before a command ran: it is about usage.
type commandError struct{ err error }

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// codeError is an outcome with its own exit code.
type codeError struct {
	code int
	text string
}

func (e *codeError) Error() string { return e.text }

var errInterrupted = errors.New("interrupted")

func usagef(format string, args ...any) error {
	return &codeError{code: exitUsage, text: fmt.Sprintf(format, args...)}
}

// exitCode is the one place that decides it.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if c, ok := errors.AsType[*codeError](err); ok {
		return c.code
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	if is[*orderly.ConfigError](err) || is[*connect.Error](err) || is[*localbroker.UsageError](err) ||
		is[*pipe.CommandError](err) || is[*produce.LineError](err) || is[*produce.FileError](err) ||
		is[*consume.ListenError](err) || is[*audit.StateError](err) || is[*audit.PartitionError](err) || is[*demo.InputError](err) || is[*demo.LimitError](err) ||
		is[*explain.InputError](err) || is[*explain.NotKnownError](err) || is[*migrate.DSNError](err) {
		return exitUsage
	}
	// A broker that does not answer is like any other; a directory that is in
	// use, a port that is taken, or data that cannot be read has failed here.
	if is[*orderly.ConnectError](err) || is[*orderly.AccessError](err) || is[*localbroker.NotServedError](err) || is[*localbroker.EndedError](err) ||
		is[*connect.UnreachableError](err) || is[*status.NotThereError](err) || is[*produce.TopicError](err) ||
		is[*orderly.DeadLetterTopicError](err) || is[*logread.TopicError](err) || is[*migrate.UnreachableError](err) {
		return exitRefused
	}
	if is[*commandError](err) {
		return exitFailed
	}
	return exitUsage
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// errorText is the error as it is printed: with our name in front, once.
func errorText(err error) string {
	return "orderly: " + strings.TrimPrefix(words(err), "orderly: ")
}
