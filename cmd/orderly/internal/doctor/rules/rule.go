// Package rules is the table of what breaks the order of messages in Kafka, or
// loses them: one place for each rule, with its texts and its check. Checks read
// package facts and nothing else, so that files, a cluster and a log can all feed
// them. The ids never change their meaning; docs/rules.md is made from this table.
package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// A Severity is how bad it is.
type Severity string

// The severities.
const (
	Error Severity = "error" // breaks the order, or loses records
	Warn  Severity = "warn"  // may
	Note  Severity = "note"  // worth knowing
)

// A Rule is one thing that breaks order. A check is at most one of unit, which
// looks at one producer, consumer, broker ... , and set, which looks at all; Marks
// are found without a function.
type Rule struct {
	ID       string
	Title    string
	Severity Severity
	Needs    []facts.Source // any of them decides it
	Kinds    []facts.Kind   // of units that it looks at
	Clients  []facts.Client // only of these, if any
	Marks    []string       // what code does
	Versions string

	Cause     string
	Diagnosis string
	Fix       string            // {name=value} is written as the user's client writes it
	Fixes     map[string]string // by client or framework, where the fix is another
	Why       string
	WhenNot   string
	Source    string
	Damage    string // is data damaged already, and how to tell
	Prove     string // the experiment that shows it
	Yields    []string

	unit  func(v facts.View, say say)
	grade func(v facts.View) Severity // where it is not always as bad
	set   func(s *facts.Set, say sayAt)
}

// say reports a finding of a unit: what, and the settings that show it.
type say func(settings []string, what string, args ...any)

// sayAt reports a finding at places.
type sayAt func(at []facts.Place, what string, args ...any)

// All are all rules, in the order of their ids.
func All() []*Rule { return all }

var all = collect(producer, measured, duplicates, framework, keys, consumer, handling, broker, transactions, live)

func collect(groups ...[]Rule) (rs []*Rule) {
	for _, g := range groups {
		for i := range g {
			rs = append(rs, &g[i])
		}
	}
	order := "PXKCBTL"
	slices.SortStableFunc(rs, func(a, b *Rule) int {
		if d := strings.IndexByte(order, a.ID[0]) - strings.IndexByte(order, b.ID[0]); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return rs
}

// Find is the rule of an id, or nil.
func Find(id string) *Rule {
	for _, r := range all {
		if strings.EqualFold(r.ID, id) {
			return r
		}
	}
	return nil
}

// Automatic says that doctor config can decide the rule, at least in part.
func (r *Rule) Automatic() bool { return r.unit != nil || r.set != nil || len(r.Marks) > 0 }

// needs says whether a source is one that decides the rule.
func (r *Rule) needs(s facts.Source) bool { return slices.Contains(r.Needs, s) }

// applies says whether the rule looks at such a unit.
func (r *Rule) applies(v facts.View) bool {
	return slices.Contains(r.Kinds, v.Kind) && (len(r.Clients) == 0 || slices.Contains(r.Clients, v.Client))
}

// A Finding is a rule that something breaks.
type Finding struct {
	Rule     *Rule
	Severity Severity // lower than the rule's when it only may be so
	What     string
	Unit     *facts.Unit
	Where    []Evidence
	When     []string // the possibilities in which it is so; none: always
	Fix      string
	WhenNot  string
}

// Evidence is a place, and what is there.
type Evidence struct {
	facts.Place
	Text string
}

// A Result is what the rules say about what is known.
type Result struct {
	Findings []Finding
	Checked  []*Rule // that had something to look at
	Unseen   []*Rule // that nothing here could decide
}

// Run looks at everything with all rules.
func Run(s *facts.Set) Result {
	var res Result
	for _, r := range all {
		looked := r.run(s, &res.Findings)
		if looked {
			res.Checked = append(res.Checked, r)
		} else {
			res.Unseen = append(res.Unseen, r)
		}
	}
	res.Findings = once(yield(res.Findings))
	slices.SortStableFunc(res.Findings, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) })
	return res
}

func rank(s Severity) int { return slices.Index([]Severity{Error, Warn, Note}, s) }

func (r *Rule) run(s *facts.Set, out *[]Finding) (looked bool) {
	if r.unit != nil {
		for _, u := range s.Units {
			looked = r.ofUnit(u, out) || looked
		}
	}
	if r.set != nil {
		looked = len(s.Units) > 0 || looked
		r.set(s, func(at []facts.Place, what string, args ...any) {
			f := Finding{Rule: r, Severity: r.Severity, What: fmt.Sprintf(what, args...), Fix: fixText(r, nil), WhenNot: spelled(r.WhenNot, nil)}
			for _, p := range at {
				f.Where = append(f.Where, Evidence{Place: p})
			}
			*out = append(*out, f)
		})
	}
	for _, m := range s.Marks {
		if slices.Contains(r.Marks, m.What) {
			*out = append(*out, Finding{Rule: r, Severity: r.Severity, What: m.Detail, Where: []Evidence{{Place: m.Place}}, Fix: fixText(r, nil), WhenNot: spelled(r.WhenNot, nil)})
		}
	}
	return looked || len(r.Marks) > 0 && s.Has[facts.Code]
}

// ofUnit tries all that a unit may be, and says of a finding when it is so.
func (r *Rule) ofUnit(u *facts.Unit, out *[]Finding) (looked bool) {
	if len(u.Versions) == 0 && !slices.ContainsFunc(r.Needs, func(s facts.Source) bool { return s == facts.Config || s == facts.Code || s == facts.Log }) && r.needs(facts.Version) {
		return false // the version alone decides it, and is not known
	}
	views := u.Views()
	var found []Finding
	when := map[string][]string{}
	some := map[string]bool{} // possibilities in which anything is found
	for _, v := range views {
		if !r.applies(v) {
			continue
		}
		looked = true
		r.unit(v, func(settings []string, what string, args ...any) {
			f := Finding{Rule: r, Severity: r.Severity, What: fmt.Sprintf(what, args...), Unit: u, Where: evidence(v, settings), Fix: fixText(r, &v), WhenNot: spelled(r.WhenNot, &v)}
			if r.grade != nil {
				f.Severity = r.grade(v)
			}
			some[v.Label] = true
			if when[f.What] == nil {
				found = append(found, f)
			}
			when[f.What] = append(when[f.What], v.Label)
		})
	}
	for _, f := range found {
		if cases := when[f.What]; len(cases) < len(views) {
			f.When = merge(cases, u)
			if f.Severity == Error && len(some) < len(views) {
				f.Severity = Warn
			}
		}
		*out = append(*out, f)
	}
	return looked
}

// merge says "librdkafka" where it is so for all versions of librdkafka.
func merge(labels []string, u *facts.Unit) (out []string) {
	for _, c := range facts.Clients() {
		var of, have []string
		for _, v := range u.Views() {
			if v.Client == c && len(u.Versions) == 0 && v.Kind != facts.Broker && v.Kind != facts.Topic {
				of = append(of, v.Label)
				if slices.Contains(labels, v.Label) {
					have = append(have, v.Label)
				}
			}
		}
		if len(of) > 1 && len(of) == len(have) {
			labels = slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return slices.Contains(have, l) })
			out = append(out, c.Artifact())
		}
	}
	return append(out, labels...)
}

// evidence is where settings are written; what is not written has the unit's place.
func evidence(v facts.View, settings []string) (ev []Evidence) {
	for _, name := range settings {
		if val, ok := v.Get(name); ok {
			text := val.Written + " = " + Shown(name, val.Text)
			if val.Elsewhere {
				text = val.Written + " is decided elsewhere"
			}
			ev = append(ev, Evidence{val.Place, text})
		} else if t := v.Text(name); t != "" {
			of := v.Client.Artifact()
			if _, ok := v.Defaults[name]; ok {
				of = v.Framework
			} else if v.Kind == facts.Broker || v.Kind == facts.Topic {
				of = "Kafka"
			} else if v.Kind == facts.Worker || v.Kind == facts.Connector {
				of = "Kafka Connect"
			}
			ev = append(ev, Evidence{v.Place, fmt.Sprintf("%s is not set: %s, the default of %s", name, Shown(name, t), of)})
		} else {
			ev = append(ev, Evidence{v.Place, name + " is not set"})
		}
	}
	if len(ev) == 0 {
		ev = append(ev, Evidence{Place: v.Place})
	}
	return ev
}

// yield drops findings whose rule gives way to another one of the same unit; what is
// always so does not give way to what is so with some versions.
func yield(fs []Finding) []Finding {
	type at struct {
		u  *facts.Unit
		id string
	}
	said := map[at]bool{} // true: always so
	for _, f := range fs {
		if f.Unit != nil {
			said[at{f.Unit, f.Rule.ID}] = said[at{f.Unit, f.Rule.ID}] || f.When == nil
		}
	}
	return slices.DeleteFunc(fs, func(f Finding) bool {
		return f.Unit != nil && slices.ContainsFunc(f.Rule.Yields, func(id string) bool {
			always, there := said[at{f.Unit, id}]
			return always || there && f.When != nil
		})
	})
}

// once drops what was said before of the same places: a profile that only adds to
// another one has the same settings.
func once(fs []Finding) []Finding {
	said := map[string]bool{}
	return slices.DeleteFunc(fs, func(f Finding) bool {
		kind := facts.Kind("")
		if f.Unit != nil {
			kind = f.Unit.Kind
		}
		what := fmt.Sprint(f.Rule.ID, kind, f.What, f.Where, f.When)
		defer func() { said[what] = true }()
		return said[what]
	})
}
