package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/health"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "orders"

type served struct {
	t     *testing.T
	c     *kfake.Cluster
	b     *orderlytest.Broker
	cons  *orderly.Consumer
	http  http.Handler
	stop  context.CancelFunc
	ended chan error
}

// serve prepares a consumer and its health; start runs it until the test ends.
func serve(t *testing.T, cfg orderly.ConsumerConfig, o health.Options) *served {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg.Brokers, cfg.Group, cfg.Topics, cfg.Logger = c.ListenAddrs(), "billing", []string{topic}, slog.New(slog.DiscardHandler)
	cfg.SessionTimeout, cfg.RebalanceTimeout, cfg.HeartbeatInterval, cfg.CommitInterval = time.Second, time.Second, 100*time.Millisecond, 50*time.Millisecond
	cons, err := orderly.NewConsumer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &served{t: t, c: c, b: orderlytest.Dial(t, c.ListenAddrs()...), cons: cons, http: health.Handler(cons, o), ended: make(chan error, 1)}
}

func (s *served) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.cons.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		s.cons.Abort()
		<-s.ended
	})
}

func (s *served) get(path string) (int, string) {
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func (s *served) want(path string, code int, texts ...string) {
	s.t.Helper()
	got, body := s.get(path)
	if got != code {
		s.t.Errorf("%s: %d %s", path, got, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			s.t.Errorf("%s does not say %q: %s", path, text, body)
		}
	}
}

func (s *served) turns(loop string) uint64 {
	for _, l := range s.cons.State().Loops {
		if l.Name == loop {
			return l.Turns
		}
	}
	return 0
}

func TestReady(t *testing.T) {
	t.Parallel()
	s := serve(t, orderly.ConsumerConfig{Handler: func(context.Context, *orderly.Message) error { return nil }}, health.Options{})
	s.want("/livez", 200)
	s.want("/readyz", 503, "Run was not called")
	s.want("/metrics", 404)
	s.start()
	s.b.Eventually("the group", func() bool { code, _ := s.get("/readyz"); return code == 200 })
	s.stop()
	s.b.Eventually("the end", func() bool { code, _ := s.get("/readyz"); return code == 503 })
	s.want("/readyz", 503, "Run has returned")
	s.want("/livez", 200)
}

// A handler that does not return, and keys that fail, are shown; they are no
// reason to restart.
func TestBlockedHandler(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	s := serve(t, orderly.ConsumerConfig{Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Hour},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch string(m.Key) {
			case "stuck":
				<-release
			case "bad", "\xff":
				return errors.New("no such account")
			}
			return nil
		}}, health.Options{Keys: orderly.KeysPlain,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the metrics")) })})
	hashed := health.Handler(s.cons, health.Options{})
	s.b.Produce(topic, orderlytest.Msg("stuck", "0"), orderlytest.Msg("bad", "1"), orderlytest.Msg("bad", "2"), orderlytest.Msg("\xff", "3"), orderlytest.Msg("good", "4"))
	s.start()
	var d health.Document
	s.b.Eventually("the state", func() bool {
		_, body := s.get("/state")
		d = health.Document{}
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		return len(d.Partitions) == 1 && d.Partitions[0].Lag != nil && *d.Partitions[0].Lag == 5 && d.Partitions[0].BlockedKeys == 2 && d.Partitions[0].DoneAhead == 1
	})
	p := d.Partitions[0]
	if d.Version != health.Version || !d.Alive || !d.Ready || d.Group != "billing" || d.Member == "" || p.Running != 1 || p.Undone != 4 ||
		p.Behind != 1 || p.Log == nil || p.Log.End != 5 || p.OldestUndone == nil || len(d.Loops) != 3 {
		t.Errorf("%+v", d)
	}
	// The tend loop goes round meanwhile.
	from := s.turns("tend")
	s.b.Eventually("loops", func() bool { return s.turns("tend") > from+3 })
	s.want("/livez", 200)
	s.want("/readyz", 200)
	s.want("/metrics", 200, "the metrics")
	s.want("/keys", 200, `"key":"bad"`, `"cause":"no such account"`, `"records":2`, `"first_offset":1`, `"key_hex":"ff"`, `"blocked":2`)
	if _, body := s.get("/keys?limit=1"); strings.Count(body, "first_offset") != 1 || !strings.Contains(body, `"blocked":2`) {
		t.Errorf("one key: %s", body)
	}
	if _, body := s.get("/keys?topic=other"); strings.Contains(body, "first_offset") {
		t.Errorf("of another topic: %s", body)
	}
	for _, bad := range []string{"0", "-1", "x", "10001"} {
		s.want("/keys?limit="+bad, 400, "from 1 to 10000")
	}
	if d.Breaker.State != orderly.BreakerClosed || d.Breaker.Since == nil || d.Breaker.NextProbe != nil || p.BlockedBy["backoff"] != 2 {
		t.Errorf("breaker %+v, blocked by state %v", d.Breaker, p.BlockedBy)
	}
	if _, body := s.get("/keys?state=backoff&limit=1"); strings.Count(body, "first_offset") != 1 || !strings.Contains(body, `"blocked":2`) || !strings.Contains(body, `"state":"backoff"`) {
		t.Errorf("of a state: %s", body)
	}
	if _, body := s.get("/keys?state=permanent"); strings.Contains(body, "first_offset") || !strings.Contains(body, `"blocked":0`) {
		t.Errorf("of another state: %s", body)
	}
	s.want("/keys?state=asleep", 400, "it is one of backoff, ")
	// By default keys are not to be read.
	for _, path := range []string{"/keys", "/state"} {
		w := httptest.NewRecorder()
		hashed.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if body := w.Body.String(); strings.Contains(body, `"bad"`) || !strings.Contains(body, orderly.HashKey([]byte("bad"))) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// Brokers that are gone are no reason to restart: it would not bring them back.
func TestDeadBroker(t *testing.T) {
	t.Parallel()
	s := serve(t, orderly.ConsumerConfig{Handler: func(context.Context, *orderly.Message) error { return nil }}, health.Options{})
	s.start()
	s.b.Eventually("the group", func() bool {
		st := s.cons.State()
		return len(st.Partitions) == 1 && st.Partitions[0].FencingToken > 0
	})
	s.b.Produce(topic, orderlytest.Msg("k", "0"))
	s.c.Close()
	// Longer than a turn of any loop may take: those that wait for an answer would
	// count as stuck by now.
	var limit time.Duration
	for _, l := range s.cons.State().Loops {
		limit = max(limit, l.Limit)
	}
	const tick = 100 * time.Millisecond
	from := s.turns("tend")
	s.b.Eventually("time to pass", func() bool {
		if code, body := s.get("/livez"); code != 200 {
			t.Fatalf("/livez: %d %s", code, body)
		}
		return s.turns("tend") > from+uint64(limit/tick)
	})
	if !s.cons.State().Silent {
		t.Error("the broker is still there")
	}
}

// A loop that does not go on is a reason, and is named.
func TestStuckLoop(t *testing.T) {
	var hold, entered chan struct{}
	wait := func() {
		select {
		case entered <- struct{}{}:
		default: // again
		}
		<-hold
	}
	for _, c := range []struct {
		loop string
		cfg  orderly.ConsumerConfig
	}{
		{"commit", orderly.ConsumerConfig{Events: orderly.Events{Committed: func(e orderly.CommittedEvent) {
			if e.Offset > 0 {
				wait()
			}
		}}}},
		{"poll", orderly.ConsumerConfig{OrderBy: orderly.OrderBy{Name: "hangs", Key: func(*kgo.Record) []byte { wait(); return nil }}}},
	} {
		t.Run(c.loop, func(t *testing.T) {
			hold, entered = make(chan struct{}), make(chan struct{}, 1)
			c.cfg.Handler = func(context.Context, *orderly.Message) error { return nil }
			s := serve(t, c.cfg, health.Options{})
			s.b.Produce(topic, orderlytest.Msg("k", "0"))
			s.start()
			<-entered
			s.want("/livez", 200) // not yet: it may go on
			s.b.Eventually("the loop to be stuck", func() bool { code, _ := s.get("/livez"); return code == 503 })
			s.want("/livez", 503, c.loop+" (for ")
			var stuck *orderly.StuckLoopError
			if err := s.cons.Alive(); !errors.As(err, &stuck) || len(stuck.Loops) == 0 {
				t.Errorf("%v", err)
			}
			close(hold)
			s.b.Eventually("it to go on", func() bool { code, _ := s.get("/livez"); return code == 200 })
		})
	}
}

// A breaker that is open says since when, why, and when it looks again.
func TestOpenBreaker(t *testing.T) {
	t.Parallel()
	s := serve(t, orderly.ConsumerConfig{Handler: func(context.Context, *orderly.Message) error { return orderly.Unavailable(errors.New("down")) }}, health.Options{})
	s.b.Produce(topic, orderlytest.Msg("a", "0"), orderlytest.Msg("b", "1"), orderlytest.Msg("c", "2"))
	s.start()
	var d health.Document
	s.b.Eventually("the breaker to open", func() bool {
		_, body := s.get("/state")
		d = health.Document{}
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		return d.Breaker.State == orderly.BreakerOpen && len(d.Partitions) == 1 && slices.Contains(d.Partitions[0].Reasons, "breaker-open")
	})
	if b := d.Breaker; b.Since == nil || b.Reason == "" || b.NextProbe == nil || b.FailingKeys < 2 || d.Partitions[0].BlockedBy["unavailable"] < 2 {
		t.Errorf("%+v, %v", b, d.Partitions[0].BlockedBy)
	}
	off := serve(t, orderly.ConsumerConfig{Breaker: orderly.Breaker{Disabled: true}, Handler: func(context.Context, *orderly.Message) error { return nil }}, health.Options{})
	off.want("/state", 200, `"state":"disabled","since":null`)
}
