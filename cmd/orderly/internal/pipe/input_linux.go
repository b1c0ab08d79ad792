package pipe

import (
	"os"
	"syscall"
	"unsafe"
)

// unreadIn returns how many bytes are in the pipe that this end writes to; -1 when
// that cannot be known.
func unreadIn(in *os.File) int {
	n := int32(-1)
	conn, err := in.SyscallConn()
	if err != nil {
		return -1
	}
	if conn.Control(func(fd uintptr) {
		if _, _, code := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n))); code != 0 {
			n = -1
		}
	}) != nil {
		return -1
	}
	return int(n)
}
