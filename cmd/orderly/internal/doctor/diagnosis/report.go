// Package diagnosis says what the rules found, in the order of what to do next, and
// what was looked at and what was not. The JSON form is stable: fields are added, and
// never change their meaning.
package diagnosis

import (
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
)

// A Report is what "orderly doctor config --json" prints.
type Report struct {
	Format   int       `json:"format"`  // 1
	Verdict  string    `json:"verdict"` // "findings", "clean", "nothing" when there was nothing to look at
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notes    int       `json:"notes"`
	Findings []Finding `json:"findings"`
	Units    []Unit    `json:"units"`
	Checked  []string  `json:"checked"` // ids of rules that had something to look at
	Unseen   []Unseen  `json:"not_checked"`
	Skipped  []Skipped `json:"skipped"`
	Hidden   []Hidden  `json:"hidden_clients"`
	Unknown  []Unknown `json:"unknown_settings"`
	Files    int       `json:"files"`        // that have something of Kafka
	Looked   int       `json:"files_looked"` // that were opened
}

// A Finding is one thing to do.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity string   `json:"severity"` // error, warn, note
	Title    string   `json:"title"`
	What     string   `json:"what"`
	Unit     string   `json:"unit,omitempty"`
	Client   string   `json:"client,omitempty"`
	Where    []Where  `json:"where"`
	When     []string `json:"only_with,omitempty"` // versions or clients with which it is so
	Damage   string   `json:"damage"`
	Fix      string   `json:"fix"`
	Why      string   `json:"why"`
	WhenNot  string   `json:"when_not"`
	Source   string   `json:"source"`
	Prove    string   `json:"prove,omitempty"`
}

// Where is evidence.
type Where struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text,omitempty"`
}

// A Unit is one producer, consumer, broker ... and what holds for it.
type Unit struct {
	Kind      string    `json:"kind"`
	Name      string    `json:"name,omitempty"`
	File      string    `json:"file"`
	Line      int       `json:"line,omitempty"`
	Client    string    `json:"client,omitempty"`
	Framework string    `json:"framework,omitempty"`
	Versions  []string  `json:"versions,omitempty"`
	VersionOf string    `json:"version_from,omitempty"`
	Partial   bool      `json:"partial,omitempty"`
	Effective []Setting `json:"effective"`
}

// A Setting is an effective value. Where several are possible, there is one for each.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // file:line, or whose default
	When   string `json:"only_with,omitempty"`
}

// Unseen is a rule that nothing here could decide.
type Unseen struct {
	Rule  string   `json:"rule"`
	Title string   `json:"title"`
	Needs []string `json:"needs"`
}

// Skipped is a file that was not read.
type Skipped struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Why  string `json:"why"`
}

// Hidden is a client whose settings were not seen.
type Hidden struct {
	Kind   string `json:"kind"`
	Client string `json:"client"`
	Given  string `json:"made_with"`
	File   string `json:"file"`
	Line   int    `json:"line"`
}

// Unknown is a setting that nothing knows.
type Unknown struct {
	Name string `json:"name"`
	Near string `json:"near,omitempty"`
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
}

// Of runs the rules over what is known.
func Of(s *facts.Set) *Report {
	res := rules.Run(s)
	r := &Report{Format: 1, Verdict: "clean", Files: s.Files, Looked: s.Looked,
		Findings: []Finding{}, Units: []Unit{}, Checked: []string{}, Unseen: []Unseen{}, Skipped: []Skipped{}, Hidden: []Hidden{}, Unknown: []Unknown{}}
	for _, f := range res.Findings {
		out := Finding{
			Rule: f.Rule.ID, Severity: string(f.Severity), Title: f.Rule.Title, What: f.What, When: f.When, Damage: f.Rule.Damage, Fix: f.Fix,
			Why: f.Rule.Why, WhenNot: f.WhenNot, Source: f.Rule.Source, Prove: f.Rule.Prove, Where: []Where{},
		}
		if f.Unit != nil {
			out.Unit, out.Client = title(f.Unit), string(f.Unit.Client)
		}
		for _, e := range f.Where {
			out.Where = append(out.Where, Where{e.File, e.Line, e.Text})
		}
		switch f.Severity {
		case rules.Error:
			r.Errors++
		case rules.Warn:
			r.Warnings++
		default:
			r.Notes++
		}
		r.Findings = append(r.Findings, out)
	}
	for _, u := range s.Units {
		r.Units = append(r.Units, unit(u))
	}
	for _, x := range res.Checked {
		r.Checked = append(r.Checked, x.ID)
	}
	for _, x := range res.Unseen {
		var needs []string
		for _, n := range x.Needs {
			needs = append(needs, string(n))
		}
		r.Unseen = append(r.Unseen, Unseen{x.ID, x.Title, needs})
	}
	for _, k := range s.Skipped {
		r.Skipped = append(r.Skipped, Skipped{k.File, k.Line, k.Why})
	}
	for _, h := range s.Hidden {
		r.Hidden = append(r.Hidden, Hidden{string(h.Kind), string(h.Client), h.Given, h.File, h.Line})
	}
	for _, x := range s.Strange {
		r.Unknown = append(r.Unknown, Unknown{x.Name, x.Near, x.File, x.Line})
	}
	switch {
	case len(r.Findings) > 0:
		r.Verdict = "findings"
	case len(s.Units) == 0 && len(s.Marks) == 0:
		r.Verdict = "nothing"
	}
	return r
}

// title is what a unit is called.
func title(u *facts.Unit) string {
	t := string(u.Kind)
	if u.Name != "" {
		t += " (" + u.Name + ")"
	}
	return t
}

// shown are the settings whose effective values are told, by kind.
var shown = map[facts.Kind][]string{
	facts.Producer: {"acks", "enable.idempotence", "max.in.flight.requests.per.connection", "retries", "delivery.timeout.ms", "request.timeout.ms", "linger.ms",
		"partitioner", "partitioner.class", "partitioner.ignore.keys", "transactional.id"},
	facts.Consumer: {"group.protocol", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "partition.assignment.strategy", "session.timeout.ms",
		"heartbeat.interval.ms", "max.poll.records", "max.poll.interval.ms", "isolation.level", "group.instance.id"},
	facts.Worker:    {"acks", "enable.idempotence", "max.in.flight.requests.per.connection", "exactly.once.source.support", "offset.storage.replication.factor", "config.storage.replication.factor", "status.storage.replication.factor"},
	facts.Connector: {"acks", "enable.idempotence", "max.in.flight.requests.per.connection", "errors.tolerance"},
	facts.Broker: {"default.replication.factor", "min.insync.replicas", "unclean.leader.election.enable", "auto.create.topics.enable", "offsets.topic.replication.factor",
		"transaction.state.log.replication.factor", "transaction.state.log.min.isr", "log.cleanup.policy"},
	facts.Topic: {"replication.factor", "min.insync.replicas", "unclean.leader.election.enable", "cleanup.policy"},
}

func unit(u *facts.Unit) Unit {
	out := Unit{Kind: string(u.Kind), Name: u.Name, File: u.File, Line: u.Line, Client: string(u.Client), Framework: u.Framework, VersionOf: u.VersionOf, Partial: u.Partial, Effective: []Setting{}}
	for _, v := range u.Versions {
		out.Versions = append(out.Versions, v.String())
	}
	views := u.Views()
	for _, name := range shown[u.Kind] {
		if val, ok := u.Set[name]; ok && name != "enable.idempotence" {
			s := Setting{Name: name, Value: rules.Shown(name, val.Text), Origin: val.String()}
			if val.Elsewhere {
				s.Value, s.Origin = "decided elsewhere", val.String()
			}
			out.Effective = append(out.Effective, s)
			continue
		}
		out.Effective = append(out.Effective, possible(name, views)...)
	}
	return out
}

// possible are the values that a setting may have, with the versions of each.
func possible(name string, views []facts.View) (out []Setting) {
	type answer struct{ value, origin string }
	var order []answer
	when := map[answer][]string{}
	for _, v := range views {
		var a answer
		if name == "enable.idempotence" {
			if v.Client == facts.KafkaGo {
				continue
			}
			a = answer(idempotence(v))
		} else if a = (answer{v.Text(name), "default"}); a.value == "" {
			continue
		}
		if when[a] == nil {
			order = append(order, a)
		}
		when[a] = append(when[a], v.Label)
	}
	for _, a := range order {
		s := Setting{Name: name, Value: a.value, Origin: a.origin}
		if len(when[a]) < len(views) {
			s.When = strings.Join(slices.Compact(when[a]), ", ")
		}
		out = append(out, s)
	}
	return out
}

func idempotence(v facts.View) struct{ value, origin string } {
	i := v.Idempotent()
	val, written := v.Get("enable.idempotence")
	origin := "default"
	if written {
		origin = val.String()
	} else if t, ok := v.Get("transactional.id"); ok && i.On {
		origin = "by transactional.id, " + t.String()
	}
	switch {
	case i.Unsure:
		return struct{ value, origin string }{"decided elsewhere", origin}
	case i.Refuse != "":
		return struct{ value, origin string }{"true", origin + "; it does not start: " + i.Refuse}
	case i.On:
		return struct{ value, origin string }{"true", origin}
	case i.Silent != "":
		return struct{ value, origin string }{"false", "silently off: " + i.Silent}
	}
	return struct{ value, origin string }{"false", origin}
}
