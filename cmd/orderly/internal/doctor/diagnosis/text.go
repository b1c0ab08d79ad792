package diagnosis

import (
	"fmt"
	"io"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
)

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	p := &printer{finding.NewPrinter(w)}
	p.Findings(r.plain())
	p.units(r.Units)
	p.rest(r)
	return p.Err
}

// plain are the findings as all commands print them.
func (r *Report) plain() (all []finding.Finding) {
	for _, f := range r.Findings {
		out := finding.Finding{Rule: f.Rule, Severity: f.Severity, Title: f.Title, What: f.What, Damage: f.Damage, Fix: f.Fix, Why: f.Why,
			Source: f.Source, Prove: f.Prove, Subject: f.Unit, When: f.When, WhenNot: f.WhenNot}
		for _, e := range f.Where {
			at := facts.Place{File: e.File, Line: e.Line}.String()
			if e.Text != "" {
				at += "  " + e.Text
			}
			out.Where = append(out.Where, at)
		}
		all = append(all, out)
	}
	return all
}

type printer struct{ *finding.Printer }

func (p *printer) units(us []Unit) {
	if len(us) == 0 {
		return
	}
	p.Line("What holds in the end")
	p.Line("")
	for _, u := range us {
		head := u.Kind
		if u.Name != "" {
			head += " (" + u.Name + ")"
		}
		head += ", " + facts.Place{File: u.File, Line: u.Line}.String()
		switch {
		case u.Kind == string(facts.Broker) || u.Kind == string(facts.Topic):
		case u.Client == "":
			head += ", client unknown: answers for kafka-clients and librdkafka"
		default:
			head += ", " + facts.Client(u.Client).Artifact()
		}
		if len(u.Versions) > 0 {
			head += " " + strings.Join(u.Versions, " or ") + " (" + u.VersionOf + ")"
		} else if u.Client != "" && u.Kind != string(facts.Worker) && u.Kind != string(facts.Connector) {
			head += ", version unknown"
		}
		if u.Partial {
			head += "; a part of its settings is elsewhere"
		}
		p.Line("%s", head)
		for _, s := range u.Effective {
			origin := s.Origin
			if s.When != "" {
				origin += ", with " + s.When
			}
			p.Line("   %-40s %-18s %s", s.Name, s.Value, origin)
		}
	}
	p.Line("")
}

// rest says what was looked at, and what was not.
func (p *printer) rest(r *Report) {
	if len(r.Unknown) > 0 {
		p.Line("Settings that nothing knows")
		for _, x := range r.Unknown {
			near := ""
			if x.Near != "" {
				near = "; much like " + x.Near
			}
			p.Line("   %s  %s%s", facts.Place{File: x.File, Line: x.Line}, x.Name, near)
		}
		p.Line("")
	}
	if len(r.Hidden) > 0 {
		p.Line("Not seen: settings that are put together elsewhere")
		for _, h := range r.Hidden {
			p.Line("   could not see the settings of the %s (%s) at %s: they come from %s", h.Kind, facts.Client(h.Client).Artifact(), facts.Place{File: h.File, Line: h.Line}, h.Given)
		}
		p.Line("")
	}
	if len(r.Skipped) > 0 {
		p.Line("Not read")
		for _, s := range r.Skipped {
			p.Line("   %s  %s", facts.Place{File: s.File, Line: s.Line}, s.Why)
		}
		p.Line("")
	}
	p.Line("Checked: %s on %s in %s (%d opened).", plural.Of(len(r.Checked), "rule"), plural.Of(len(r.Units), "configuration"), plural.Of(r.Files, "file"), r.Looked)
	p.Line("Not checked: %s, which %s something else:", plural.Of(len(r.Unseen), "rule"), plural.Verb(len(r.Unseen), "needs", "need"))
	for _, n := range []struct{ need, says string }{
		{"config", "settings of a kind that is not here"}, {"version", "the version of a client or broker (--client-version)"}, {"code", "source code"},
		{"cluster", "a cluster"}, {"log", "what is written in topics"}, {"ask", "an answer that only you have"},
	} {
		var ids []string
		for _, u := range r.Unseen {
			if u.Needs[0] == n.need {
				ids = append(ids, u.Rule)
			}
		}
		if len(ids) > 0 {
			p.Line("   %s: %s", n.says, strings.Join(ids, " "))
		}
	}
	p.Line("%s", r.Conclusion())
}

// Conclusion is the last line.
func (r *Report) Conclusion() string {
	switch r.Verdict {
	case "nothing":
		if len(r.Hidden) > 0 {
			return "Clients of Kafka were found, and none of their settings: nothing was checked."
		}
		return "Nothing of Kafka was found here: nothing was checked."
	case "clean":
		return "Nothing that breaks order was found by the rules that were checked. That is not a proof: see what was not checked, and not seen."
	}
	return fmt.Sprintf("%s, %s, %s. \"orderly doctor rules ID\" says more of each rule.", plural.Of(r.Errors, "error"), plural.Of(r.Warnings, "warning"), plural.Of(r.Notes, "note"))
}

// Fails says whether findings reach a severity: "error", "warn".
func (r *Report) Fails(on string) bool {
	return r.Errors > 0 || on == "warn" && r.Warnings > 0
}
