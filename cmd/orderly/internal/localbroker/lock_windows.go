package localbroker

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

const (
	failImmediately = 1
	exclusive       = 2

	errLockViolation = syscall.Errno(33)
)

// lockFile takes the lock of an open file, or fails at once. The system drops
// it when the file is closed, also by the death of the process. What is locked
// is one byte far behind the content: on Windows nobody else can read a locked
// range, and others are to read who holds it.
func lockFile(f *os.File) error {
	o := syscall.Overlapped{OffsetHigh: 1 << 30}
	ok, _, err := lockFileEx.Call(f.Fd(), exclusive|failImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&o)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return errLocked
	}
	return err
}
