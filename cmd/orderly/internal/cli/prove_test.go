package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
)

func TestProveUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"nothing", "unknown command"},
		{"producer app.jar", "takes a program behind --"},
		{"producer --acks 1", "franz-go refuses"},
		{"producer --acks 1 --subject orderly", "orderly has no such settings"},
		{"producer --subject franz-go -- app", "the program behind -- is the subject"},
		{"consumer app.py", "takes a program behind --"},
		{"consumer --workers 2 -- app", "the program behind -- is the subject"},
		{"consumer -- /absent/program", "cannot be started"},
		{"producer --subject me", `no subject "me"`},
		{"producer --seq n -- app", "path"},
		{"producer --fault lost-ack", "it needs share="},
		{"producer --schedule absent.jsonl", "--schedule: open"},
		{"producer --accept nonsense", "is no class of violations"},
		{"producer --records 1", "at least 2"},
		{"consumer --from -1", "cannot be negative"},
		{"growth extra", "takes no arguments"},
		{"--records 10", "none would be struck"},
	} {
		code, out, errs := call(t.Context(), append([]string{"prove"}, strings.Fields(c.args)...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %q, %q; want %q", c.args, code, out, errs, c.want)
		}
	}
	code, _, errs := call(t.Context(), "prove", "producer", "--brokers", "127.0.0.1:1")
	if code != exitRefused || !strings.Contains(errs, "no broker of 127.0.0.1:1 answers") || !strings.Contains(errs, `"orderly config" shows them`) {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// The command alone shows orderly beside a control that breaks, in words.
func TestProveDefault(t *testing.T) {
	dir := t.TempDir()
	page, schedule := filepath.Join(dir, "report.html"), filepath.Join(dir, "faults.jsonl")
	code, out, errs := call(t.Context(), "prove", "--seed", "4", "--records", "100", "--html", page, "--record", schedule)
	if code != exitOK {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	for _, want := range []string{"HELD: no violation", "subject  orderly v1.2.3", "control  franz-go, not idempotent, 5 in flight", "The control broke:",
		"seed 4", "Once more at the same records: orderly prove --seed 4 --records=100\n", judge.EmbeddedLimit} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	html, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(html), "HELD") {
		t.Errorf("the page: %v", err)
	}

	// A weak producer at the same records; as JSON.
	code, out, errs = call(t.Context(), "prove", "producer", "--idempotent=false", "--records", "100", "--schedule", schedule, "--min-faults", "1", "--json")
	var got struct {
		judge.Verdict
		Experiment prove.Summary `json:"experiment"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("exit %d: %v\n%s\n%s", code, err, out, errs)
	}
	if code != exitViolated || got.Verdict.Verdict != judge.Violated || got.Control == nil || got.Experiment.Workload != prove.Producer || got.Experiment.Rounds != 1 || got.Reasons == nil {
		t.Errorf("exit %d, %+v", code, got)
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"a.b:1": "a.b:1", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "{topic}": "'{topic}'"} {
		if got := quoted(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestProveScenario(t *testing.T) {
	code, out, _ := call(t.Context(), "prove", "scenario", "--list")
	if code != exitOK || strings.Count(out, "\n") != len(prove.Scenarios) || !strings.Contains(out, "retry-reorder") {
		t.Errorf("exit %d, %s", code, out)
	}
	for _, args := range []string{"", "no-such", "retry-reorder --list"} {
		if code, _, errs := call(t.Context(), append([]string{"prove", "scenario"}, strings.Fields(args)...)...); code != exitUsage {
			t.Errorf("%q: exit %d, %s", args, code, errs)
		}
	}
	dir := t.TempDir()
	for args, want := range map[string]string{
		"leader-failover":                      "--kafka-home DIR",
		"unclean-election --kafka-home " + dir: "there is no Kafka in " + dir,
		"in-flight-1 --kafka-home " + dir:      "in-flight-1 is none of them",
	} {
		if code, _, errs := call(t.Context(), append([]string{"prove", "scenario"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %s", args, code, errs)
		}
	}
	code, out, errs := call(t.Context(), "prove", "scenario", "in-flight-1", "--seed", "7", "--json")
	var got prove.ScenarioResult
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("exit %d: %v\n%s\n%s", code, err, out, errs)
	}
	if code != exitOK || !got.Shown || len(got.Cases) != 2 || got.Seed != 7 || got.Cases[0].Verdict != judge.Violated || got.Cases[0].Findings[0].Rule != "P17" || got.Cases[1].Verdict != judge.Held {
		t.Errorf("exit %d, %+v", code, got)
	}
}
