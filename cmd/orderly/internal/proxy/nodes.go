package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// maxNodes is how many brokers a cluster may have here.
const maxNodes = 1000

// bootstrap is the pseudo-node of the address that clients are given first.
const bootstrap int32 = -1

// A node is a broker with a listener of our own.
type node struct {
	id       int32
	listener net.Listener
	host     string // where clients reach it here
	port     int32

	mu       sync.Mutex
	upstream []string // the broker; for bootstrap all that were given
}

func (n *node) addresses() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.upstream
}

func (n *node) moveTo(upstream string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.upstream) != 1 || n.upstream[0] != upstream {
		n.upstream = []string{upstream}
	}
}

// nodes are the brokers that answers have named so far.
type nodes struct {
	mu     sync.Mutex
	byID   map[int32]*node
	closed bool
}

// relocate gives the address of our listener for a node, and makes the listener
// when the node is named for the first time.
func (p *Proxy) relocate(id int32, host string, port int32) (string, int32, error) {
	upstream := net.JoinHostPort(host, strconv.Itoa(int(port)))
	p.nodes.mu.Lock()
	defer p.nodes.mu.Unlock()
	n := p.nodes.byID[id]
	if n == nil {
		if p.nodes.closed {
			return "", 0, net.ErrClosed
		}
		if id < 0 {
			return "", 0, fmt.Errorf("it names a broker %d at %s, and no broker has such a number", id, upstream)
		}
		if len(p.nodes.byID) > maxNodes {
			return "", 0, fmt.Errorf("it names more than %d brokers", maxNodes)
		}
		var err error
		if n, err = p.listen(id, []string{upstream}); err != nil {
			return "", 0, err
		}
		p.nodes.byID[id] = n
	}
	n.moveTo(upstream)
	return n.host, n.port, nil
}

// listen opens a node's listener. With a port given, the bootstrap's is that one
// and node n's is n+1 behind it, so that they are the same in each run.
func (p *Proxy) listen(id int32, upstream []string) (*node, error) {
	port := p.port
	if port != 0 {
		if port += int(id) + 1; port > 65535 {
			return nil, fmt.Errorf("the listener of broker %d would be port %d: begin with a lower port, or with 0 for any that is free", id, port)
		}
	}
	l, err := net.Listen("tcp", net.JoinHostPort(p.host, strconv.Itoa(port)))
	if err != nil {
		what := "the bootstrap listener"
		if id != bootstrap {
			what = fmt.Sprintf("the listener of broker %d", id)
		}
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	n := &node{id: id, listener: l, host: p.host, port: int32(l.Addr().(*net.TCPAddr).Port), upstream: upstream}
	p.serving.Go(func() { p.serve(n) })
	return n, nil
}

// serve takes the connections of a node's listener until it is closed.
func (p *Proxy) serve(n *node) {
	for {
		nc, err := n.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, or a connection that is gone already
			select {
			case <-p.ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if p.cfg.TLS != nil {
			nc = tls.Server(nc, p.cfg.TLS)
		}
		c := newConn(p, n, nc)
		if !p.conns.add(c) {
			_ = nc.Close()
			return
		}
		p.serving.Go(func() {
			defer p.conns.remove(c)
			c.run()
		})
	}
}

// openConns are the connections that there are.
type openConns struct {
	mu     sync.Mutex
	all    map[*conn]struct{}
	closed bool
}

func (o *openConns) add(c *conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.all[c] = struct{}{}
	}
	return !o.closed
}

func (o *openConns) remove(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
}

func (o *openConns) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for c := range o.all {
		c.cut()
	}
}
