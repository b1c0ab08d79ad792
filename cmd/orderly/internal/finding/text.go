package finding

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// headings are the parts of a text, by what to do next.
var headings = []struct{ severity, title string }{
	{Error, "To mend now: breaks the order, or loses records"},
	{Warn, "To look at: may break the order, or depends on what is not known here"},
	{Note, "To know"},
}

// A Printer writes lines, and keeps the first error. All commands that have findings
// print them with it, in one layout.
type Printer struct {
	w   io.Writer
	Err error
}

// NewPrinter writes to w.
func NewPrinter(w io.Writer) *Printer { return &Printer{w: w} }

// Line writes a line.
func (p *Printer) Line(format string, args ...any) {
	if p.Err == nil {
		_, p.Err = io.WriteString(p.w, visible(fmt.Sprintf(format, args...))+"\n")
	}
}

// visible writes control characters out: names of files, keys and what is in them come
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

// Findings writes findings, those to mend first at the top.
func (p *Printer) Findings(all []Finding) {
	for _, h := range headings {
		var of []Finding
		for _, f := range all {
			if f.Severity == h.severity {
				of = append(of, f)
			}
		}
		if len(of) == 0 {
			continue
		}
		p.Line("%s (%d)", h.title, len(of))
		p.Line("")
		for i := range of {
			p.finding(&of[i])
		}
	}
}

func (p *Printer) finding(f *Finding) {
	p.Line("%s", strings.TrimSpace(f.Rule+" "+f.Title))
	what := f.What
	if f.Subject != "" {
		what = f.Subject + ": " + what
	}
	p.part("what", what)
	if len(f.When) > 0 {
		p.part("when", "with "+strings.Join(f.When, "; "))
	}
	p.part("where", f.Where...)
	p.part("damage", f.Damage)
	p.part("fix", f.Fix)
	p.part("why", f.Why)
	p.part("not if", f.WhenNot)
	p.part("source", f.Source)
	p.part("prove", f.Prove)
	p.Line("")
}

// part writes what is there of a finding.
func (p *Printer) part(label string, lines ...string) {
	for _, l := range lines {
		if l != "" {
			p.Line("   %-6s  %s", label, l)
			label = ""
		}
	}
}

// Write prints it: the findings, what was checked, and what was not.
func (r *Report) Write(w io.Writer) error {
	p := NewPrinter(w)
	p.Findings(r.Findings)
	if len(r.Findings) == 0 {
		p.Line("Nothing found.")
		p.Line("")
	}
	p.Line("Checked: %s.", list(r.Checked))
	var told []string
	for _, u := range r.NotChecked {
		if slices.Contains(told, u.Why) {
			continue
		}
		told = append(told, u.Why)
		var ids []string
		for _, o := range r.NotChecked {
			if o.Why == u.Why {
				ids = append(ids, o.Rule)
			}
		}
		p.Line("Not checked: %s: %s", list(ids), u.Why)
	}
	for _, u := range r.Unseen {
		p.Line("Not seen: %s", u)
	}
	return p.Err
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "nothing"
	}
	return strings.Join(ids, ", ")
}
