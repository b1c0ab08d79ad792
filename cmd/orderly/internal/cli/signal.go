package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/orderly-go/orderly/cmd/orderly/internal/pipe"
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
)

// Interruptible gives a context that ends at the first Ctrl-C (or request to
// terminate), so that the command can end in order. At the second one leave is
// called, with the exit code.
func Interruptible(parent context.Context, leave func(code int)) (ctx context.Context, stop func()) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	ctx, end := interruptible(parent, ch, leave)
	return ctx, func() {
		signal.Stop(ch)
		end()
	}
}

func interruptible(parent context.Context, ch <-chan os.Signal, leave func(code int)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-ch:
				cancel(errInterrupted)
				if n > 1 {
					// They are not in our process group, and would stay.
					pipe.KillAll()
					prove.KillAll()
					leave(exitInterrupted)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		close(done)
		cancel(nil)
	}
}
