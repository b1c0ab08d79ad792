package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/health"
	metrics "github.com/orderly-go/orderly/metrics/prometheus"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// An observer serves metrics and health of the run.
type observer struct {
	m   *metrics.Metrics
	reg *prom.Registry
	ln  net.Listener
	srv *http.Server
	end chan struct{}
}

// A ListenError says that the address for metrics cannot be served.
type ListenError struct {
	Addr string
	Err  error
}

// Error names the address.
func (e *ListenError) Error() string {
	return fmt.Sprintf("--metrics %s cannot be served: %v; choose another address, or port 0 for any that is free", e.Addr, e.Err)
}

// Unwrap returns the system's error.
func (e *ListenError) Unwrap() error { return e.Err }

// listen takes the address. One without a host is of this machine alone: there is
// no authentication, and /keys may name keys.
func listen(addr string) (*observer, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &ListenError{addr, err}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, &ListenError{addr, err}
	}
	reg := prom.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m, err := metrics.New(metrics.Options{Registerer: reg})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &observer{m: m, reg: reg, ln: ln, end: make(chan struct{})}, nil
}

// serve begins to answer.
func (o *observer) serve(c *orderly.Consumer, keys orderly.KeyDisplay, log *slog.Logger) error {
	if err := o.m.Watch(c); err != nil {
		return err
	}
	h := health.Handler(c, health.Options{Metrics: promhttp.HandlerFor(o.reg, promhttp.HandlerOpts{}), Keys: keys})
	o.srv = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() {
		defer close(o.end)
		if err := o.srv.Serve(o.ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("orderly: metrics and health are not served any more", "address", o.ln.Addr(), "error", err)
		}
	}()
	return nil
}

// close ends it; answers under way get a moment.
func (o *observer) close() {
	if o.srv == nil {
		_ = o.ln.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if o.srv.Shutdown(ctx) != nil {
		_ = o.srv.Close()
	}
	<-o.end
}
