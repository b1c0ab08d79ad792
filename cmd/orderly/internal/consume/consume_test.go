package consume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// Every record is printed, in order per key, is committed when the run ends, and
// does not come again.
func TestPrintsUntilTheEnd(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	var kvs []string
	for i := range 300 {
		kvs = append(kvs, fmt.Sprintf("k%d", i%7), fmt.Sprint(i))
	}
	write(t, b, kvs...)
	out := new(lines)
	res, err := Run(limit(t), options(t, b, out))
	if err != nil || !res.AtEnd || res.Done != 300 {
		t.Fatalf("%+v, %v", res, err)
	}
	last := map[string]int64{}
	for _, r := range out.records(t) {
		if before, ok := last[r.Key]; ok && r.Offset <= before {
			t.Errorf("%+v after offset %d", r, before)
		}
		last[r.Key] = r.Offset
		if r.Topic != topic || r.Attempt != 1 || r.Token == 0 {
			t.Errorf("%+v", r)
		}
	}
	if n := len(out.records(t)); n != 300 || committed(t, b, "g") != 300 {
		t.Errorf("%d printed, %d committed", n, committed(t, b, "g"))
	}
	write(t, b, "k1", "later")
	again := new(lines)
	if res, err := Run(limit(t), options(t, b, again)); err != nil || res.Done != 1 || again.records(t)[0].Value != "later" {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err := Run(limit(t), options(t, b, again)); err != nil || res.Done != 0 || !res.AtEnd {
		t.Errorf("nothing to do: %+v, %v", res, err)
	}
}

// No key is with two workers; a worker that dies costs its record an attempt and
// nothing else.
func TestWorkers(t *testing.T) {
	b := orderlytest.NewBroker(t, topic)
	path := filepath.Join(t.TempDir(), "log")
	t.Setenv(asWorker, path)
	var kvs []string
	for i := range 200 {
		value := "x"
		if i == 50 {
			value = "once"
		}
		kvs = append(kvs, fmt.Sprintf("k%d", i%5), value)
	}
	write(t, b, kvs...)
	o := options(t, b, nil)
	o.Command, o.Concurrency = []string{os.Args[0]}, 3
	res, err := Run(limit(t), o)
	if err != nil || res.Done != 200 || res.Retried != 1 || committed(t, b, "g") != 200 {
		t.Fatalf("%+v, %v", res, err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]string{}
	for line := range strings.Lines(string(log)) {
		f := strings.Fields(line)
		if f[0] == "begin" && in[f[1]] != "" || f[0] == "end" && in[f[1]] != f[3] {
			t.Errorf("%s while offset %q of the key is with a worker", line, in[f[1]])
		}
		in[f[1]] = map[string]string{"begin": f[3]}[f[0]]
	}
}

// A record that used up its attempts ends the run by name; what is not done is
// not committed.
func TestStopsAtAnExhaustedRecord(t *testing.T) {
	b := orderlytest.NewBroker(t, topic)
	t.Setenv(asWorker, filepath.Join(t.TempDir(), "log"))
	write(t, b, "k", "good", "k", "poison", "k", "never")
	o := options(t, b, nil)
	o.Command, o.Concurrency = []string{os.Args[0]}, 2
	res, err := Run(limit(t), o)
	stop, ok := errors.AsType[*orderly.StopError](err)
	if !ok || string(stop.Key) != "k" || stop.Offset != 1 || stop.Attempts != 3 || !strings.Contains(err.Error(), "it is poisoned") || res.AtEnd {
		t.Errorf("%+v, %v", res, err)
	}
	if n := committed(t, b, "g"); n != 1 {
		t.Errorf("%d committed", n)
	}
}

// The first signal ends the context: what was printed is committed.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	write(t, b, "a", "1", "b", "2", "c", "3")
	ctx, cancel := context.WithCancel(limit(t))
	out := &lines{got: func(n int) {
		if n == 3 {
			cancel()
		}
	}}
	o := options(t, b, out)
	o.UntilEnd = false
	res, err := Run(ctx, o)
	if err != nil || res.Done != 3 || res.AtEnd || committed(t, b, "g") != 3 {
		t.Errorf("%+v, %v; %d committed", res, err, committed(t, b, "g"))
	}
}

type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) { return 0, os.ErrClosed }

// What could not be printed is not done.
func TestOutputIsClosed(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	write(t, b, "a", "1")
	o := options(t, b, nil)
	o.Out, o.Retry.MaxAttempts = closedOutput{}, 1
	res, err := Run(limit(t), o)
	if !errors.Is(err, os.ErrClosed) || res.Done != 0 || committed(t, b, "g") != 0 {
		t.Errorf("%+v, %v; %d committed", res, err, committed(t, b, "g"))
	}
}

func TestNoTopic(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t)
	_, err := Run(limit(t), options(t, b, new(lines)))
	if e, ok := errors.AsType[*orderly.AccessError](err); !ok || e.Name != topic {
		t.Errorf("%v", err)
	}
}
