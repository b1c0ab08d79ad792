package demo

import (
	"bytes"
	"sync"
)

// tail keeps the end of what a process logs.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// tailSize is how much of a log is kept: all of it, in a run of usual length.
const tailSize = 1 << 20

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf)
}

// last gives the last lines.
func (t *tail) last(n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(t.bytes()), []byte("\n"))
	return bytes.Join(lines[max(len(lines)-n, 0):], []byte("\n"))
}
