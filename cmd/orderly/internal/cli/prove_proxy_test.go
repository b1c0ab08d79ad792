package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestProveProxyUsage(t *testing.T) {
	dir := t.TempDir()
	schedule := filepath.Join(dir, "schedule.jsonl")
	if err := os.WriteFile(schedule, []byte(`{"fault":{"kind":"cut","share":0.5}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitUsage, "needs --upstream"},
		{"--upstream nowhere", exitUsage, "an address is host:port"},
		{"--upstream a:1 extra", exitUsage, "takes no arguments"},
		{"--upstream a:1 --fault lost-ack", exitUsage, "it needs share="},
		{"--upstream a:1 --seq n", exitUsage, "--seq: path"},
		{"--upstream a:1 --schedule " + dir + "/absent", exitUsage, "--schedule: open"},
		{"--upstream a:1 --schedule " + empty, exitUsage, "has no faults"},
		{"--upstream a:1 --schedule " + schedule + " --record " + schedule, exitUsage, "would empty it"},
		{"--upstream a:1 --listen 192.0.2.1:0", exitUsage, "allow it by name (--expose)"},
		{"--upstream a:1 --upstream-tls-ca " + dir + "/absent", exitUsage, "--upstream-tls-ca: open"},
		{"--upstream a:1 --upstream-tls-ca " + empty, exitUsage, "has no certificate in it"},
		{"--upstream a:1 --record " + dir + "/absent/file", exitFailed, "--record: open"},
		{"--upstream 127.0.0.1:1", exitRefused, "does it want TLS (--upstream-tls)"},
	} {
		code, out, errs := call(t.Context(), append([]string{"prove", "proxy"}, strings.Fields(c.args)...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %q, %q; want exit %d and %q", c.args, code, out, errs, c.code, c.want)
		}
	}
	if text, err := os.ReadFile(schedule); err != nil || len(text) == 0 {
		t.Errorf("the schedule was emptied: %v", err)
	}
}

// proveProxy runs the command, calls use with the address that it printed, ends
// it, and gives the facts.
func proveProxy(t *testing.T, use func(addr string), args ...string) (facts proxy.Facts, code int, stderr string) {
	t.Helper()
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	out, in := io.Pipe()
	var errs shared
	done := make(chan struct{})
	go func() {
		defer close(done)
		code = Run(ctx, "test", append([]string{"prove", "proxy", "--json"}, args...), Streams{In: strings.NewReader(""), Out: in, Err: &errs})
		_ = in.Close()
	}()
	var addr string
	if _, err := fmt.Fscanf(out, "listening on %s\n", &addr); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	use(addr)
	interrupt(errInterrupted)
	if err := json.NewDecoder(out).Decode(&facts); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, out)
	<-done
	return facts, code, errs.String()
}

// The command strikes what it is told to, writes it down, and strikes the same when
// that is given back.
func TestProveProxy(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	produce := func(addr string) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"), kgo.ClientID("me"), kgo.ProducerBatchMaxBytes(1024))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		for i := range 400 {
			cl.Produce(t.Context(), &kgo.Record{Key: []byte("k"), Value: fmt.Appendf(nil, `{"n":%d}`, i)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "faults.jsonl")
	again := file + ".again"
	upstream := c.ListenAddrs()[0]
	facts, code, errs := proveProxy(t, produce, "--upstream", upstream, "--fault", "lost-ack:share=2%", "--seq", ".n", "--seed", "4", "--record", file)
	if code != exitOK || len(facts.Clients) != 1 || facts.Clients[0].ProducedRecords < 400 || facts.Counts[0].Chosen < 3 || !strings.Contains(errs, "seed 4") {
		t.Errorf("exit %d, %+v, %s", code, facts, errs)
	}
	_, code, errs = proveProxy(t, produce, "--upstream", upstream, "--schedule", file, "--seq", ".n", "--record", again)
	if code != exitOK {
		t.Errorf("exit %d, %s", code, errs)
	}
	numbers := func(file string) (all []int64) {
		text, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = text.Close() }()
		for dec := json.NewDecoder(text); ; {
			var h proxy.Hit
			if err := dec.Decode(&h); errors.Is(err, io.EOF) {
				slices.Sort(all)
				return all
			} else if err != nil {
				t.Fatal(err)
			}
			for _, target := range h.Targets() {
				all = append(all, *target.Number)
			}
		}
	}
	if a, b := numbers(file), numbers(again); int64(len(a)) != facts.Counts[0].Chosen || !slices.Equal(a, b) {
		t.Errorf("struck %v, and when given back %v", a, b)
	}
}

// What cannot be tried through a proxy is inconclusive.
func TestProveProxyInconclusive(t *testing.T) {
	if code := exitCode(&commandError{proxyWords(&proxy.Obstacle{What: "mutual TLS", Why: "no"})}); code != exitInconclusive {
		t.Errorf("exit %d", code)
	}
}

// The page of the proxy has each of its flags, kinds of faults and their settings.
func TestProveProxyPage(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"`share=`", "`times=`", "`skip=`", "`after=`", "`for=`", "`topic=`", "`client=`", "`group=`", "`api=`", "`error=`"}
	for _, kind := range proxy.Kinds {
		want = append(want, "| `"+string(kind)+"` |")
	}
	newProveProxy(Streams{}).Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			want = append(want, "`--"+f.Name)
		}
	})
	if len(want) < 30 {
		t.Errorf("only %d words are asked for", len(want))
	}
	for _, w := range want {
		if !strings.Contains(string(text), w) {
			t.Errorf("docs/proxy.md does not have %s", w)
		}
	}
}
