package orderlytest

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// network is one member's way to the brokers. It can be cut, so that nothing
// passes and nobody is told, and it can be closed for good.
type network struct {
	mu     sync.Mutex
	cut    chan struct{} // closed by heal; nil: it is not cut
	closed bool
	conns  map[*wire]struct{}
}

var errNetworkClosed = errors.New("orderlytest: the member was killed")

func newNetwork() *network { return &network{conns: make(map[*wire]struct{})} }

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for {
		n.mu.Lock()
		cut, closed := n.cut, n.closed
		n.mu.Unlock()
		if closed {
			return nil, errNetworkClosed
		}
		if cut == nil {
			break
		}
		select {
		case <-cut:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, net: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		conn.Close()
		return nil, errNetworkClosed
	}
	w.dark.Store(n.cut != nil)
	n.conns[w] = struct{}{}
	return w, nil
}

// darken lets nothing pass any more.
func (n *network) darken() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut != nil || n.closed {
		return
	}
	n.cut = make(chan struct{})
	for w := range n.conns {
		w.dark.Store(true)
	}
}

// heal lets new connections through; the old ones end, for what passed meanwhile
// is missing in them.
func (n *network) heal() {
	n.mu.Lock()
	if n.cut == nil {
		n.mu.Unlock()
		return
	}
	close(n.cut)
	n.cut = nil
	n.mu.Unlock()
	n.drop()
}

func (n *network) close() {
	n.mu.Lock()
	n.closed = true
	if n.cut != nil {
		close(n.cut)
		n.cut = nil
	}
	n.mu.Unlock()
	n.drop()
}

func (n *network) drop() {
	n.mu.Lock()
	conns := n.conns
	n.conns = make(map[*wire]struct{})
	n.mu.Unlock()
	for w := range conns {
		w.Conn.Close()
	}
}

// wire is one connection.
type wire struct {
	net.Conn
	net  *network
	dark atomic.Bool
}

func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.Conn.Read(b)
		if err != nil || !w.dark.Load() {
			return n, err
		}
	}
}

func (w *wire) Write(b []byte) (int, error) {
	if w.dark.Load() {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

func (w *wire) Close() error {
	w.net.mu.Lock()
	delete(w.net.conns, w)
	w.net.mu.Unlock()
	return w.Conn.Close()
}
