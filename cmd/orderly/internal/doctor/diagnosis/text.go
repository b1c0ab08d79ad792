package diagnosis

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// headings are the parts of the text, by what to do next.
var headings = []struct{ severity, title string }{
	{"error", "To mend now: breaks the order, or loses records"},
	{"warn", "To look at: may break the order, or depends on what is not known here"},
	{"note", "To know"},
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	p := &printer{w: w}
	for _, h := range headings {
		var of []Finding
		for _, f := range r.Findings {
			if f.Severity == h.severity {
				of = append(of, f)
			}
		}
		if len(of) == 0 {
			continue
		}
		p.line("%s (%d)", h.title, len(of))
		p.line("")
		for _, f := range of {
			p.finding(f)
		}
	}
	p.units(r.Units)
	p.rest(r)
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, visible(fmt.Sprintf(format, args...))+"\n")
	}
}

// visible writes control characters out: the names of files, and what is in them, come
// from others, and a terminal would obey them.
func visible(line string) string {
	if strings.IndexFunc(line, unicode.IsControl) < 0 {
		return line
	}
	var b strings.Builder
	for _, r := range line {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (p *printer) finding(f Finding) {
	p.line("%s %s", f.Rule, f.Title)
	what := f.What
	if f.Unit != "" {
		what = f.Unit + ": " + what
	}
	p.line("   what    %s", what)
	if len(f.When) > 0 {
		p.line("   when    with %s", strings.Join(f.When, "; "))
	}
	for i, e := range f.Where {
		label := "where "
		if i > 0 {
			label = "      "
		}
		at := facts.Place{File: e.File, Line: e.Line}.String()
		if e.Text != "" {
			at += "  " + e.Text
		}
		p.line("   %s  %s", label, at)
	}
	p.line("   damage  %s", f.Damage)
	p.line("   fix     %s", f.Fix)
	p.line("   why     %s", f.Why)
	p.line("   not if  %s", f.WhenNot)
	p.line("   source  %s", f.Source)
	if f.Prove != "" {
		p.line("   prove   %s", f.Prove)
	}
	p.line("")
}

func (p *printer) units(us []Unit) {
	if len(us) == 0 {
		return
	}
	p.line("What holds in the end")
	p.line("")
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
		p.line("%s", head)
		for _, s := range u.Effective {
			origin := s.Origin
			if s.When != "" {
				origin += ", with " + s.When
			}
			p.line("   %-40s %-18s %s", s.Name, s.Value, origin)
		}
	}
	p.line("")
}

// rest says what was looked at, and what was not.
func (p *printer) rest(r *Report) {
	if len(r.Unknown) > 0 {
		p.line("Settings that nothing knows")
		for _, x := range r.Unknown {
			near := ""
			if x.Near != "" {
				near = "; much like " + x.Near
			}
			p.line("   %s  %s%s", facts.Place{File: x.File, Line: x.Line}, x.Name, near)
		}
		p.line("")
	}
	if len(r.Skipped) > 0 {
		p.line("Not read")
		for _, s := range r.Skipped {
			p.line("   %s  %s", facts.Place{File: s.File, Line: s.Line}, s.Why)
		}
		p.line("")
	}
	p.line("Checked: %d rules on %d configurations in %d files (%d opened).", len(r.Checked), len(r.Units), r.Files, r.Looked)
	p.line("Not checked: %d rules, which need something else:", len(r.Unseen))
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
			p.line("   %s: %s", n.says, strings.Join(ids, " "))
		}
	}
	p.line("%s", r.Conclusion())
}

// Conclusion is the last line.
func (r *Report) Conclusion() string {
	switch r.Verdict {
	case "nothing":
		return "Nothing of Kafka was found here: nothing was checked."
	case "clean":
		return "Nothing that breaks order was found by the rules that were checked. That is not a proof: see what was not checked."
	}
	return fmt.Sprintf("%d errors, %d warnings, %d notes. \"orderly doctor rules ID\" says more of each rule.", r.Errors, r.Warnings, r.Notes)
}

// Fails says whether findings reach a severity: "error", "warn".
func (r *Report) Fails(on string) bool {
	return r.Errors > 0 || on == "warn" && r.Warnings > 0
}
