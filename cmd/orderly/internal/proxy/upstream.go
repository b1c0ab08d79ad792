package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// An Obstacle is why an experiment cannot be made through the proxy: it says
// nothing about order, either way.
type Obstacle struct {
	What string // in a word
	Why  string
}

func (o *Obstacle) Error() string { return "inconclusive: " + o.What + ": " + o.Why }

func mutualTLS() *Obstacle {
	return &Obstacle{"mutual TLS", "the brokers ask clients for a certificate, and a client's certificate does not pass through a proxy, which has not its key; " +
		"use a listener of the brokers that knows users by password (SASL), or the embedded broker"}
}

func kerberos() *Obstacle {
	return &Obstacle{"Kerberos", "SASL mechanism GSSAPI: a ticket is for the host that the client connects to, which here is the proxy and not the broker; " +
		"use PLAIN or SCRAM, or the embedded broker"}
}

// An upstream is a connection to a broker.
type upstream struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
	asked  *atomic.Bool // the broker wanted a certificate
}

func (u *upstream) Close() (err error) {
	u.once.Do(func() {
		close(u.closed)
		err = u.Conn.Close()
	})
	return err
}

// dial connects to a node; to the bootstrap's addresses in their order.
func (p *Proxy) dial(ctx context.Context, n *node) (*upstream, error) {
	return p.dialAny(ctx, n.addresses())
}

func (p *Proxy) dialAny(ctx context.Context, addrs []string) (*upstream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	var errs []error
	for _, addr := range addrs {
		u, err := p.dialOne(ctx, addr)
		if err == nil {
			return u, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (p *Proxy) dialOne(ctx context.Context, addr string) (*upstream, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	u := &upstream{Conn: nc, closed: make(chan struct{}), asked: new(atomic.Bool)}
	if p.cfg.UpstreamTLS == nil {
		return u, nil
	}
	cfg := p.cfg.UpstreamTLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	// It wins over certificates that were given: whose they are would not be
	// whose the client is.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		u.asked.Store(true)
		return new(tls.Certificate), nil
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		if o := p.alert(u, err); o != nil {
			return nil, o
		}
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	u.Conn = tc
	return u, nil
}

// alert is the obstacle that an error means: a broker that wants a certificate and
// gets none says so at once, or (TLS 1.3) only when it is read from.
func (p *Proxy) alert(u *upstream, err error) *Obstacle {
	if !u.asked.Load() {
		return nil
	}
	if text := err.Error(); strings.Contains(text, "certificate required") || strings.Contains(text, "bad certificate") || strings.Contains(text, "handshake failure") {
		return mutualTLS()
	}
	return nil
}

// noteAlert notes it, when it comes on a connection of a client's.
func (p *Proxy) noteAlert(u *upstream, err error) {
	if o := p.alert(u, err); o != nil {
		_ = p.obstructed(o)
	}
}

// An UpstreamError says that the cluster cannot be talked to.
type UpstreamError struct {
	Addrs []string
	Err   error
}

func (e *UpstreamError) Error() string {
	return fmt.Sprintf("no broker of %s: %v", strings.Join(e.Addrs, ", "), e.Err)
}

func (e *UpstreamError) Unwrap() error { return e.Err }

// probe asks a broker which versions it knows: they answer that to everybody.
func (p *Proxy) probe(ctx context.Context) error {
	err := p.ask(ctx)
	if _, ok := errors.AsType[*Obstacle](err); ok || err == nil {
		return err
	}
	return &UpstreamError{p.cfg.Upstream, err}
}

func (p *Proxy) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	u, err := p.dialAny(ctx, p.cfg.Upstream)
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = u.Close() })
	defer stop()
	req := kmsg.NewPtrApiVersionsRequest()
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("orderly-proxy")).AppendRequest(nil, req, 1)
	if _, err := u.Write(frame); err != nil {
		return fmt.Errorf("asking %s: %w", u.RemoteAddr(), err)
	}
	answer, err := readFrame(bufio.NewReader(u))
	if err != nil {
		if o := p.alert(u, err); o != nil {
			return o
		}
		return fmt.Errorf("%s does not answer as a broker does (is it one, and is one side TLS and the other not?): %w", u.RemoteAddr(), err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if len(answer) < 4 {
		return errShort
	}
	return decode(resp, answer[4:])
}
