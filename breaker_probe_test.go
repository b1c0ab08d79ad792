package orderly

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func ask(t *testing.T, b Breaker) error {
	t.Helper()
	orDefault(&b.ProbeTimeout, 5*time.Second)
	p := newProber(&b)
	defer p.cancel()
	return p.ask()
}

// What the URL answers is bounded in every way: status, redirects, time, size.
func TestProbeURL(t *testing.T) {
	hang := make(chan struct{})
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up":
			w.WriteHeader(http.StatusNoContent)
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/once":
			http.Redirect(w, r, "/up", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/endless": // a body that never ends
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/header":
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		case "/hang":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
	}))
	defer s.Close()
	defer close(hang)
	for path, want := range map[string]string{
		"/up": "", "/once": "", "/endless": "", "/down": "503", "/circle": "more than 3 times", "/away": "another host", "/header": "exceeded", "/hang": "",
	} {
		b := Breaker{ProbeURL: s.URL + path}
		if path == "/hang" {
			b.ProbeTimeout, want = 20*time.Millisecond, "deadline"
		}
		err := ask(t, b)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "has not answered within")) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestProbeTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, Breaker{ProbeTCP: l.Addr().String()}); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	if err := ask(t, Breaker{ProbeTCP: l.Addr().String()}); err == nil {
		t.Error("nobody listens, and that is fine")
	}
}

// A function may panic, end its goroutine or never return.
func TestProbeFunction(t *testing.T) {
	var p *PanicError
	if err := ask(t, Breaker{Probe: func(context.Context) error { panic("oh") }}); !errors.As(err, &p) || p.Value != "oh" {
		t.Errorf("a panic: %v", err)
	}
	if err := ask(t, Breaker{Probe: func(context.Context) error { runtime.Goexit(); return nil }}); err == nil {
		t.Error("Goexit counts as an answer")
	}
	b := Breaker{ProbeTimeout: time.Millisecond}
	release, calls := make(chan struct{}), atomic.Int64{}
	b.Probe = func(context.Context) error { calls.Add(1); <-release; return nil }
	pr := newProber(&b)
	defer pr.cancel()
	if err := pr.ask(); err == nil || !strings.Contains(err.Error(), "has not answered within 1ms") {
		t.Errorf("%v", err)
	}
	if err := pr.ask(); err == nil || !strings.Contains(err.Error(), "has not returned") || calls.Load() != 1 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	close(release)
	eventuallyNil(t, pr.ask)
}

func eventuallyNil(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		if err = f(); err == nil {
			return
		}
	}
	t.Errorf("still: %v", err)
}
