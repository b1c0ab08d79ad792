package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Config says what a proxy stands in front of, and which faults it makes.
type Config struct {
	// Upstream are brokers of the cluster, host:port. The others are found.
	Upstream []string
	// UpstreamTLS is used towards the brokers; nil is none.
	UpstreamTLS *tls.Config

	// Listen is the bootstrap address that clients get; default 127.0.0.1:0.
	// With a port that is not 0, broker n's listener is n+1 ports above it.
	Listen string
	// Expose allows an address that other machines reach.
	Expose bool
	// TLS is used towards the clients; nil is none. See NewAuthority.
	TLS *tls.Config

	Faults []Fault
	// Seed decides which records the faults' shares choose.
	Seed uint64
	// Identify knows records by key and number; nil leaves them known by their
	// writer's sequence.
	Identify Identify
	// As gives topics the name under which their records are chosen: a run and its
	// control, or a replay, write to topics of different names, and are to be struck
	// at the same records. A topic that is not in it is called what it is.
	As map[string]string
	// OnHit is told each fault that struck, when its outcome is known, one after
	// the other. It must not block for long: the request waits.
	OnHit func(*Hit)
}

// A Proxy is a running one.
type Proxy struct {
	cfg  Config
	host string
	port int

	ctx     context.Context
	stop    context.CancelFunc
	serving sync.WaitGroup
	nodes   nodes
	conns   openConns
	topics  topics
	engine  *engine
	waiting *waiting
	clients clients
	notes   notes
	boot    *node
	closing func() error
}

const dialLimit = 10 * time.Second

// Start asks the cluster for a sign of life and serves its clients until Close. An
// Obstacle is why it cannot stand in front of this cluster.
func Start(ctx context.Context, cfg Config) (*Proxy, error) {
	p := &Proxy{cfg: cfg}
	p.closing = sync.OnceValue(p.end)
	if err := p.settle(); err != nil {
		return nil, err
	}
	p.ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.waiting = newWaiting()
	p.nodes.byID = make(map[int32]*node)
	p.conns.all = make(map[*conn]struct{})
	p.topics.names = make(map[[16]byte]string)
	p.clients.all = make(map[string]*clientFacts)
	p.engine = newEngine(p.cfg.Faults, cfg.Seed, cfg.Identify, p.hit, p.topics.name, p.waiting)
	p.engine.as = cfg.As
	if err := p.probe(ctx); err != nil {
		p.stop()
		return nil, err
	}
	var err error
	if p.boot, err = p.listen(bootstrap, cfg.Upstream); err != nil {
		p.stop()
		return nil, err
	}
	p.nodes.mu.Lock()
	p.nodes.byID[bootstrap] = p.boot
	p.nodes.mu.Unlock()
	return p, nil
}

func (p *Proxy) hit(h *Hit) {
	if p.cfg.OnHit != nil {
		p.cfg.OnHit(h)
	}
}

// settle checks the configuration and fills it in.
func (p *Proxy) settle() error {
	if len(p.cfg.Upstream) == 0 {
		return &FaultError{"the proxy needs a broker to stand in front of"}
	}
	for _, a := range p.cfg.Upstream {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return &FaultError{fmt.Sprintf("upstream %q: an address is host:port", a)}
		}
	}
	if p.cfg.Listen == "" {
		p.cfg.Listen = "127.0.0.1:0"
	}
	host, port, err := net.SplitHostPort(p.cfg.Listen)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || host == "" {
		return &FaultError{fmt.Sprintf("listen %q: an address is host:port, and the host has to be one that clients reach", p.cfg.Listen)}
	}
	ip := net.ParseIP(host)
	if ip != nil && ip.IsUnspecified() {
		return &FaultError{fmt.Sprintf("listen %q: it is no address of a single machine, and clients are told to connect to it; give the one that they reach", p.cfg.Listen)}
	}
	if !p.cfg.Expose && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return &FaultError{fmt.Sprintf("listen %q: other machines reach this address, and who comes through it gets faults; allow it by name (--expose), or listen on 127.0.0.1", p.cfg.Listen)}
	}
	p.host, p.port = host, int(n)
	p.cfg.Faults = slices.Clone(p.cfg.Faults)
	for i, f := range p.cfg.Faults {
		if p.cfg.Faults[i], err = f.settle(); err != nil {
			return err
		}
	}
	return nil
}

// Addr is the bootstrap address for clients.
func (p *Proxy) Addr() string { return net.JoinHostPort(p.boot.host, strconv.Itoa(int(p.boot.port))) }

// Heal ends all faults: what is held is released now, and no request is struck any
// more. It does not wait for the last hit to be reported.
func (p *Proxy) Heal() {
	p.engine.healed.Store(true)
	p.waiting.heal()
}

// Close ends all connections. What is still held is given up.
func (p *Proxy) Close() error { return p.closing() }

func (p *Proxy) end() error {
	p.stop()
	p.nodes.mu.Lock()
	p.nodes.closed = true
	var errs []error
	for _, n := range p.nodes.byID {
		errs = append(errs, n.listener.Close())
	}
	p.nodes.mu.Unlock()
	p.conns.close()
	p.serving.Wait()
	return errors.Join(errs...)
}

// topics are the names of the topics' ids that answers have told.
type topics struct {
	mu    sync.RWMutex
	names map[[16]byte]string
}

// maxTopics is how many ids are remembered; of another topic no record is chosen.
const maxTopics = 100_000

func (t *topics) learn(id [16]byte, name string) {
	t.mu.RLock()
	known := t.names[id] == name || len(t.names) >= maxTopics
	t.mu.RUnlock()
	if known {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[id] = string([]byte(name)) // not tied to the answer's bytes
}

func (t *topics) name(id [16]byte) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.names[id]
}
