//go:build unix

package pipe

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

// An output is what a worker says. It can tell whether there is something that
// nobody has read yet, also when it is still in the pipe.
type output struct {
	file *os.File
	conn syscall.RawConn

	mu   sync.Mutex
	read int64 // bytes that were taken out of the pipe
}

func newOutput(file *os.File) (*output, error) {
	conn, err := file.SyscallConn()
	return &output{file: file, conn: conn}, err
}

// Read is the file's, with a lock around the moment in which bytes are neither in
// the pipe nor counted.
func (o *output) Read(p []byte) (n int, err error) {
	closed := o.conn.Read(func(fd uintptr) bool {
		n, err = o.try(fd, p)
		return !errors.Is(err, syscall.EAGAIN)
	})
	switch {
	case closed != nil:
		return 0, closed
	case err != nil:
		return 0, &os.PathError{Op: "read", Path: o.file.Name(), Err: err}
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (o *output) try(fd uintptr, p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		n, err = syscall.Read(int(fd), p)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	n = max(n, 0)
	o.read += int64(n)
	return n, err
}

// beyond returns what was said after so many bytes, as far as it was not read
// before; more says that there is something, seen or not, and ended that there will
// be nothing any more.
func (o *output) beyond(taken int64) (unread []byte, more, ended bool) {
	buf := make([]byte, 4<<10)
	_ = o.conn.Control(func(fd uintptr) {
		n, err := o.try(fd, buf)
		if err == nil {
			unread, ended = buf[:n], n == 0
		}
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	return unread, o.read > taken, ended
}
