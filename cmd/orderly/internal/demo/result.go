package demo

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Verdict is what the demo comes to.
type Verdict string

const (
	Kept         Verdict = "kept"         // orderly's column is clean, the control's is not
	Violated     Verdict = "violated"     // orderly's column is not clean
	Inconclusive Verdict = "inconclusive" // both are clean: nothing was shown
)

// A Result is the outcome of the demo; "orderly demo --json" prints it. New
// fields may be added; a field that changes its meaning raises Format.
type Result struct {
	Format     int     `json:"format"` // 1
	Version    string  `json:"version"`
	Verdict    Verdict `json:"verdict"`
	Reason     string  `json:"reason"` // of the verdict, for people
	Input      string  `json:"input"`
	Seed       uint64  `json:"seed"`
	Partitions int     `json:"partitions"`
	Seconds    float64 `json:"seconds"`
	Saved      string  `json:"saved,omitempty"` // folder with histories and logs
	Naive      Column  `json:"naive"`
	Orderly    Column  `json:"orderly"`

	Parking *ParkingScene `json:"parking"`
}

// A Column is what one consumer did.
type Column struct {
	Records         int `json:"records"`
	Keys            int `json:"keys"`
	OrderViolations int `json:"order_violations"` // began or applied before or after its turn
	Overlaps        int `json:"overlaps"`         // two records of a key processed at the same time
	Lost            int `json:"lost"`             // never processed
	RepeatedEffects int `json:"repeated_effects"` // changes that came to the sink again; it ignored them
	RepeatsAllowed  int `json:"repeats_allowed"`  // most repeats that the kill excuses: done, and in no commit
	Retries         int `json:"retries"`
	Refused         int `json:"refused"`           // changes that the table refused: added while there, changed while not
	CommittedTooFar int `json:"committed_too_far"` // commits that passed an unfinished record
	OtherViolations int `json:"other_violations"`  // of the history checker's other rules

	EndStateEqual       bool `json:"end_state_equal"`
	EndStateDifferences int  `json:"end_state_differences"` // files that end in another way than they must

	Outage *Outage `json:"outage,omitempty"` // none: the column had no outage

	KilledPID     int      `json:"killed_pid"`
	KilledRunning int      `json:"killed_running"` // handlers that ran in it
	JoinedPID     int      `json:"joined_pid"`     // the process whose joining forced the rebalance; 0 without one
	Seconds       float64  `json:"seconds"`
	Stalled       string   `json:"stalled,omitempty"`  // what never came
	Examples      []string `json:"examples,omitempty"` // of violations
}

// faults lists what is wrong with a column in the order of the table.
func (c *Column) faults() []string {
	var fs []string
	count := func(n int, what string) {
		if n > 0 {
			fs = append(fs, fmt.Sprintf("%s: %d", what, n))
		}
	}
	count(c.OrderViolations, "order violations")
	count(c.Overlaps, "overlaps")
	count(c.Lost, "lost")
	count(c.RepeatedEffects-max(c.RepeatsAllowed, 0), "repeated effects beyond those that the kill excuses")
	count(c.Refused, "changes refused")
	count(c.CommittedTooFar, "commits past unfinished records")
	count(c.OtherViolations, "other violations")
	if !c.EndStateEqual {
		fs = append(fs, "the end state is wrong")
	}
	if c.Stalled != "" {
		return append(fs, c.Stalled)
	}
	fs = append(fs, c.Outage.faults()...)
	return fs
}

// broke says that the control showed what it is there to show: records out of
// order, at the same time, or lost, or a wrong end. Of a run that was cut short
// the end says nothing.
func (c *Column) broke() bool {
	return c.OrderViolations > 0 || c.Overlaps > 0 || c.Lost > 0 && c.Stalled == "" || !c.EndStateEqual && c.Stalled == ""
}

// judge sets the verdict.
func (r *Result) judge() {
	switch faults := append(r.Orderly.faults(), r.Parking.faults()...); {
	case len(faults) > 0:
		r.Verdict, r.Reason = Violated, "orderly broke its promise: "+strings.Join(faults, "; ")
	case !r.Naive.broke():
		r.Verdict, r.Reason = Inconclusive, "orderly's column is clean, but the naive consumer did not break either: this run shows nothing; run it again, or with another --seed"
	default:
		through := "a kill -9 and a rebalance"
		if r.Orderly.Outage.happened() {
			through = "an outage, a kill -9 and a rebalance"
		}
		r.Verdict, r.Reason = Kept, "orderly kept the order of every key through "+through+"; the naive consumer did not keep it."
	}
}

// seconds gives a time with two digits behind the point.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*100) / 100 }
