package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/history"
)

// historyFile writes a history in which the records of one key have this order
// in the log.
func historyFile(t *testing.T, order ...int64) string {
	t.Helper()
	var events []history.Event
	e := history.Event{Topic: "orders", Key: history.StringKey("a"), Writer: "w1"}
	for n := range order {
		e.Kind, e.Number = history.Send, int64(n+1)
		events = append(events, e)
	}
	for o, n := range order {
		e.Number, e.Offset = n, int64(o)
		for _, e.Kind = range []history.Kind{history.Ack, history.LogRead} {
			events = append(events, e)
		}
	}
	events = append(events, history.Event{Kind: history.Fault, Why: "lost-ack", Topic: "orders"})
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := history.Save(path, events); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProveCheck(t *testing.T) {
	good, bad, empty := historyFile(t, 1, 2, 3), historyFile(t, 2, 1, 3), historyFile(t)
	text, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[4] = append(lines[4][:10:10], '\n')
	damaged := filepath.Join(t.TempDir(), "damaged.jsonl")
	if err := os.WriteFile(damaged, bytes.Join(lines, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		out  string // on standard output
		errs string // on standard error
	}{
		{[]string{good}, exitOK, "HELD: no violation in 3 records of 1 key under 1 fault (1 lost-ack)", ""},
		{[]string{"--control", bad, good}, exitOK, "while the control was violated 1 time", ""},
		{[]string{"--control", good, good}, exitInconclusive, "INCONCLUSIVE: the control did not break", "orderly: inconclusive: the control did not break"},
		{[]string{"--min-faults", "2", good}, exitInconclusive, "1 fault hit the subject; needed: 2", "inconclusive"},
		{[]string{bad}, exitViolated, "enable.idempotence=true", "orderly: violated: 1 nonmonotonic-send"},
		{[]string{"--embedded", bad}, exitViolated, "in-sync replicas", "violated"},
		{[]string{"--accept", "nonmonotonic-send", bad}, exitOK, "which you accept", ""},
		{[]string{empty}, exitInconclusive, "INCONCLUSIVE", "inconclusive"},
		{[]string{damaged}, exitUsage, "", "damaged.jsonl line 5: rule json: "},
		{[]string{"--control", damaged, good}, exitUsage, "", "damaged.jsonl line 5: rule json: "},
		{[]string{"absent.jsonl"}, exitUsage, "", "history absent.jsonl: cannot be read"},
		{[]string{t.TempDir()}, exitUsage, "", "cannot be read"},
		{nil, exitUsage, "", "takes one history, or - for standard input; got 0"},
		{[]string{good, bad}, exitUsage, "", "got 2 arguments"},
		{[]string{"--control", "-", "-"}, exitUsage, "", "both the history and --control"},
		{[]string{"--accept", "unseen", good}, exitUsage, "", `--accept "unseen" is no class`},
		{[]string{"--scope", "x", good}, exitUsage, "", "--scope is \"x\""},
		{[]string{"--min-faults", "-1", good}, exitUsage, "", "--min-faults is -1"},
		{[]string{"--html", filepath.Join(good, "x.html"), good}, exitFailed, "", "the report cannot be written"},
	} {
		code, out, errs := call(t.Context(), append([]string{"prove", "check"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" || c.out == "" && out != "" {
			t.Errorf("%q: exit %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, out, errs)
		}
	}
}

// A history from standard input is judged like a file, with its example.
func TestProveCheckReadsStandardInput(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	text, err := os.ReadFile(historyFile(t, 2, 1, 3))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	code := Run(t.Context(), "v1", []string{"prove", "check", "--json", "-"}, Streams{In: bytes.NewReader(text), Out: &out, Err: &errs})
	var v judge.Verdict
	if err := json.Unmarshal([]byte(out.String()), &v); err != nil {
		t.Fatal(err)
	}
	if code != exitViolated || v.Verdict != judge.Violated || v.Format != 1 || v.Subject.Name != "standard input" {
		t.Errorf("exit %d, %s\n%s", code, &out, &errs)
	}
	if len(v.Findings) != 1 || v.Findings[0].Example == nil || len(v.Findings[0].Example.Events) < 6 {
		t.Errorf("no example: %+v", v.Findings)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestProveCheckWritesThePage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.html")
	code, _, errs := call(t.Context(), "prove", "check", "--html", path, historyFile(t, 2, 1))
	page, err := os.ReadFile(path)
	if err != nil || code != exitViolated || !strings.Contains(string(page), "<svg") || !strings.Contains(string(page), "orderly v1.2.3") {
		t.Errorf("exit %d, %v, %s, %d bytes", code, err, errs, len(page))
	}
}

func TestProveCheckIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	order := make([]int64, 1000)
	for i := range order {
		order[i] = int64(i + 1)
	}
	if code, out, errs := call(ctx, "prove", "check", historyFile(t, order...)); code != exitInterrupted || out != "" {
		t.Errorf("exit %d, %s, %s", code, out, errs)
	}
}

// The help names every class and every field of the JSON.
func TestProveCheckHelp(t *testing.T) {
	_, out, _ := call(t.Context(), "prove", "check", "--help")
	for _, c := range history.Classes() {
		if !c.Weak() && !strings.Contains(out, string(c)) {
			t.Errorf("the help does not name class %s", c)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[judge.Verdict](), reflect.TypeFor[judge.Finding](), reflect.TypeFor[judge.Summary]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(out) {
				t.Errorf("the help does not name %s.%s", typ.Name(), name)
			}
		}
	}
}
