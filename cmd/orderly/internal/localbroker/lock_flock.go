//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package localbroker

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of an open file, or fails at once. The system drops
// it when the file is closed, also by the death of the process. Go opens files
// close-on-exec, so that no child keeps it.
func lockFile(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}
