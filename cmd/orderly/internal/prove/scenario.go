package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
)

// A Scenario is a claim about order, and the cases that show how it is. All cases
// have the same records and the same faults at the same of them: those that hold
// and those that break are each other's control.
type Scenario struct {
	Name  string
	Title string
	Claim string // what is often said
	Shows string // what the cases show, when they come out as expected
	Cases []Case

	workload Workload
	faults   []string
	slow     time.Duration // see Config
	outage   time.Duration // see Config
	from     int64         // see Config; 0 is the default
	strike   strike        // see Config
	effects  bool
	records  int // of each key; 0: as many as are asked for
	// together runs the cases in another way than one after the other.
	together func(ctx context.Context, sc *Scenario, c *Config) ([]CaseResult, error)
	struck   string // what strikes, when it is no fault of the proxy
	kills    bool   // brokers: those of Config.Nodes
}

// A Case is one configuration.
type Case struct {
	Name string
	who  Subject
	on   placed          // its topic, in scenarios that kill brokers
	some []history.Class // that it must show
	none []history.Class // that it must not
}

// A CaseResult is what one case came to.
type CaseResult struct {
	Name   string                `json:"name"`
	Who    string                `json:"who"`
	Reads  int                   `json:"records"`
	Faults int                   `json:"faults"`
	Counts map[history.Class]int `json:"counts"`
	// Late are the broker's answers to batches that came again or late, by code.
	Late map[int16]int `json:"late_answers,omitempty"`
	// Facts are what else was counted.
	Facts []string `json:"facts,omitempty"`
	// Verdict is of this case alone; the other cases are its control.
	Verdict  judge.Word      `json:"verdict"`
	Reason   string          `json:"reason"`
	Findings []judge.Finding `json:"findings"`
	// Unlike says what is not as the scenario says; empty: all is.
	Unlike []string `json:"unlike"`
}

// A ScenarioResult is that of all cases.
type ScenarioResult struct {
	Format  int          `json:"format"`
	Version string       `json:"version"`
	Name    string       `json:"name"`
	Claim   string       `json:"claim"`
	Shows   string       `json:"shows"`
	Shown   bool         `json:"shown"`
	Seed    uint64       `json:"seed"`
	Brokers []string     `json:"brokers"`
	Seconds float64      `json:"seconds"`
	Cases   []CaseResult `json:"cases"`
}

// Kills says that it kills brokers: those of [Config].Nodes.
func (sc *Scenario) Kills() bool { return sc.kills }

// FindScenario is the scenario of a name, or nil.
func FindScenario(name string) *Scenario {
	for i := range Scenarios {
		if Scenarios[i].Name == name {
			return &Scenarios[i]
		}
	}
	return nil
}

// Run runs the cases, one after the other. Of c it takes the cluster, the seed and
// the limits.
func (sc *Scenario) Run(ctx context.Context, c Config) (*ScenarioResult, error) {
	if sc.records > 0 {
		c.Records = sc.records
	}
	if sc.kills {
		if err := c.needNodes(); err != nil {
			return nil, err
		}
	}
	c.strike, c.effects = sc.strike, sc.effects
	if err := c.canStrike(); err != nil {
		return nil, err
	}
	if c.strike != "" && len(c.Brokers) == 0 {
		c.session = 1500 * time.Millisecond
	}
	c.Workload, c.slow, c.outage = sc.workload, sc.slow, sc.outage
	orDefault(&c.From, sc.from)
	c.Faults = []proxy.Fault{} // not the default ones
	for _, text := range sc.faults {
		f, err := proxy.ParseFault(text)
		if err != nil {
			return nil, err
		}
		c.Faults = append(c.Faults, f)
	}
	began := time.Now()
	res := &ScenarioResult{
		Format: 1, Version: c.Version, Name: sc.Name, Claim: sc.Claim, Shows: sc.Shows, Shown: true, Seed: c.Seed, Brokers: append([]string{}, c.Brokers...),
	}
	run := sc.together
	if run == nil {
		run = oneByOne
	}
	var err error
	if res.Cases, err = run(ctx, sc, &c); err != nil {
		return nil, err
	}
	for _, r := range res.Cases {
		res.Shown = res.Shown && len(r.Unlike) == 0
	}
	res.Seconds = time.Since(began).Seconds()
	return res, nil
}

func oneByOne(ctx context.Context, sc *Scenario, c *Config) (all []CaseResult, err error) {
	for _, one := range sc.Cases {
		r, err := one.run(ctx, *c)
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", one.Name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func (one *Case) run(ctx context.Context, c Config) (r CaseResult, err error) {
	c.Subject, c.Control = one.who, one.who
	if err := c.settle(); err != nil {
		return r, err
	}
	w, err := openWorld(ctx, &c)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	s, err := openSide(ctx, &c, w, &c.Subject, "subject")
	if err == nil {
		err = s.run(ctx, nil)
	}
	if err != nil {
		return r, errors.Join(err, s.discard())
	}
	run, err := s.end()
	if err != nil {
		return r, err
	}
	r = one.result(&c, run, s.doubts)
	r.Late = s.late
	if s.app != nil { // all members have ended
		r.Facts = append(r.Facts, s.app.facts()...)
		if s.app.processes != nil {
			r.Facts = append(r.Facts, s.app.processes.facts()...)
			return r, nil
		}
		r.Facts = append(r.Facts, fmt.Sprintf("partitions given up: %d", s.app.given))
	}
	return r, nil
}

// result is what a case came to.
func (one *Case) result(c *Config, run judge.Run, doubts []string) CaseResult {
	rep := &run.Report
	r := CaseResult{Name: one.Name, Who: run.Name, Reads: max(rep.Reads, rep.Records), Counts: rep.Counts, Facts: told(rep), Unlike: one.unlike(run, doubts)}
	for _, n := range rep.Faults {
		r.Faults += n
	}
	v := judge.Judge(judge.Input{Version: c.Version, Subject: run, MinFaults: 1})
	r.Verdict, r.Reason, r.Findings = v.Verdict, v.Reason, v.Findings
	if r.Verdict == judge.Held && len(doubts) > 0 {
		r.Verdict, r.Reason = judge.Inconclusive, doubts[0]
	}
	return r
}

// unlike compares what came out with what the scenario says.
func (one *Case) unlike(run judge.Run, doubts []string) []string {
	out := slices.Clone(doubts)
	struck := 0
	for _, n := range run.Report.Faults {
		struck += n
	}
	if struck == 0 {
		out = append(out, "no fault struck")
	}
	if n := run.Report.Unseen; n > 0 {
		out = append(out, fmt.Sprintf("%d records were not seen", n))
	}
	for _, class := range one.some {
		if run.Report.Counts[class] == 0 {
			out = append(out, fmt.Sprintf("it should show %s, and has none", class))
		}
	}
	for _, class := range one.none {
		if n := run.Report.Counts[class]; n > 0 {
			out = append(out, fmt.Sprintf("it should show no %s, and has %d", class, n))
		}
	}
	return out
}

// Write tells the result to people.
func (r *ScenarioResult) Write(w io.Writer) error {
	var b strings.Builder
	sc := FindScenario(r.Name)
	fmt.Fprintf(&b, "%s\n\n", sc.Title)
	fmt.Fprintf(&b, "  often said  %s\n", r.Claim)
	where := "the embedded broker, in memory"
	switch {
	case len(r.Brokers) > 0:
		where = strings.Join(r.Brokers, ", ")
	case sc.kills:
		where = "three brokers, started for it"
	}
	fmt.Fprintf(&b, "  where       %s; orderly %s; seed %d; %.1f s\n", where, r.Version, r.Seed, r.Seconds)
	if len(sc.faults) > 0 {
		fmt.Fprintf(&b, "  faults      %s, at the same records in each case\n", strings.Join(sc.faults, "  "))
	}
	if sc.struck != "" {
		fmt.Fprintf(&b, "  struck by   %s\n", sc.struck)
	}
	b.WriteString("\n")
	var classes []history.Class
	for _, class := range history.Classes() {
		of := func(one Case) bool { return slices.Contains(one.some, class) || slices.Contains(one.none, class) }
		if slices.ContainsFunc(sc.Cases, of) {
			classes = append(classes, class)
		}
	}
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "case\trecords\tfaults")
	for _, class := range classes {
		fmt.Fprintf(tw, "\t%s", class)
	}
	fmt.Fprintln(tw, "\t")
	for _, one := range r.Cases {
		fmt.Fprintf(tw, "%s\t%d\t%d", one.Name, one.Reads, one.Faults)
		for _, class := range classes {
			fmt.Fprintf(tw, "\t%d", one.Counts[class])
		}
		fmt.Fprintln(tw, "\t")
	}
	tw.Flush()
	b.WriteString("\n")
	for _, one := range r.Cases {
		fmt.Fprintf(&b, "%s: %s\n", one.Name, strings.Join(append([]string{one.Who}, one.Facts...), "; "))
		one.writeVerdict(&b)
		for _, code := range sorted(one.Late) {
			fmt.Fprintf(&b, "  the broker answered %d times to a batch that came again or late: %s\n", one.Late[code], codeWords(code))
		}
		for _, u := range one.Unlike {
			fmt.Fprintf(&b, "  not as expected: %s\n", u)
		}
	}
	if r.Shown {
		fmt.Fprintf(&b, "\nSHOWN: %s\n", r.Shows)
	} else {
		b.WriteString("\nNOT SHOWN: see above.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeVerdict tells the verdict on a case, with the smallest example of each class
// and the rule that is about it.
func (r *CaseResult) writeVerdict(b *strings.Builder) {
	fmt.Fprintf(b, "  %s: %s\n", strings.ToUpper(string(r.Verdict)), r.Reason)
	for _, f := range r.Findings {
		rule := f.Rule
		if len(f.Also) > 0 {
			rule += " (see also " + strings.Join(f.Also, ", ") + ")"
		}
		fmt.Fprintf(b, "    %s, rule %s: %s\n", f.Class, rule, f.First)
	}
}
