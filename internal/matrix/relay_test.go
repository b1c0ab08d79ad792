//go:build unix

package matrix

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A relay is a way to one broker that can be cut: then nothing passes, and nobody
// is told. Connections that are made meanwhile are taken and get no answer.
type relay struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	dark  bool
	conns map[net.Conn]struct{}
	all   sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, to: to, conns: make(map[net.Conn]struct{})}
	r.all.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.drop()
		r.all.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.l.Addr().String() }

func (r *relay) accept() {
	for {
		near, err := r.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil { // the broker is down
			near.Close()
			continue
		}
		r.mu.Lock()
		r.conns[near], r.conns[far] = struct{}{}, struct{}{}
		r.mu.Unlock()
		r.all.Go(func() { r.pass(near, far) })
		r.all.Go(func() { r.pass(far, near) })
	}
}

// pass takes bytes from one side to the other, or swallows them.
func (r *relay) pass(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		dark := r.dark
		r.mu.Unlock()
		if !dark && n > 0 {
			_, writeErr := to.Write(buf[:n])
			if err == nil {
				err = writeErr
			}
		}
		if err == io.EOF && dark {
			return // that it was closed is not to be heard either
		}
		if err != nil {
			from.Close()
			to.Close()
			return
		}
	}
}

func (r *relay) cut() {
	r.mu.Lock()
	r.dark = true
	r.mu.Unlock()
}

// heal lets new connections through. The old ones end: what passed meanwhile is
// missing in them.
func (r *relay) heal() {
	r.mu.Lock()
	r.dark = false
	r.mu.Unlock()
	r.drop()
}

func (r *relay) drop() {
	r.mu.Lock()
	conns := r.conns
	r.conns = make(map[net.Conn]struct{})
	r.mu.Unlock()
	for c := range conns {
		c.Close()
	}
}
