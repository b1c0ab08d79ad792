// Package finding is what the checks of a cluster and its topics say: what they
// found, what they checked, and what they could not see.
package finding

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
)

// Severities, the worst first.
const (
	Error = "error" // breaks the order, or loses records
	Warn  = "warn"  // may
	Note  = "note"  // worth knowing
)

// Rank orders severities, the worst first.
func Rank(severity string) int { return slices.Index([]string{Error, Warn, Note}, severity) }

// A Finding is something that breaks order, or may.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity string   `json:"severity"`
	Title    string   `json:"title,omitempty"`
	What     string   `json:"what"`
	Where    []string `json:"where,omitempty"`  // the evidence
	Damage   string   `json:"damage,omitempty"` // is data damaged already
	Fix      string   `json:"fix,omitempty"`
	Why      string   `json:"why,omitempty"`
	WhenNot  string   `json:"when_not,omitempty"`
	Source   string   `json:"source,omitempty"`
	Prove    string   `json:"prove,omitempty"`

	// In text only: whose finding it is, and with what it is one.
	Subject string   `json:"-"`
	When    []string `json:"-"`
}

// Unchecked is a rule that could not be checked, and why.
type Unchecked struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// A Report is what a check says.
type Report struct {
	Findings   []Finding   `json:"findings"`
	Checked    []string    `json:"checked"` // rules
	NotChecked []Unchecked `json:"not_checked"`
	Unseen     []string    `json:"unseen,omitempty"` // what the check cannot see by its nature, or did not
}

// Add adds a finding.
func (r *Report) Add(f Finding) { r.Findings = append(r.Findings, f) }

// Checks says that rules are checked.
func (r *Report) Checks(rules ...string) { r.Checked = append(r.Checked, rules...) }

// Cannot says that rules are not checked, and why.
func (r *Report) Cannot(why string, rules ...string) {
	for _, id := range rules {
		r.NotChecked = append(r.NotChecked, Unchecked{id, why})
	}
}

// explain adds what the table of rules says, where the check has not said better.
func (f *Finding) explain() {
	r := rules.Find(f.Rule)
	if r == nil {
		return
	}
	f.Title = cmp.Or(f.Title, r.Title)
	fix, whenNot := r.Plain()
	f.Damage, f.Fix, f.WhenNot = cmp.Or(f.Damage, r.Damage), cmp.Or(f.Fix, fix), cmp.Or(f.WhenNot, whenNot)
	f.Why, f.Source, f.Prove = cmp.Or(f.Why, r.Why), cmp.Or(f.Source, r.Source), cmp.Or(f.Prove, r.Prove)
}

// Finish orders the report: the worst first, then by rule. A rule that could not be
// checked somewhere stands among those only.
func (r *Report) Finish() {
	for i := range r.Findings {
		r.Findings[i].explain()
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(Rank(a.Severity)-Rank(b.Severity), strings.Compare(a.Rule, b.Rule))
	})
	slices.SortFunc(r.NotChecked, func(a, b Unchecked) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Why, b.Why))
	})
	r.NotChecked = slices.Compact(r.NotChecked)
	r.Checked = slices.DeleteFunc(r.Checked, func(id string) bool {
		return slices.ContainsFunc(r.NotChecked, func(u Unchecked) bool { return u.Rule == id })
	})
	slices.Sort(r.Checked)
	r.Checked = slices.Compact(r.Checked)
	// Empty lists, not null, for who reads the JSON.
	r.Findings = append([]Finding{}, r.Findings...)
	r.Checked = append([]string{}, r.Checked...)
	r.NotChecked = append([]Unchecked{}, r.NotChecked...)
}

// Fails says whether there is a finding as bad as level, or worse.
func (r *Report) Fails(level string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return Rank(f.Severity) <= Rank(level) })
}
