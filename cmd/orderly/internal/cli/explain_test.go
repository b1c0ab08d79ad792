package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const refused = "[2026-11-20 03:12:44,871] WARN Out of order sequence number for producer 40031 at offset 88210 in partition payments-3: 57 (incoming seq. number), 12 (current end sequence number)"

func logFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExplainUsage(t *testing.T) {
	empty, binary := logFile(t, ""), logFile(t, "\x00\x01\x02")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "needs something to explain"},
		{[]string{"--follow", "45"}, "--follow goes with a log"},
		{[]string{"45", "-f", empty}, "not both"},
		{[]string{"45", "--client", "kafkajs"}, `client "kafkajs" is not known`},
		{[]string{"45", "--fail-on", "note"}, "must be error or warn"},
		{[]string{"OUT_OF_ORDR_SEQUENCE_NUMBER"}, "did you mean OUT_OF_ORDER_SEQUENCE_NUMBER"},
		{[]string{"4711"}, `"4711" is no error`},
		{[]string{"-f", empty}, "is empty"},
		{[]string{"-f", binary}, "is binary"},
		{[]string{"-f", empty + ".absent"}, "cannot be read"},
		{[]string{"-f", filepath.Dir(empty)}, "it is a folder"},
		{[]string{"-"}, "standard input: is empty"},
	} {
		code, out, errs := call(t.Context(), append([]string{"explain"}, c.args...)...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "orderly: ") || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q; want exit 2 and %q", c.args, code, out, errs, c.want)
		}
	}
}

// An error and a log are explained; the exit says what --fail-on asks for.
func TestExplainCommand(t *testing.T) {
	bad, fine := logFile(t, "all is well\n"+refused+"\n"+refused+"\n"), logFile(t, "all is well\n")
	warned := logFile(t, "x\nNOT_ENOUGH_REPLICAS\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"46"}, 0, "Is the data still right?\n    Yes."},
		{[]string{"UNSUPPORTED_VERSION"}, 0, "UNSUPPORTED_VERSION (35)"},
		{strings.Fields(refused), 0, "44 records are missing"},
		{[]string{"-f", bad}, 0, "payments-3, producer 40031 (2 times, to line 3)"},
		{[]string{"-f", bad, "--fail-on", "error"}, 3, "44 records are missing"},
		{[]string{"-f", bad, "--fail-on", "warn"}, 3, "44 records are missing"},
		{[]string{"-f", warned, "--fail-on", "error"}, 0, "NOT_ENOUGH_REPLICAS"},
		{[]string{"-f", warned, "--fail-on", "warn"}, 3, "NOT_ENOUGH_REPLICAS"},
		{[]string{"-f", fine, "--fail-on", "warn"}, 0, "1 line, 0 events recognised"},
		{[]string{"45", "--fail-on", "error"}, 0, "[error]"},
	} {
		code, out, errs := call(t.Context(), append([]string{"explain"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit %d, stderr %q, stdout\n%s\nwant exit %d and %q", c.args, code, errs, out, c.code, c.want)
		}
	}
	// The advice is for the client that is named.
	_, java, _ := call(t.Context(), "explain", "45", "--client", "java")
	if !strings.Contains(java, "    java: ") || strings.Contains(java, "    sarama: ") {
		t.Errorf("advice of the wrong client:\n%s", java)
	}
}

// A hint to a command of ours is given when that command is there.
func TestExplainHintsToCommandsThatExist(t *testing.T) {
	root := newRoot("test", Streams{In: &bytes.Buffer{}, Out: io.Discard, Err: io.Discard})
	_, out, _ := call(t.Context(), "explain", "orderly-key-blocked")
	if !strings.Contains(out, "See it with\n    orderly keys list -g GROUP") {
		t.Errorf("no hint:\n%s", out)
	}
	for _, id := range []string{"45", "unclean-election", "offset-out-of-range"} {
		_, out, _ := call(t.Context(), "explain", id)
		if _, see, ok := strings.Cut(out, "See it with\n"); ok {
			for hint := range strings.SplitSeq(strings.SplitN(see, "\n", 2)[0], ";") {
				if !hasCommand(root, strings.Fields(hint)[1]) {
					t.Errorf("%s: a hint to %q", id, hint)
				}
			}
		}
	}
}

func TestExplainJSON(t *testing.T) {
	_, out, errs := call(t.Context(), "explain", "--json", "-f", logFile(t, refused+"\n"))
	var got struct {
		Format   int
		Worst    string
		Findings []struct {
			ID    string
			Facts map[string]string
		}
		Explanations []struct {
			Code   int
			Causes []any
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || errs != "" {
		t.Fatalf("%v: %s %s", err, out, errs)
	}
	if got.Format != 1 || got.Worst != "error" || len(got.Findings) != 1 || got.Findings[0].Facts["incoming_sequence"] != "57" ||
		len(got.Explanations) != 1 || got.Explanations[0].Code != 45 || len(got.Explanations[0].Causes) != 6 || strings.Contains(out, "null") && !strings.Contains(out, `"code": null`) {
		t.Errorf("%+v\n%s", got, out)
	}
}

// Standard input is read to its end; Ctrl-C ends a read that nothing comes to, and
// what was there is explained.
func TestExplainReadsStandardInput(t *testing.T) {
	var out, errs shared
	code := Run(t.Context(), "test", []string{"explain", "-"}, Streams{In: strings.NewReader(refused), Out: &out, Err: &errs})
	if code != exitOK || !strings.Contains(out.String(), "44 records are missing") {
		t.Errorf("exit %d: %s %s", code, out.String(), errs.String())
	}
	for _, c := range []struct {
		args []string
		code int
	}{{[]string{"explain", "-"}, exitInterrupted}, {[]string{"explain", "-", "--follow"}, exitOK}} {
		pr, pw := io.Pipe()
		var out, errs shared
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan int)
		go func() { done <- Run(ctx, "test", c.args, Streams{In: pr, Out: &out, Err: &errs}) }()
		io.WriteString(pw, refused+"\nmore\n")
		io.WriteString(pw, "more\n") // taken: what came before was given on
		stop()
		if code := <-done; code != c.code || !strings.Contains(out.String(), "44 records are missing") {
			t.Errorf("%q: exit %d: %s %s", c.args, code, out.String(), errs.String())
		}
		pw.Close()
	}
}

// Ctrl-C ends --follow with the summary, and exit code 0.
func TestExplainFollowEndsWithItsSummary(t *testing.T) {
	path := logFile(t, refused+"\n")
	pr, pw := io.Pipe()
	var out shared
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		done <- Run(ctx, "test", []string{"explain", "-f", path, "--follow"}, Streams{In: strings.NewReader(""), Out: &out, Err: pw})
		pw.Close()
	}()
	line := make([]byte, 4096)
	n, err := pr.Read(line) // the finding, at once
	if err != nil || !strings.Contains(string(line[:n]), "out-of-order-sequence") {
		t.Errorf("%q, %v", line[:n], err)
	}
	if strings.Contains(out.String(), "TIMELINE") {
		t.Error("the summary came before the end")
	}
	stop()
	go io.Copy(io.Discard, pr)
	if code := <-done; code != exitOK || !strings.Contains(out.String(), "TIMELINE") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
