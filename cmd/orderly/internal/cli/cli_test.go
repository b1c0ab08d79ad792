package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
)

func TestUsageErrors(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("what\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string // on standard error
	}{
		{[]string{"demmo"}, `unknown command "demmo" of "orderly"; did you mean demo?`},
		{[]string{"nothing-like-it"}, `unknown command "nothing-like-it" of "orderly"`},
		{[]string{"--nope"}, "unknown flag: --nope"},
		{[]string{"demo", "--nope"}, "unknown flag: --nope"},
		{[]string{"demo", "extra"}, `"orderly demo" takes no arguments, but got "extra"`},
		{[]string{"demo", "--seed", "x"}, "invalid argument \"x\" for \"--seed\""},
		{[]string{"demo", "--input"}, "flag needs an argument: --input"},
		{[]string{"demo", "--partitions", "2"}, "--partitions is 2: it must be from 3"},
		{[]string{"demo", "--input", bad}, "bad.jsonl line 1: not a change"},
		{[]string{"demo", "--input", "absent.jsonl"}, "input absent.jsonl: cannot be opened"},
		{[]string{"version", "extra"}, "takes no arguments"},
		{[]string{"help", "nope"}, `unknown command "nope"`},
		{[]string{"completion", "tcsh"}, `unknown command "tcsh" of "orderly completion"`},
		{[]string{"completion", "bash", "extra"}, "extra"},
		{[]string{demo.MemberCommand}, "run \"orderly demo\""},
		{[]string{prove.MemberCommand, "{}"}, "run \"orderly prove scenario\""},
	} {
		code, out, errs := call(t.Context(), c.args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "orderly: ") || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q; want exit 2 and %q", c.args, code, out, errs, c.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		code, out, errs := call(t.Context(), args...)
		if code != exitOK || errs != "" {
			t.Errorf("%q: exit %d, stderr %q", args, code, errs)
		}
		for _, want := range []string{exitHelp, "orderly demo", "version", "completion"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q does not say %q:\n%s", args, want, out)
			}
		}
		if strings.Contains(out, demo.MemberCommand) || strings.Contains(out, prove.MemberCommand) {
			t.Errorf("%q shows the hidden command", args)
		}
	}
	for _, args := range [][]string{{"help", "demo"}, {"demo", "-h"}} {
		if code, out, _ := call(t.Context(), args...); code != exitOK || !strings.Contains(out, "orderly demo --seed 7") {
			t.Errorf("%q: exit %d, no example in\n%s", args, code, out)
		}
	}
	if code, out, _ := call(t.Context(), "completion", "bash"); code != exitOK || !strings.Contains(out, "bash completion") {
		t.Errorf("completion: exit %d, %d bytes", code, len(out))
	}
	if code, out, _ := call(t.Context(), "completion"); code != exitOK || !strings.Contains(out, "powershell") {
		t.Errorf("completion: exit %d\n%s", code, out)
	}
}

// The help of the demo names every field of its JSON.
func TestDemoHelpNamesAllFields(t *testing.T) {
	_, out, _ := call(t.Context(), "demo", "--help")
	for _, typ := range []reflect.Type{reflect.TypeFor[demo.Result](), reflect.TypeFor[demo.Column]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(out) {
				t.Errorf("the help does not name %s.%s", typ.Name(), name)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	broken := errors.New("broken")
	ours := func(err error) error { return &commandError{fmt.Errorf("somewhere: %w", err)} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{ours(broken), 1},
		{broken, 2}, // cobra's
		{ours(&orderly.ConfigError{}), 2},
		{ours(&demo.InputError{}), 2},
		{ours(&demo.LimitError{}), 2},
		{usagef("no"), 2},
		{ours(verdict(&demo.Result{Verdict: demo.Violated})), 3},
		{ours(verdict(&demo.Result{Verdict: demo.Inconclusive})), 4},
		{verdict(&demo.Result{Verdict: demo.Kept}), 0},
		{ours(&orderly.ConnectError{Err: broken}), 5},
		{ours(&orderly.AccessError{Err: broken}), 5},
		{ours(&orderly.StopError{Err: broken}), 1},
		{ours(errInterrupted), 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
	if got := errorText(errors.New("orderly: no broker")); got != "orderly: no broker" {
		t.Errorf("%q", got)
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := call(t.Context(), "version", "--json")
	var v versions
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitOK || v.Version != "v1.2.3" || v.Go == "" || v.FranzGo == "" {
		t.Errorf("exit %d, %+v, %v", code, v, err)
	}
	if code, out, _ := call(t.Context(), "version"); code != exitOK || !strings.HasPrefix(out, "orderly v1.2.3\ngo1.") || !strings.Contains(out, "franz-go ") {
		t.Errorf("exit %d, %q", code, out)
	}

	info := &debug.BuildInfo{
		Main:     debug.Module{Version: "v0.9.0"},
		Deps:     []*debug.Module{{Path: "x", Version: "v0"}, {Path: franzGo, Version: "v1.22.2"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}},
	}
	if v := versionsOf("dev", info); v.Version != "v0.9.0" || v.FranzGo != "v1.22.2" || v.Revision != "abc" {
		t.Errorf("%+v", v)
	}
	if v := versionsOf("v2", info); v.Version != "v2" {
		t.Errorf("%+v", v)
	}
	info.Main.Version, info.Deps[1].Replace = "(devel)", &debug.Module{Version: "v1.99.0"}
	if v := versionsOf("dev", info); v.Version != "dev" || v.FranzGo != "v1.99.0" {
		t.Errorf("%+v", v)
	}
	if v := versionsOf("dev", nil); v.FranzGo != "unknown" {
		t.Errorf("%+v", v)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What cannot be printed was not done.
func TestBrokenOutput(t *testing.T) {
	var errs strings.Builder
	code := Run(t.Context(), "dev", []string{"version", "--json"}, Streams{In: strings.NewReader(""), Out: brokenWriter{}, Err: &errs})
	if code != exitFailed || errs.String() == "" {
		t.Errorf("exit %d, stderr %q", code, errs.String())
	}
}

// The first signal ends the context, the second one the process.
func TestSignals(t *testing.T) {
	ch := make(chan os.Signal)
	left := make(chan int)
	ctx, stop := interruptible(t.Context(), ch, func(code int) { left <- code })
	ch <- os.Interrupt
	<-ctx.Done()
	ch <- syscall.SIGTERM
	if code := <-left; code != exitInterrupted {
		t.Errorf("left with %d", code)
	}
	stop()

	ctx, stop = interruptible(t.Context(), ch, nil)
	stop()
	<-ctx.Done()
}

// The whole demo from the command line, with an input of one's own.
func TestDemo(t *testing.T) {
	t.Parallel()
	in, err := demo.Sample()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "part.jsonl")
	var lines strings.Builder
	enc := json.NewEncoder(&lines)
	for _, c := range in.Changes[:1500] {
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call(t.Context(), "demo", "--json", "--input", path, "--seed", "7", "--partitions", "4")
	var r demo.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit %d, %v\n%s\n%s", code, err, out, errs)
	}
	if code != exitOK || r.Verdict != demo.Kept || r.Input != path || r.Seed != 7 || r.Partitions != 4 || r.Version != "v1.2.3" || r.Saved != "" {
		t.Errorf("exit %d, %s\n%s", code, out, errs)
	}
	if r.Orderly.Records != 1500 || !r.Orderly.EndStateEqual || r.Orderly.Retries == 0 || r.Orderly.KilledPID == 0 || r.Orderly.JoinedPID == 0 {
		t.Errorf("orderly's column %+v", r.Orderly)
	}
	if strings.Contains(errs, "\r") || !strings.Contains(errs, "[2/3 orderly] 1,500 of 1,500, ") {
		t.Errorf("progress:\n%s", errs)
	}
}

// An interrupted demo says so, and nothing else.
func TestDemoInterrupted(t *testing.T) {
	ch := make(chan os.Signal, 1)
	ctx, stop := interruptible(t.Context(), ch, nil)
	defer stop()
	ch <- os.Interrupt
	<-ctx.Done()
	code, out, errs := call(ctx, "demo", "--json")
	if code != exitInterrupted || out != "" || !strings.HasSuffix(errs, "orderly: interrupted\n") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
}
