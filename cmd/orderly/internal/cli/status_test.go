package cli

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/status"
	"github.com/orderly-go/orderly/health"
	"github.com/orderly-go/orderly/orderlytest"
)

// The cluster says what is done ahead of the commit, the member which key holds it.
func TestStatus(t *testing.T) {
	const topic = "orders"
	b := orderlytest.NewBroker(t)
	b.CreateTopic(topic, 1)
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: b.Addrs(), Group: "billing", Topics: []string{topic}, Logger: slog.New(slog.DiscardHandler),
		CommitInterval: 20 * time.Millisecond, Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Hour},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if strings.HasPrefix(string(m.Key), "bad") {
				return errors.New("no such\naccount")
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(health.Handler(c, health.Options{Keys: orderly.KeysPlain}))
	defer srv.Close()
	member := strings.TrimPrefix(srv.URL, "http://")
	brokers := strings.Join(b.Addrs(), ",")

	code, _, errs := call(t.Context(), "status", "-b", brokers, "-g", "billing")
	if code != exitRefused || !strings.Contains(errs, `the group "billing" has no members`) {
		t.Errorf("nothing there: exit %d, %s", code, errs)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	b.Produce(topic, orderlytest.Msg("bad1", "0"), orderlytest.Msg("good", "1"), orderlytest.Msg("bad2", "2"), orderlytest.Msg("good", "3"),
		orderlytest.Msg("bad2", "4"), orderlytest.Msg("good", "5"))

	var r status.Report
	b.Eventually("the status", func() bool {
		code, out, errs := call(t.Context(), "status", "-b", brokers, "-g", "billing", "--json", "--members", member)
		r = status.Report{}
		if code == exitOK {
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
		} else if code != exitRefused {
			t.Fatalf("exit %d, %s", code, errs)
		}
		return len(r.Partitions) == 1 && r.Partitions[0].DoneAhead == 3 && r.Partitions[0].Failed == 2 &&
			r.Partitions[0].Live != nil && r.Partitions[0].Live.BlockedKeys == 2 && len(r.Members) == 1
	})
	p := r.Partitions[0]
	if r.State != "Stable" || p.Committed != 0 || p.End != 6 || p.Lag != 6 || p.Undone != 3 || p.Attempts != 2 ||
		p.FencingToken == 0 || p.FencingToken != p.Live.FencingToken || r.Members[0].Address != member || r.Members[0].Partitions != 1 || p.Owner != r.Members[0].ID {
		t.Errorf("%+v, live %+v, members %+v", p, p.Live, r.Members)
	}
	code, out, errs := call(t.Context(), "status", "-b", brokers, "-g", "billing", "--members", member+",127.0.0.1:1")
	for _, want := range []string{"group billing: stable, 1 member, 1 partition; lag 6, undone 3", "orders/0", " closed", `"bad1"`, "  backoff  ", "no such account", "not reached: 127.0.0.1:1"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in:\n%s%s", code, want, out, errs)
		}
	}
	// Watched until it is interrupted, which is no failure.
	watching, enough := context.WithCancel(t.Context())
	seen := &untilText{want: "orders/0", times: 2, then: enough}
	if code := Run(watching, "test", []string{"status", "-b", brokers, "-g", "billing", "--watch", "--every", "100ms"}, Streams{Out: seen, Err: seen}); code != exitOK {
		t.Errorf("--watch: exit %d, %s", code, seen.text)
	}

	var k status.Keys
	code, out, _ = call(t.Context(), "keys", "list", "--members", member, "--sort", "records", "--json")
	if err := json.Unmarshal([]byte(out), &k); err != nil || code != exitOK {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if len(k.Keys) != 2 || k.Blocked != 2 || *k.Keys[0].Key != "bad2" || k.Keys[0].Records != 2 || k.Keys[0].FirstOffset != 2 ||
		k.Keys[0].Attempts != 1 || k.Keys[0].Cause != "no such\naccount" || k.Keys[0].Since.IsZero() || k.Keys[0].Next == nil || k.Keys[0].State != "backoff" {
		t.Errorf("%s", out)
	}
	code, out, _ = call(t.Context(), "keys", "list", "--members", member, "--limit", "1")
	if code != exitOK || !strings.Contains(out, "2 keys are blocked; 1 of them:") || !strings.Contains(out, `"bad1"`) || strings.Contains(out, `"bad2"`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	for state, n := range map[string]int{"backoff": 2, "permanent": 0} {
		code, out, _ = call(t.Context(), "keys", "list", "--members", member, "--state", state, "--json")
		if err := json.Unmarshal([]byte(out), &k); err != nil || code != exitOK || len(k.Keys) != n || k.Blocked != n {
			t.Errorf("--state %s: exit %d, %v: %s", state, code, err, out)
		}
	}
	if code, out, _ = call(t.Context(), "keys", "list", "--members", member, "--state", "permanent"); code != exitOK || out != "no key is blocked as permanent\n" {
		t.Errorf("exit %d, %q", code, out)
	}
	code, out, errs = call(t.Context(), "keys", "list", "--members", member+",127.0.0.1:1")
	if code != exitInconclusive || !strings.Contains(out, "not reached: 127.0.0.1:1") || !strings.Contains(errs, "1 of 2 members was not reached") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// untilText calls then when a text was written so many times.
type untilText struct {
	want  string
	times int
	then  func()
	text  string
}

func (u *untilText) Write(b []byte) (int, error) {
	u.text += string(b)
	if strings.Count(u.text, u.want) >= u.times {
		u.then()
	}
	return len(b), nil
}

func TestStatusUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "needs a group"},
		{[]string{"status", "-g", "g", "--members", "host"}, `"host" is not HOST:PORT`},
		{[]string{"status", "-g", "g", "--every", "1ms"}, "at least 100ms"},
		{[]string{"keys", "list"}, "needs --members"},
		{[]string{"keys", "lst"}, "did you mean list"},
		{[]string{"keys", "list", "--members", "a:1", "--state", "asleep"}, "it must be parked, blocked"},
		{[]string{"keys", "list", "--members", "a:1", "--sort", "size"}, "it must be one of age"},
		{[]string{"keys", "list", "--members", "a:1", "--limit", "0"}, "from 1 to 10000"},
		{[]string{"consume", "-t", "t", "-g", "g", "--log-keys", "some"}, "hash, plain or none"},
		{[]string{"consume", "-t", "t", "-g", "g", "--probe", "ledger:80"}, `--probe is "ledger:80": it must be an address like http://host:port/health or tcp:host:port`},
		{[]string{"consume", "-t", "t", "-g", "g", "--probe", "http://"}, "it must be an address like"},
		{[]string{"consume", "-t", "t", "-g", "g", "--probe", "tcp:ledger"}, "it must be an address like"},
		{[]string{"consume", "-t", "t", "-g", "g", "--probe-interval", "1ms"}, "--probe-interval is 1ms: it must be from 10ms to 1h"},
		{[]string{"consume", "-t", "t", "-g", "g", "--probe", "tcp:a:1", "--no-breaker"}, "of no use with --no-breaker"},
		{[]string{"consume", "-t", "t", "-g", "g", "--probe-interval", "1s", "--no-breaker"}, "of no use with --no-breaker"},
	} {
		if code, _, errs := call(t.Context(), c.args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, %s; want %q", c.args, code, errs, c.want)
		}
	}
}

func TestParseProbe(t *testing.T) {
	for text, want := range map[string]orderly.Breaker{
		"":                          {},
		"http://ledger:8080/health": {ProbeURL: "http://ledger:8080/health"},
		"https://ledger":            {ProbeURL: "https://ledger"},
		"tcp:ledger:5432":           {ProbeTCP: "ledger:5432"},
		"tcp:[::1]:5432":            {ProbeTCP: "[::1]:5432"},
	} {
		var got orderly.Breaker
		if err := parseProbe(text, &got); err != nil || got.ProbeURL != want.ProbeURL || got.ProbeTCP != want.ProbeTCP {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
