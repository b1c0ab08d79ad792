// Package finding is what the checks of a cluster and its topics say: what they
// found, what they checked, and what they could not see.
package finding

import (
	"cmp"
	"fmt"
	"io"
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
	Where    []string `json:"where,omitempty"`   // the evidence
	Damaged  string   `json:"damaged,omitempty"` // is data damaged already
	Fix      string   `json:"fix,omitempty"`
	Why      string   `json:"why,omitempty"`
	Source   string   `json:"source,omitempty"`
	Prove    string   `json:"prove,omitempty"`
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
	f.Damaged, f.Fix = cmp.Or(f.Damaged, r.Damage), cmp.Or(f.Fix, r.Fix)
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

// Write prints it.
func (r *Report) Write(w io.Writer) error {
	p := &printer{w: w}
	for _, f := range r.Findings {
		p.f("%s %s: %s\n", strings.ToUpper(f.Severity), f.Rule, f.What)
		for _, at := range f.Where {
			p.f("    %s\n", at)
		}
		if f.Damaged != "" {
			p.f("  damaged? %s\n", f.Damaged)
		}
		if f.Fix != "" {
			p.f("  fix: %s\n", f.Fix)
		}
		if f.Why != "" {
			p.f("  why: %s (%s)\n", f.Why, f.Source)
		}
		if f.Prove != "" {
			p.f("  prove: %s\n", f.Prove)
		}
		p.f("\n")
	}
	if len(r.Findings) == 0 {
		p.f("Nothing found.\n\n")
	}
	p.f("Checked: %s.\n", list(r.Checked))
	last := ""
	for _, u := range r.NotChecked {
		if u.Why != last {
			var ids []string
			for _, o := range r.NotChecked {
				if o.Why == u.Why {
					ids = append(ids, o.Rule)
				}
			}
			if ids[0] == u.Rule {
				p.f("Not checked: %s: %s\n", list(ids), u.Why)
			}
		}
		last = u.Why
	}
	for _, u := range r.Unseen {
		p.f("Not seen: %s\n", u)
	}
	return p.err
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "nothing"
	}
	return strings.Join(ids, ", ")
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
