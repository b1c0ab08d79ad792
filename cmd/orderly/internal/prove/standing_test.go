package prove

import (
	"bytes"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
)

// prove runs an experiment.
func prove(t testing.TB, c Config) *Result {
	t.Helper()
	c.Version = "test"
	if c.Subject.Kind == "" {
		c.Subject.Kind = Orderly
	}
	if c.Control.Kind == "" {
		c.Control = Subject{Kind: FranzGo, Client: Weak}
	}
	if c.Seed == 0 {
		c.Seed = 7
	}
	res, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s of %s: %s; %q", c.Workload, res.Subject.Name, res.Elapsed, res.beside)
	t.Cleanup(func() {
		if t.Failed() {
			var text bytes.Buffer
			_ = res.Verdict.Write(&text)
			t.Logf("in %s:\n%s\n%+v", res.Elapsed, text.String(), res.Faults)
		}
	})
	return res
}

// orderly is a standing subject: each workload with all of its faults, beside a
// control that breaks.
func TestOrderlyHolds(t *testing.T) {
	for _, w := range Workloads {
		t.Run(string(w), func(t *testing.T) {
			res := prove(t, Config{Workload: w, Limit: 20 * time.Second})
			if res.Verdict.Verdict != judge.Held {
				t.Errorf("%s: %v", res.Verdict.Verdict, res.Verdict.Reasons)
			}
			t.Log(res.Elapsed, res.Verdict.Reason, res.Control.Report.Counts, res.Subject.Report.Faults)
		})
	}
}
