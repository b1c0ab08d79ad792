package prove

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
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
			t.Logf("%+v\nin %s:\n%s", res.Faults, res.Elapsed, text.String())
			for _, f := range res.Verdict.Findings {
				t.Logf("%d %s: %s", f.Count, f.Class, f.First)
			}
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

// slowFaults are those that take their time, and so are not among the defaults: an
// answer that never comes, a batch that comes late on a connection that is gone, one
// that waits, and a coordinator that takes a member for dead.
var slowFaults = []proxy.Fault{
	{Kind: proxy.SilentAck, Share: 1. / 270},
	{Kind: proxy.Hold, For: 500 * time.Millisecond, Share: 1. / 100},
	{Kind: proxy.Delay, For: 20 * time.Millisecond, Share: 1. / 100},
	// For longer than the session.
	{Kind: proxy.DropHeartbeat, Client: "subject-b", Skip: 2, Times: 10},
	{Kind: proxy.DropHeartbeat, Client: "control-b", Skip: 2, Times: 10},
}

// slow is an experiment with them. The member that is taken for dead has work until
// it learns of it.
func slow(brokers ...string) Config {
	return Config{
		Workload: EndToEnd, Brokers: brokers, Records: 100, Faults: slowFaults, Limit: 30 * time.Second,
		session: time.Second, slow: 50 * time.Millisecond,
	}
}

// requireSlow fails unless orderly held under each of them, and was told of each
// record.
func requireSlow(t *testing.T, res *Result) {
	t.Helper()
	if res.Verdict.Verdict != judge.Held {
		t.Errorf("%s: %v", res.Verdict.Verdict, res.Verdict.Reasons)
	}
	r, c := res.Subject.Report, res.Control.Report
	for _, f := range slowFaults {
		for side, faults := range map[string]map[string]int{"subject": r.Faults, "control": c.Faults} {
			n := 0
			for kind, m := range faults {
				if strings.HasPrefix(kind, string(f.Kind)) {
					n += m
				}
			}
			if n == 0 {
				t.Errorf("no %s struck the %s: %v", f.Kind, side, faults)
			}
		}
	}
	if r.Sends != 2000 || r.Acked+r.Failed+r.Unclear != r.Sends {
		t.Errorf("%d sent, %d acknowledged, %d failed, %d unclear", r.Sends, r.Acked, r.Failed, r.Unclear)
	}
	t.Log(res.Elapsed, res.Verdict.Reason, c.Counts, r.Acked, r.Failed, r.Unclear, r.Redelivered, r.ExcusedOverlaps)
}

func TestOrderlyHoldsSlowFaults(t *testing.T) {
	requireSlow(t, prove(t, slow()))
	// Processing alone, by the stricter rules, with fencing tokens.
	c := slow()
	c.Workload, c.Faults = Consumer, slowFaults[3:]
	res := prove(t, c)
	if res.Verdict.Verdict != judge.Held || res.Subject.Report.Faults["drop-heartbeat of Heartbeat"] == 0 {
		t.Errorf("%s: %v, %v", res.Verdict.Verdict, res.Verdict.Reasons, res.Subject.Report.Faults)
	}
	t.Log(res.Elapsed, res.Verdict.Reason, res.Control.Report.Counts, res.Subject.Report.ExcusedOverlaps, res.Subject.Report.Redelivered)
}
