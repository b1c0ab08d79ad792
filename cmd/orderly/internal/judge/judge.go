package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/internal/history"
)

// Word is the verdict in one word.
type Word string

// The words.
const (
	Held         Word = "held"
	Violated     Word = "violated"
	Inconclusive Word = "inconclusive"
)

// Run is one checked history: of the subject or of the control.
type Run struct {
	Name     string            // what ran, or the file
	Report   history.Report    // of the checker
	Examples []history.Example // at most one for each class
}

// Input is what a verdict rests on.
type Input struct {
	Version   string
	Subject   Run
	Control   *Run            // nil: there was none
	MinFaults int             // that must have hit the subject; with a control at least one
	Accept    []history.Class // counted, and no violation of the subject
	Limits    []string        // what this environment cannot show
}

// EmbeddedLimit is what nobody can see on the embedded broker.
const EmbeddedLimit = "The embedded broker is one process without replicas: it says nothing about acks, in-sync replicas, " +
	"unclean elections, or what a broker loses when it dies."

// noControl stands in verdicts of one history alone.
const noControl = "There was no control: it is about these records only, not about faults that did not hit them."

// Verdict is the result. Its JSON is stable: a field that changes its meaning
// raises Format.
type Verdict struct {
	Format   int       `json:"format"`
	Version  string    `json:"version"`
	Verdict  Word      `json:"verdict"`
	Reason   string    `json:"reason"`  // one line
	Reasons  []string  `json:"reasons"` // why nothing can be told, or what weakens the verdict
	Findings []Finding `json:"findings"`
	Accepted []Finding `json:"accepted"` // by request no violations
	Subject  Summary   `json:"subject"`
	Control  *Summary  `json:"control"` // null: there was none
	Limits   []string  `json:"limits"`
}

// Finding is one class of violations of the subject.
type Finding struct {
	Class   history.Class    `json:"class"`
	Title   string           `json:"title"`
	Explain string           `json:"explain"`
	Side    history.Side     `json:"side"`
	Count   int              `json:"count"`
	First   string           `json:"first"` // the first one, or the smallest where there is an example
	Rule    string           `json:"rule,omitempty"`
	Setting string           `json:"setting,omitempty"`
	Also    []string         `json:"also,omitempty"`
	Example *history.Example `json:"example,omitempty"`
}

// Summary is a run in numbers.
type Summary struct {
	Name       string                `json:"name"`
	Events     int                   `json:"events"`
	Records    int                   `json:"records"`
	Keys       int                   `json:"keys"`
	Partitions int                   `json:"partitions"`
	Sends      int                   `json:"sends"`
	Acked      int                   `json:"acked"`
	Failed     int                   `json:"failed"`
	Unclear    int                   `json:"unclear"`
	Reads      int                   `json:"reads"`
	Polls      int                   `json:"polls"`
	Finished   int                   `json:"finished"`
	Repeats    int                   `json:"repeats_allowed"`
	Unseen     int64                 `json:"unseen"`
	Unfinished int64                 `json:"unfinished"`
	Uncompared int64                 `json:"not_compared"`
	Violations int                   `json:"violations"`
	Counts     map[history.Class]int `json:"counts"`
	Faults     map[string]int        `json:"faults"`
}

func summary(r Run, accept []history.Class) Summary {
	rep := r.Report
	s := Summary{
		Name: r.Name, Events: rep.Events, Records: max(rep.Records, rep.Reads, rep.Sends), Keys: rep.Keys, Partitions: rep.Partitions,
		Sends: rep.Sends, Acked: rep.Acked, Failed: rep.Failed, Unclear: rep.Unclear, Reads: rep.Reads,
		Polls: rep.Polls, Finished: max(rep.Dids, rep.Handled), Repeats: rep.Redelivered,
		Unseen: rep.Unseen, Unfinished: rep.Unfinished, Uncompared: rep.Uncompared,
		Counts: map[history.Class]int{}, Faults: map[string]int{},
	}
	maps.Copy(s.Counts, rep.Counts)
	maps.Copy(s.Faults, rep.Faults)
	s.Violations = violations(rep, accept)
	return s
}

// violations counts those that show that something broke. What is accepted of
// the subject does not count for the control either: a control that breaks in
// another way shows nothing.
func violations(r history.Report, accept []history.Class) int {
	n := 0
	for c, count := range r.Counts {
		if !c.Weak() && !slices.Contains(accept, c) {
			n += count
		}
	}
	return n
}

// Judge decides.
func Judge(in Input) Verdict {
	v := Verdict{
		Format: 1, Version: in.Version, Subject: summary(in.Subject, in.Accept),
		Reasons: []string{}, Findings: []Finding{}, Accepted: []Finding{}, Limits: append([]string{}, in.Limits...),
	}
	for _, c := range history.Classes() {
		if in.Subject.Report.Counts[c] == 0 || c.Weak() {
			continue
		}
		if f := finding(in.Subject, c); slices.Contains(in.Accept, c) {
			v.Accepted = append(v.Accepted, f)
		} else {
			v.Findings = append(v.Findings, f)
		}
	}
	if in.Control != nil {
		s := summary(*in.Control, in.Accept)
		v.Control = &s
	} else {
		v.Limits = append(v.Limits, noControl)
	}
	if n := v.Subject.Uncompared; n > 0 {
		v.Limits = append(v.Limits, fmt.Sprintf("Beyond the memory of the checker, and so not compared: %s.", count(n, "observation", "observations")))
	}
	v.Reasons = append(v.Reasons, doubts(in)...)
	switch {
	case len(v.Findings) > 0:
		v.Verdict, v.Reason = Violated, v.violatedReason()
	case len(v.Reasons) > 0:
		v.Verdict, v.Reason = Inconclusive, v.Reasons[0]
	default:
		v.Verdict, v.Reason = Held, v.heldReason()
	}
	return v
}

func finding(r Run, c history.Class) Finding {
	info := history.About(c)
	f := Finding{
		Class: c, Title: info.Title, Explain: info.Explain, Side: info.Side, Count: r.Report.Counts[c],
		Rule: info.Rule, Setting: info.Setting, Also: info.Also,
	}
	of := func(v history.Violation) bool { return v.Class == c }
	if i := slices.IndexFunc(r.Report.Violations, of); i >= 0 {
		f.tell(r.Report.Violations[i], info)
	}
	if i := slices.IndexFunc(r.Examples, func(x history.Example) bool { return of(x.Violation) }); i >= 0 {
		f.tell(r.Examples[i].Violation, info)
		f.Example = &r.Examples[i]
	}
	return f
}

// tell takes one violation as the one to show. It may name a more exact rule
// than its class does.
func (f *Finding) tell(v history.Violation, info history.Info) {
	f.First = v.Text
	f.Rule, f.Also = info.Rule, info.Also
	if v.Rule != "" && v.Rule != info.Rule {
		f.Rule = v.Rule
		f.Also = append([]string{info.Rule}, slices.DeleteFunc(slices.Clone(info.Also), func(id string) bool { return id == v.Rule })...)
	}
	if s, ok := settings[f.Rule]; ok {
		f.Setting = s
	}
}

// settings are those of rules that a violation names in place of its class's.
var settings = map[string]string{
	"C06": "auto.offset.reset=earliest or none, and no seek on a partition that is being processed",
}

// doubts are the reasons why the subject's history tells nothing, or not all.
func doubts(in Input) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	r := in.Subject.Report
	switch {
	case r.Reads > 0 && r.Unnumbered == r.Reads:
		add("no record of the log carries a number: give each record its key's own number, counted from 1")
	case r.Events == 0:
		add("the history is empty: nothing happened, or nothing was written down")
	case r.Sends > 0 && r.Reads == 0:
		add("nobody read the log: what became of %s is not known", count(r.Sends, "sent record", "sent records"))
	case r.Vacuous:
		add("nothing was checked: no key has two records, so no order could be seen")
	}
	if n := r.Counts[history.Malformed]; n > 0 {
		add("the history contradicts itself in %s; the first one: %s", count(n, "place", "places"), first(r, history.Malformed))
	}
	if n := r.Unseen; n > 0 && r.Reads > 0 {
		add("%s not seen: the log, or the application, was not followed to its end; %s", count(n, "record was", "records were"), first(r, history.Unseen))
	}
	if of := observed(r); 2*r.Uncompared > int64(of) {
		add("%s of %s were beyond the memory of the checker, and not compared: more than half; "+
			"judge fewer records at a time, over more partitions, or repeat with --duration in place of more records", thousands(r.Uncompared), count(of, "observation", "observations"))
	}
	hit := total(r.Faults)
	switch {
	case in.Control != nil && hit < max(in.MinFaults, 1), hit < in.MinFaults:
		add("%s hit the subject; needed: %s", count(hit, "fault", "faults"), thousands(max(in.MinFaults, 1)))
	}
	if in.Control == nil {
		return out
	}
	if n := total(in.Control.Report.Faults); n < max(in.MinFaults, 1) {
		add("%s hit the control; needed: %s", count(n, "fault", "faults"), thousands(max(in.MinFaults, 1)))
	}
	if violations(in.Control.Report, in.Accept) == 0 {
		add("the control did not break: where nothing breaks, holding shows nothing")
	}
	return out
}

// observed is how many observations of records there are at the least: in the
// largest of the passes over them. When more than half were not compared, that
// nothing was found shows nothing.
func observed(r history.Report) int {
	return max(r.Acked, r.Reads, r.Polls, r.Dids, r.Handled)
}

func first(r history.Report, c history.Class) string {
	for _, v := range r.Violations {
		if v.Class == c {
			return v.Text
		}
	}
	return string(c)
}

func total(m map[string]int) int {
	n := 0
	for _, c := range m {
		n += c
	}
	return n
}

func (v *Verdict) violatedReason() string {
	return classes(v.Findings) + v.under()
}

func classes(fs []Finding) string {
	var parts []string
	for _, f := range fs {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(f.Count), f.Class))
	}
	return strings.Join(parts, ", ")
}

func (v *Verdict) heldReason() string {
	s := "no violation"
	if len(v.Accepted) > 0 {
		s += " but " + classes(v.Accepted) + ", which you accept,"
	}
	s += fmt.Sprintf(" in %s of %s%s", count(v.Subject.Records, "record", "records"), count(v.Subject.Keys, "key", "keys"), v.under())
	if v.Control != nil {
		s += ", while the control was violated " + count(v.Control.Violations, "time", "times")
	}
	return s
}

// under names the faults that hit the subject.
func (v *Verdict) under() string {
	n := total(v.Subject.Faults)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" under %s (%s)", count(n, "fault", "faults"), kinds(v.Subject.Faults))
}

// kinds lists faults by kind, the most frequent first.
func kinds(m map[string]int) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, k := range names {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(m[k]), k))
	}
	return strings.Join(parts, ", ")
}

// count says how many there are of a thing.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands groups digits, as people read them.
func thousands[N int | int64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
