package produce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "orders"

func path(t *testing.T, text string) *fieldpath.Path {
	t.Helper()
	p, err := fieldpath.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func options(t *testing.T, b *orderlytest.Broker, in string, files ...string) Options {
	return Options{Cluster: &connect.Cluster{Brokers: b.Addrs()}, Topic: topic, Key: *path(t, ".k"), MaxRecord: 1_000_012,
		In: strings.NewReader(in), Err: t.Output(), Files: files}
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), orderlytest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// stored reads all records, each as key=value, in the order of each partition.
func stored(t *testing.T, b *orderlytest.Broker, n int) (all []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := b.Admin().ListEndOffsets(limit(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	ends.Each(func(o kadm.ListedOffset) { sum += int(o.Offset) })
	if sum != n {
		t.Errorf("%d records in the topic, want %d", sum, n)
	}
	for len(all) < sum {
		fs := cl.PollFetches(limit(t))
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			v := string(r.Value)
			if r.Value == nil {
				v = "<none>"
			}
			all = append(all, string(r.Key)+"="+v)
		})
	}
	return all
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSends(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	var in strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&in, "{\"k\":%d,\"n\":%d}\n", i%10, i)
	}
	file := write(t, "more.jsonl", "\ufeff{\"k\":\"a\\u0000b\",\"n\":1}\r\n\n  {\"k\":true}")
	res, err := Run(limit(t), options(t, b, in.String(), "-", file))
	if err != nil || res.Sent != 5002 || res.Lines != 5002 || res.Failed != 0 || res.Skipped != 0 || res.Rate == 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	next := map[string]int{}
	all := stored(t, b, 5002)
	for _, kv := range all {
		k, v, _ := strings.Cut(kv, "=")
		var n int
		if len(k) != 1 {
			continue
		}
		fmt.Sscanf(k, "%d", &n)
		if want := fmt.Sprintf(`{"k":%s,"n":%d}`, k, next[k]*10+n); v != want {
			t.Fatalf("%s, want %s", kv, want)
		}
		next[k]++
	}
	if text := strings.Join(all, "\n"); !strings.Contains(text, "a\x00b={\"k\":\"a\\u0000b\",\"n\":1}") || !strings.Contains(text, `true={"k":true}`) {
		t.Error("the records of the second file are not there")
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	o := options(t, b, `{"k":"a","v":"text\n\u0000"}
{"k":"a","v":null}
{"k":"a","v":{"x": 1.50}}
`)
	o.Value = path(t, ".v")
	if res, err := Run(limit(t), o); err != nil || res.Sent != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := strings.Join(stored(t, b, 3), "|"); got != "a=text\n\x00|a=<none>|a={\"x\": 1.50}" {
		t.Errorf("%q", got)
	}
}

// A line that cannot be sent is named; what is before it is sent, and nothing
// behind it. With SkipBad it is counted.
func TestBadLines(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	sent := 0
	for _, c := range []struct{ line, want string }{
		{`{"x":1}`, `key .k: the field is missing (the line has no "k")`},
		{`{"k":null}`, "key .k: it is null"},
		{`{"k":""}`, "key .k: it is empty"},
		{`{"k":{}}`, "it is an object or a list"},
		{`{"k":[]}`, "it is an object or a list"},
		{`{"k":1e99999999999}`, "is out of range"},
		{`{"k":"\ud800"}`, "half of a character"},
		{`{"k":"a\\ufffd\ud800"}`, "half of a character"},
		{`{"k":"a\\ufffd\udc01"}`, "half of a character"},
		{`{"k":"\udc00\ud800"}`, "half of a character"},
		{`{"k":"\ud800\\udc00"}`, "half of a character"},
		{`{"k":1`, "not JSON, at byte 6"},
		{`{"k":1} {"k":2}`, "not JSON"},
		{"{\"k\":\"a\x00b\"}", "not JSON, at byte"},
		{"{\"k\":\"\xff\"}", "not UTF-8"},
		{`7`, ".k: the field is missing (the line is not an object)"},
		{`hello`, "not JSON"},
	} {
		file := write(t, "in.jsonl", "{\"k\":1}\n\n"+c.line+"\n{\"k\":2}\n")
		res, err := Run(limit(t), options(t, b, "", file))
		bad, ok := errors.AsType[*LineError](err)
		if !ok || bad.File != file || bad.Line != 3 || !strings.Contains(err.Error(), c.want) || res.Sent != 1 || res.Lines != 2 {
			t.Errorf("%s: %+v, %v", c.line, res, err)
		}
		o := options(t, b, "", file)
		var said bytes.Buffer
		o.SkipBad, o.Err = true, &said
		if res, err := Run(limit(t), o); err != nil || res.Sent != 2 || res.Skipped != 1 || res.Lines != 3 || !strings.Contains(said.String(), "in.jsonl line 3: ") || strings.Contains(said.String(), "\r") {
			t.Errorf("%s: %+v, %v, %s", c.line, res, err, said.String())
		}
		sent += 3
	}
	stored(t, b, sent)
}

func TestFiles(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	good := write(t, "good.jsonl", `{"k":1}`)
	for _, f := range []string{filepath.Join(t.TempDir(), "absent"), t.TempDir()} {
		_, err := Run(limit(t), options(t, b, "", good, f))
		if e, ok := errors.AsType[*FileError](err); !ok || e.File != f {
			t.Errorf("%v", err)
		}
	}
	stored(t, b, 0) // nothing of the good one either
}

func TestTopics(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t)
	o := options(t, b, `{"k":1}`)
	if _, err := Run(limit(t), o); err == nil || !strings.Contains(err.Error(), "topic orders is not there: check the name, or make it with --create") {
		t.Errorf("%v", err)
	}
	o.Create, o.Partitions = true, 3
	if res, err := Run(limit(t), o); err != nil || res.Sent != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	o.In = strings.NewReader(`{"k":1}`)
	if res, err := Run(limit(t), o); err != nil || res.Sent != 1 {
		t.Errorf("made twice: %+v, %v", res, err)
	}
	o.Partitions = 4
	if _, err := Run(limit(t), o); err == nil || !strings.Contains(err.Error(), "is there with 3 partitions, not 4") {
		t.Errorf("%v", err)
	}
	stored(t, b, 2)
}

// A record that the cluster does not take ends the run by its line, and no
// record of its key is behind it.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	var in strings.Builder
	in.WriteString("{\"k\":\"a\",\"n\":1}\n")
	fmt.Fprintf(&in, "{\"k\":\"a\",\"v\":%q}\n", strings.Repeat("x", 2_000_000))
	in.WriteString("{\"k\":\"a\",\"n\":2}\n")
	res, err := Run(limit(t), options(t, b, in.String()))
	e, ok := errors.AsType[*SendError](err)
	if !ok || e.Line != 2 || e.File != "standard input" || !errors.Is(err, orderly.ErrNotWritten) || res.Sent != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if got := stored(t, b, 1); got[0] != `a={"k":"a","n":1}` {
		t.Errorf("%q", got)
	}
}

// After a signal what was taken in is still sent, and the counts are true.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	r, w := io.Pipe()
	o := options(t, b, "")
	o.In = r
	ctx, cancel := context.WithCancelCause(limit(t))
	why := errors.New("a signal")
	go func() {
		_, _ = io.WriteString(w, "{\"k\":1}\n{\"k\":2}\n")
		cancel(why)
		_ = w.Close()
	}()
	res, err := Run(ctx, o)
	if !errors.Is(err, why) || res.Sent+res.Failed != res.Lines {
		t.Errorf("%+v, %v", res, err)
	}
	stored(t, b, int(res.Sent))
}

// A line of 100 MB is read; one that has no end is not kept in memory.
func TestLongLines(t *testing.T) {
	// With no limit but the tests': the race detector is slow with so many bytes.
	b := orderlytest.NewBroker(t, topic)
	long := strings.NewReader(strings.Repeat("x", 100_000_000))
	o := options(t, b, "")
	o.Value = path(t, ".v")
	o.In = io.MultiReader(strings.NewReader(`{"long":"`), long, strings.NewReader("\",\"k\":1,\"v\":\"a\"}\n{\"k\":1,\"v\":\"b\"}\n"))
	if res, err := Run(t.Context(), o); err != nil || res.Sent != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	_, _ = long.Seek(0, io.SeekStart)
	more := strings.NewReader(strings.Repeat("x", 40_000_000))
	o.In, o.SkipBad = io.MultiReader(strings.NewReader(`{"long":"`), long, more, strings.NewReader("\",\"k\":1}\n{\"k\":1,\"v\":\"c\"}\n")), true
	if res, err := Run(t.Context(), o); err != nil || res.Sent != 1 || res.Skipped != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if got := strings.Join(stored(t, b, 3), " "); got != "1=a 1=b 1=c" {
		t.Error(got)
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		read, size int64
		want       string
	}{
		{50, 100, "[===============               ]  50 %  1000 records, 500/s"},
		{200, 100, "[==============================] 100 %  1000 records, 500/s"},
		{50, 0, "1000 records, 500/s"},
	} {
		if got := progressLine(1000, c.read, c.size, 2*time.Second); got != c.want {
			t.Errorf("%q", got)
		}
	}
}
