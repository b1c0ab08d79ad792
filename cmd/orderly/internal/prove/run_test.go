package prove

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
)

// struck are the records in a schedule.
func struck(t *testing.T, faults []proxy.Fault) []string {
	t.Helper()
	set := map[string]bool{}
	for _, f := range faults {
		for _, target := range f.Chosen {
			if *target.Number < DefaultFrom {
				t.Errorf("number %d was struck", *target.Number)
			}
			text, err := json.Marshal(target)
			if err != nil {
				t.Fatal(err)
			}
			set[string(f.Kind)+" "+string(text)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// One seed strikes the same records, whoever the subject is; so does the schedule
// that was written down.
func TestSameRecords(t *testing.T) {
	run := func(c Config) []proxy.Fault {
		var file bytes.Buffer
		c.Workload, c.Records, c.Hits, c.MinFaults = Producer, 100, &file, 1
		prove(t, c)
		schedule, err := proxy.ReadSchedule(&file)
		if err != nil {
			t.Fatal(err)
		}
		return schedule
	}
	first := run(Config{})
	want := struck(t, first)
	if len(want) < 8 {
		t.Fatalf("only %d were struck: %v", len(want), want)
	}
	for _, c := range []Config{
		{Subject: Subject{Kind: FranzGo, Client: Weak}},
		{Faults: first, Seed: 99},
	} {
		if got := struck(t, run(c)); !slices.Equal(got, want) {
			t.Errorf("struck\n%s\nand before\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if got := struck(t, run(Config{Seed: 8})); slices.Equal(got, want) {
		t.Error("another seed struck the same records")
	}
}

// A stopper closes a channel at the nth hit.
type stopper struct {
	n    int
	stop chan struct{}
	once sync.Once
}

func (s *stopper) Write(b []byte) (int, error) {
	if s.n--; s.n <= 0 {
		s.once.Do(func() { close(s.stop) })
	}
	return len(b), nil
}

func stopAt(n int) *stopper { return &stopper{n: n, stop: make(chan struct{})} }

func weakControl(c Config) Config {
	c.Version, c.Subject, c.Control, c.Seed = "test", Subject{Kind: Orderly}, Subject{Kind: FranzGo, Client: Weak}, 7
	return c
}

// An interrupt ends the work, and what was done is judged: records that were not
// processed yet are not lost ones.
func TestInterrupted(t *testing.T) {
	for _, w := range []Workload{Producer, Consumer, EndToEnd} {
		s := stopAt(8)
		const records = 1000
		c := weakControl(Config{Workload: w, Records: records, Hits: s, MinFaults: 1})
		res, err := Run(t.Context(), c, s.stop)
		if err != nil {
			t.Fatal(err)
		}
		r := res.Subject.Report
		if res.Verdict.Verdict == judge.Violated || max(r.Sends, r.Handled) == 0 || max(r.Sends, r.Handled) >= 20*records {
			t.Errorf("%s: %s %v; %d sent, %d handled", w, res.Verdict.Verdict, res.Verdict.Reasons, r.Sends, r.Handled)
		}
	}
}

// A soak adds up its rounds, each with topics and a seed of its own.
func TestSoak(t *testing.T) {
	one := prove(t, Config{Workload: Producer, Records: 80})
	s := stopAt(3 * int(one.Subject.Report.Faults["lost-ack"]+10))
	res, err := Soak(t.Context(), weakControl(Config{Workload: Producer, Records: 80, Hits: s}), time.Hour, s.stop)
	if err != nil {
		t.Fatal(err)
	}
	if res.Rounds < 2 || res.Verdict.Verdict != judge.Held || res.Verdict.Subject.Records <= 1600 || res.Seed == 7 {
		t.Errorf("%d rounds, last seed %d, %s: %+v", res.Rounds, res.Seed, res.Verdict.Reason, res.Verdict.Subject)
	}
	// It ends at the first violation.
	c := weakControl(Config{Workload: Producer, Records: 80})
	c.Subject = c.Control
	if res, err = Soak(t.Context(), c, time.Hour, nil); err != nil || res.Verdict.Verdict != judge.Violated {
		t.Errorf("%v, %v", res, err)
	}
}

func TestJoin(t *testing.T) {
	a := judge.Run{Report: history.Report{Reads: 2, Unseen: 1, Vacuous: true, Counts: map[history.Class]int{history.Loss: 1}}}
	b := judge.Run{Report: history.Report{Reads: 3, Unseen: 4, Faults: map[string]int{"cut": 2}, Counts: map[history.Class]int{history.Loss: 2, history.Order: 1},
		Violations: make([]history.Violation, 150)}}
	for range 2 {
		join(&a, &b)
	}
	r := a.Report
	if r.Reads != 8 || r.Unseen != 9 || r.Faults["cut"] != 4 || r.Counts[history.Loss] != 5 || r.Counts[history.Order] != 2 || r.Vacuous || len(r.Violations) != keptPerClass {
		t.Errorf("%+v", r)
	}
}

// A configuration that makes no sense is refused before anything is done.
func TestRefused(t *testing.T) {
	for want, c := range map[string]Config{
		`no workload "x"`:            {Workload: "x"},
		"at least 2":                 {Workload: Producer, Records: 1},
		"none would be struck":       {Workload: Producer, Records: 30},
		"-1 partitions":              {Workload: Producer, Partitions: -1},
		"franz-go refuses":           {Workload: Producer, Subject: Subject{Kind: FranzGo, Client: Client{Idempotent: true, Acks: "1"}}},
		`acks "2"`:                   {Workload: Producer, Subject: Subject{Kind: FranzGo, Client: Client{Acks: "2"}}},
		"has to be named":            {Workload: Producer, Subject: Subject{Kind: Program}},
		"producer and consumer only": {Workload: EndToEnd, Subject: Subject{Kind: Program, Command: []string{"x"}}},
		`no subject "me"`:            {Workload: Producer, Subject: Subject{Kind: "me"}},
		"cannot be started":          {Workload: Producer, Subject: Subject{Kind: Program, Command: []string{"/absent/program"}}},
	} {
		d := weakControl(c)
		if c.Subject.Kind != "" {
			d.Subject = c.Subject
		}
		if _, err := Run(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// The side beside it is ended, and adds nothing to the reason.
	c := weakControl(Config{Workload: Consumer})
	c.Subject = Subject{Kind: Program, Command: []string{"/absent/program"}}
	if _, err := Run(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "cannot be started") || strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v", err)
	}
}
