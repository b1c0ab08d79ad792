package consume

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// While what the workers need is down the probe is asked, and not the workers; when
// the probe says so, everything goes on.
func TestProbe(t *testing.T) {
	b := orderlytest.NewBroker(t, topic)
	var up atomic.Bool
	var asked, asFirst atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/needed" { // by a worker
			if asked.Load() > 0 && !up.Load() {
				asFirst.Add(1)
			}
		} else {
			asked.Add(1)
		}
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "log")
	t.Setenv(asWorker, path)
	t.Setenv(asWorkerNeeds, srv.URL+"/needed")
	write(t, b, "a", "needs", "b", "needs", "a", "x", "b", "x", "c", "x")
	o := options(t, b, nil)
	o.Command, o.Concurrency = []string{os.Args[0]}, 2
	o.Breaker = orderly.Breaker{ProbeURL: srv.URL + "/probe", ProbeInterval: 30 * time.Millisecond}
	type end struct {
		res Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		res, err := Run(limit(t), o)
		ended <- end{res, err}
	}()
	b.Eventually("the probe to be asked", func() bool { return asked.Load() >= 5 })
	// Two workers may have been asking when the breaker opened; none begins then.
	if n := asFirst.Load(); n > 2 {
		t.Errorf("workers were given %d records while the breaker was open", n)
	}
	up.Store(true)
	e := <-ended
	if e.err != nil || e.res.Done != 5 || !e.res.AtEnd || committed(t, b, "g") != 5 {
		t.Errorf("%+v", e)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for line := range strings.Lines(string(log)) {
		if f := strings.Fields(line); f[0] == "begin" {
			if last[f[1]] > f[3] {
				t.Errorf("key %s: offset %s after %s", f[1], f[3], last[f[1]])
			}
			last[f[1]] = f[3]
		}
	}
}
