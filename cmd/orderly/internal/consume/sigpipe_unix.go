//go:build unix

package consume

import (
	"os"
	"os/signal"
	"syscall"
)

// brokenPipeIsAnError makes a write to a closed pipe ("| head") fail, where it
// would kill the process: the group is then left in order, and what was printed
// is committed.
func brokenPipeIsAnError() (undo func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGPIPE)
	return func() { signal.Stop(ch) }
}
