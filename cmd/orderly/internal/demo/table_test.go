package demo

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// kept is a fixed result of a good run.
func kept() *Result {
	r := &Result{
		Format: 1, Version: "v1.2.3", Input: "bundled sample", Seed: 42, Partitions: 6, Seconds: 15.34,
		Naive: Column{Records: 5000, Keys: 403, OrderViolations: 1030, Overlaps: 1174, Lost: 1094, Retries: 66, Refused: 368,
			CommittedTooFar: 12, EndStateDifferences: 190, KilledPID: 1001, KilledRunning: 6, Examples: []string{"overlap: ..."}},
		Orderly: Column{Records: 5000, Keys: 403, RepeatedEffects: 59, RepeatsAllowed: 61, Retries: 92, EndStateEqual: true,
			Outage:    &Outage{Seconds: 2.13, Opened: 2, Processes: 2, Failed: 58, GivenBack: 46, WhileOpen: 3, Allowed: 12, Probes: 24, InSteps: 20},
			KilledPID: 1002, KilledRunning: 6, JoinedPID: 1003},
	}
	r.judge()
	return r
}

func TestTableGolden(t *testing.T) {
	bad := kept()
	bad.Orderly.OrderViolations, bad.Orderly.EndStateEqual, bad.Orderly.EndStateDifferences = 1, false, 1
	bad.Orderly.Examples = []string{`order: changes/0 offset 7 key "a" began although offset 3 before it is not done`}
	bad.Saved = "SAVED"
	bad.judge()
	without := kept()
	without.Orderly.Outage = &Outage{Skipped: "partition 3 has 2 files, and each would have to have 20"}
	without.judge()
	for name, r := range map[string]*Result{"kept": kept(), "violated": bad, "without-outage": without} {
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// A checkout may have other line ends.
		if strings.ReplaceAll(string(want), "\r\n", "\n") != b.String() {
			t.Errorf("%s differs; when that is meant: go test ./internal/demo -run Golden -update\n%s", path, b.String())
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Result)
		want   Verdict
	}{
		{"as it should be", func(*Result) {}, Kept},
		{"order", func(r *Result) { r.Orderly.OrderViolations = 1 }, Violated},
		{"overlap", func(r *Result) { r.Orderly.Overlaps = 1 }, Violated},
		{"lost", func(r *Result) { r.Orderly.Lost = 1 }, Violated},
		{"more repeats than the kill excuses", func(r *Result) { r.Orderly.RepeatedEffects = 62 }, Violated},
		{"refused", func(r *Result) { r.Orderly.Refused = 1 }, Violated},
		{"commit", func(r *Result) { r.Orderly.CommittedTooFar = 1 }, Violated},
		{"other rules", func(r *Result) { r.Orderly.OtherViolations = 1 }, Violated},
		{"wrong end", func(r *Result) { r.Orderly.EndStateEqual = false }, Violated},
		{"stalled", func(r *Result) { r.Orderly.Stalled = "no progress" }, Violated},
		{"attempts burnt", func(r *Result) { r.Orderly.Outage.Burnt = 1 }, Violated},
		{"a breaker stayed closed", func(r *Result) { r.Orderly.Outage.Opened = 1 }, Violated},
		{"attempts while it was open", func(r *Result) { r.Orderly.Outage.WhileOpen = 13 }, Violated},
		{"no steps", func(r *Result) { r.Orderly.Outage.InSteps = 0 }, Violated},
		{"no outage", func(r *Result) { r.Orderly.Outage = &Outage{Skipped: "few files"} }, Kept},
		{"stalled in the outage", func(r *Result) { r.Orderly.Stalled, r.Orderly.Outage = "no progress", &Outage{Processes: 2} }, Violated},
		{"control is clean", func(r *Result) { r.Naive = Column{EndStateEqual: true} }, Inconclusive},
		{"control only stalled", func(r *Result) { r.Naive = Column{Lost: 1, Stalled: "no progress"} }, Inconclusive},
		{"control ends wrong", func(r *Result) { r.Naive = Column{} }, Kept},
		{"both bad", func(r *Result) { r.Orderly.Lost, r.Naive = 1, Column{EndStateEqual: true} }, Violated},
	} {
		r := kept()
		c.change(r)
		r.judge()
		if r.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, r.Verdict, r.Reason, c.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "-1", -123: "-123", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// On a terminal one line is written over and over, a shorter one over all of a
// longer one; elsewhere a line comes only when there is something new.
func TestProgress(t *testing.T) {
	show := func(terminal bool) string {
		var b strings.Builder
		col := newColumn(Orderly, &Options{Partitions: 1}, &Input{})
		col.began = time.Now()
		col.finished = col.began
		p := newProgress(&b, terminal, 1, 2, col)
		p.phase("a long phase")
		p.phase("a long phase")
		p.phase("short")
		p.end(nil)
		return b.String()
	}
	const head = "[1/2 orderly] 0 of 0, 0 retries: "
	if got, want := show(false), head+"a long phase\n"+head+"short\n"+head+"finished in 0.0 s\n"; got != want {
		t.Errorf("elsewhere:\n%q, want\n%q", got, want)
	}
	if got, want := show(true), "\r"+head+"a long phase\r"+head+"short       \r"+head+"finished in 0.0 s\n"; got != want {
		t.Errorf("terminal:\n%q, want\n%q", got, want)
	}
	if isTerminal(&strings.Builder{}) {
		t.Error("a buffer is no terminal")
	}
}

func TestTail(t *testing.T) {
	var l tail
	for range 5 {
		l.Write([]byte(strings.Repeat("x", tailSize-1) + "\n"))
	}
	l.Write([]byte("one\ntwo\nthree\n"))
	if n := len(l.bytes()); n < tailSize || n > 2*tailSize+20 {
		t.Errorf("%d bytes are kept", n)
	}
	if got := string(l.last(2)); got != "two\nthree" {
		t.Errorf("last two lines %q", got)
	}
}
