package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What was found decides the exit code, in audit and in both doctors of a cluster.
func TestExitCodesOfAuditAndDoctors(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "good", "bad", "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	addr := strings.Join(c.ListenAddrs(), ",")
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for topic, numbers := range map[string][]int{"good": {1, 2, 3, 4}, "bad": {1, 3, 2, 4}} {
		for i, n := range numbers {
			r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Appendf(nil, `{"v":%d}`, n), Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, n)}}}
			r.Timestamp = time.Date(2026, 1, 2+i, 0, 0, 0, 0, time.UTC)
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	state, page := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(filepath.Join(filepath.Dir(page), "no-state"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		args string
		code int
		out  string // in the output, or in the errors
	}{
		{"audit -t good --seq .v", exitOK, "Nothing found"},
		{"audit -t good --seq-header n --html " + page, exitOK, "Nothing found"},
		{"audit -t bad --seq .v", exitViolated, "number 2 after 3"},
		{"audit -t bad --seq .v --partitions 0-2 --since 2026-01-01T00:00:00Z --state " + state, exitViolated, "number 2 after 3"},
		{"audit -t bad --seq .v --state " + state, exitUsage, "another audit"},
		{"audit -t bad --seq .v --state " + filepath.Join(filepath.Dir(page), "no-state"), exitUsage, "no state of orderly audit"},
		{"audit -t bad --seq-header n --keys other", exitInconclusive, "--keys leave none"},
		{"audit -t bad --by-time", exitOK, "Nothing found"},
		{"audit -t bad", exitOK, "no sequence headers"},
		{"audit -t bad --seq .nothing", exitInconclusive, "nothing is known of the order"},
		{"audit -t empty --seq .v", exitInconclusive, "there is no record to judge"},
		{"audit -t good --seq .v --since 1ms", exitInconclusive, "there is no record to judge"},
		{"audit -t nowhere --seq .v", exitRefused, "topic nowhere is not there"},
		{"audit -t bad --partitions 7", exitUsage, "--partitions: topic bad has no partition 7: it has partitions 0 to 2"},
		{"audit -t bad --seq .v --by-time", exitUsage, "exclude each other"},
		{"audit -t bad --seq v", exitUsage, "--seq: path"},
		{"audit -t bad --since yesterday", exitUsage, "--since is"},
		{"audit -t bad --partitions 5-3", exitUsage, "the lower first"},
		{"audit -t bad --partitions x", exitUsage, "is no partition"},
		{"audit -t bad --memory 12parsecs", exitUsage, "is no size"},
		{"audit -t bad --memory 63MiB", exitUsage, "at least 64MiB"},
		{"audit -t bad --fail-on never", exitUsage, "--fail-on is"},
		{"audit", exitUsage, "topic"},
		{"doctor log -t good", exitOK, "too few keys"},
		{"doctor log -t good --fail-on note", exitOK, "Nothing found"},
		{"doctor log -t empty", exitInconclusive, "topic empty has no record"},
		{"doctor cluster --groups nope", exitViolated, "there is no group nope, or this user may not see it"},
		{"doctor log -t nowhere", exitRefused, "topic nowhere is not there"},
		{"doctor log -t good --sample 1", exitUsage, "--sample is 1"},
		{"doctor cluster", exitViolated, "B01"},
		{"doctor cluster --topics nowhere", exitRefused, "topic nowhere is not there"},
		{"doctor cluster --window 0s", exitUsage, "--window is 0s"},
	} {
		code, out, errs := call(t.Context(), append(strings.Fields(x.args), "-b", addr)...)
		if code != x.code || !strings.Contains(out+errs, x.out) {
			t.Errorf("%s: exit %d, want %d with %q\n%s%s", x.args, code, x.code, x.out, out, errs)
		}
	}
	if raw, err := os.ReadFile(page); err != nil || !strings.Contains(string(raw), "Audit of topic good") {
		t.Errorf("%v: %s", err, raw)
	}
	for _, args := range []string{"audit -t bad --seq .v --json", "doctor log -t bad --json", "doctor cluster --json"} {
		_, out, _ := call(t.Context(), append(strings.Fields(args), "-b", addr)...)
		var r struct {
			Version  int               `json:"format"`
			Findings []json.RawMessage `json:"findings"`
			Checked  []string          `json:"checked"`
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Version != 1 || r.Findings == nil || len(r.Checked) == 0 {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
}
