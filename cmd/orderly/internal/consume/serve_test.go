package consume

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/orderly-go/orderly/orderlytest"
)

type errOutput struct {
	mu   sync.Mutex
	text string
}

func (o *errOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text += string(b)
	return len(b), nil
}

func (o *errOutput) get() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// Metrics and health of a run are served on this machine alone, and end with it.
func TestServesMetrics(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	write(t, b, "k1", "a", "k1", "b")
	errs := new(errOutput)
	o := options(t, b, new(lines))
	o.UntilEnd, o.Metrics, o.Err = false, ":0", errs
	ctx, stop := context.WithCancel(limit(t))
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, o)
		ended <- err
	}()
	var addr string
	b.Eventually("the address", func() bool {
		m := regexp.MustCompile(`http://(\S+)`).FindStringSubmatch(errs.get())
		if m != nil {
			addr = m[1]
		}
		return m != nil
	})
	if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
		t.Errorf("served at %s", addr)
	}
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	b.Eventually("the metrics", func() bool {
		_, body := get("/metrics")
		return strings.Contains(body, `orderly_records_done_total{group="g",outcome="ok",topic="`+topic+`"} 2`) && strings.Contains(body, "go_goroutines")
	})
	for _, path := range []string{"/livez", "/readyz", "/state", "/keys"} {
		if code, body := get(path); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	// A second one cannot have the same address.
	o2 := o
	o2.Metrics = addr
	var taken *ListenError
	if _, err := Run(ctx, o2); !errors.As(err, &taken) || !strings.Contains(err.Error(), addr) {
		t.Errorf("the address is taken: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("still served after the run")
	}
}
