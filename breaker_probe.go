package orderly

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// A Breaker stops all attempts while a dependency of the handlers is down, so that an
// outage costs no record its attempts. It is on by default; see docs/guarantees.md for
// when it opens and closes.
//
// At most one of Probe, ProbeURL and ProbeTCP says whether the dependency is up.
// Without one the heads of different keys are tried, one at a time.
type Breaker struct {
	Disabled bool
	// Probe returns nil when the dependency is up. It has to return when its context
	// ends; one that does not counts as an error, and is not called again before it
	// has returned.
	Probe func(ctx context.Context) error
	// ProbeURL is asked with GET; an answer 2xx says that the dependency is up. A
	// redirect is followed three times, and only on the same host; the body is not read.
	ProbeURL string
	// ProbeTCP is an address, host:port, that accepts connections when the dependency
	// is up.
	ProbeTCP string
	// ProbeTimeout ends a probe. Default 5 s.
	ProbeTimeout time.Duration
	// ProbeInterval is the longest time between two probes, and a third of it the
	// shortest: it is random in between. Default 30 s.
	ProbeInterval time.Duration
	// MaxInterval bounds that time, which doubles each time the breaker opens again
	// soon after it let something through. Default 5 min.
	MaxInterval time.Duration
	// Successes is how many probes or heads have to succeed in a row before one key is
	// let through, then two, four and so on. Default 3.
	Successes int
}

func (b *Breaker) setDefaults() {
	orDefault(&b.ProbeTimeout, 5*time.Second)
	orDefault(&b.ProbeInterval, 30*time.Second)
	orDefault(&b.MaxInterval, max(5*time.Minute, b.ProbeInterval))
	orDefault(&b.Successes, 3)
}

func (b *Breaker) validate(bad func(string, ...any)) {
	var probes []string
	if b.Probe != nil {
		probes = append(probes, "Breaker.Probe")
	}
	if b.ProbeURL != "" {
		probes = append(probes, "Breaker.ProbeURL")
		u, err := url.Parse(b.ProbeURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			bad("Breaker.ProbeURL %q is no address like http://host:port/health", b.ProbeURL)
		}
	}
	if b.ProbeTCP != "" {
		probes = append(probes, "Breaker.ProbeTCP")
		if host, port, err := net.SplitHostPort(b.ProbeTCP); err != nil || host == "" || port == "" {
			bad("Breaker.ProbeTCP %q is no address like host:port", b.ProbeTCP)
		}
	}
	if len(probes) > 1 {
		bad("%s are set: at most one of them is the probe; a Breaker.Probe function can ask several", strings.Join(probes, " and "))
	}
	if b.Disabled && len(probes) > 0 {
		bad("%s is set with Breaker.Disabled: nobody would ask it", strings.Join(probes, " and "))
	}
	within(bad, true, "Breaker.ProbeTimeout", b.ProbeTimeout, time.Millisecond, time.Minute)
	within(bad, true, "Breaker.ProbeInterval", b.ProbeInterval, 10*time.Millisecond, time.Hour)
	within(bad, true, "Breaker.MaxInterval", b.MaxInterval, b.ProbeInterval, 24*time.Hour)
	within(bad, true, "Breaker.Successes", b.Successes, 1, 1000)
}

// A prober asks whether the dependency is up. It is used by one at a time.
type prober struct {
	probe   func(ctx context.Context) error
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	late    chan error // of a probe that has not returned in its time
}

func newProber(b *Breaker) *prober {
	p := &prober{probe: b.Probe, timeout: b.ProbeTimeout}
	switch {
	case b.ProbeURL != "":
		p.probe = probeURL(b.ProbeURL)
	case b.ProbeTCP != "":
		p.probe = probeTCP(b.ProbeTCP)
	case b.Probe == nil:
		return nil
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// ask returns within the timeout, whatever the probe does.
func (p *prober) ask() error {
	if p.late != nil {
		select {
		case <-p.late:
			p.late = nil
		default:
			return errors.New("the probe that was called before has not returned although its context has ended")
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.timeout)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		// Also when it ends its goroutine there is an answer.
		err := errors.New("the probe ended its goroutine instead of returning")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("the probe panicked: %w", &PanicError{Value: v, Stack: debug.Stack()})
			}
			answer <- err
		}()
		err = p.probe(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-answer: // it has returned in time after all
		return err
	default:
	}
	p.late = answer
	return fmt.Errorf("the probe has not answered within %s", p.timeout)
}

func probeURL(address string) func(context.Context) error {
	const redirects, headers = 3, 64 << 10
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true // each probe finds out anew whether it can connect
	t.MaxResponseHeaderBytes = headers
	client := &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host {
			return fmt.Errorf("it redirects to another host, %s", r.URL.Host)
		}
		if len(via) > redirects {
			return fmt.Errorf("it redirects more than %d times", redirects)
		}
		return nil
	}}
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // unread: what it says does not matter, and it may be long
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("GET %s answered %s", address, resp.Status)
		}
		return nil
	}
}

func probeTCP(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
}
