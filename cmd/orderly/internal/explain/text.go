package explain

import (
	"fmt"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// How much of a report is printed; the JSON form has all that was kept.
const (
	textWidth     = 110
	shownSubjects = 8
	shownTimeline = 40
)

// Options of printing.
type Options struct {
	// Has says whether a command of ours exists; a hint to another is left out.
	Has func(command string) bool
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer, o Options) error {
	p := &printer{w: w, o: o}
	if r.Lines > 0 && r.Input != "" {
		p.head(r)
	}
	for i, e := range r.Entries {
		if i > 0 || r.Input != "" {
			p.line("")
		}
		p.entry(r, e)
	}
	if m := r.Meaning; m != nil {
		p.line(fmt.Sprintf("%s (%d)", m.Name, m.Code))
		p.wrap("  ", m.Meaning)
	}
	return p.err
}

// A printer keeps the first error of its writer.
type printer struct {
	w   io.Writer
	o   Options
	err error
}

func (p *printer) line(s string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, s)
	}
}

// wrap prints words in lines, each with indent; the first has mark in it.
func (p *printer) wrap(indent, text string) { p.list(indent, "", text) }

func (p *printer) list(indent, mark, text string) {
	if text == "" {
		return
	}
	line, rest := indent+mark, indent+strings.Repeat(" ", len(mark))
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > textWidth {
			p.line(line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.line(line)
}

func (p *printer) part(title, text string) {
	if text != "" {
		p.line("  " + title)
		p.wrap("    ", text)
	}
}

// head says what was read, and then what happened in the order of time.
func (p *printer) head(r *Report) {
	text := fmt.Sprintf("%s: %s, %s recognised", r.Input, plural.Of(r.Lines, "line"), plural.Of(r.Recognised, "event"))
	if !r.First.IsZero() {
		text += fmt.Sprintf(", %s to %s", r.First.Format(plainTime), r.Last.Format(plainTime))
	}
	p.line(text)
	if r.Cut > 0 {
		p.line(fmt.Sprintf("%s longer than %d KiB: their ends were not read", plural.Of(r.Cut, "line"), maxLine>>10))
	}
	if len(r.Findings) == 0 {
		p.line("Nothing in it is known to concern the order of records. docs/explain.md lists what is known.")
		return
	}
	p.line("")
	p.line("TIMELINE (when each began)")
	width := 0
	for _, f := range r.Findings[:min(len(r.Findings), shownTimeline)] {
		width = max(width, len(place(f)))
	}
	for i, f := range r.Findings {
		if i == shownTimeline {
			p.line(fmt.Sprintf("  and %d more: --json has them", len(r.Findings)-i))
			break
		}
		p.line(fmt.Sprintf("  %-*s  %-5s  %s%s", width, place(f), f.Entry.Severity, f.Entry.ID, of(f)))
		for _, l := range f.After {
			p.line(fmt.Sprintf("  %-*s         after %s (line %d): %s", width, "", l.ID, l.Line, l.Why))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.NotKept)) {
		p.line(fmt.Sprintf("  %s %s of other subjects: no more than %d findings are kept apart", plural.Of(r.NotKept[id], "more event"), id, maxFindings))
	}
}

// place is where in the log a finding began.
func place(f *Finding) string {
	at := fmt.Sprintf("line %d", f.FirstLine)
	if !f.First.IsZero() {
		at = f.First.Format("15:04:05.000") + "  " + at
	}
	return at
}

// of is whom a finding is about, and how often.
func of(f *Finding) string {
	text := ""
	if s := f.Facts.Subject(); s != "" {
		text = ": " + s
	}
	if f.Count > 1 {
		text += fmt.Sprintf(" (%s, to line %d", plural.Of(f.Count, "time"), f.LastLine)
		if !f.Last.IsZero() && f.Last.After(f.First) {
			text += ", for " + f.Last.Sub(f.First).Round(time.Second).String()
		}
		text += ")"
	}
	return text
}

// entry prints what is known of one, and what the log showed of it.
func (p *printer) entry(r *Report, e *Entry) {
	title := fmt.Sprintf("[%s] %s", e.Severity, e.Title)
	if e.Code != 0 {
		title += fmt.Sprintf(", code %d", e.Code)
	}
	p.line(title)
	found := r.of(e)
	clients := map[Client]bool{}
	for i, f := range found {
		clients[f.Client] = true
		if i < shownSubjects {
			p.finding(f)
		}
	}
	if more := len(found) - shownSubjects; more > 0 {
		p.line(fmt.Sprintf("  and %d more: --json has them", more))
	}
	p.part("What happened", e.What)
	p.part("Is the data still right?", e.Data)
	p.part("How to tell", e.Tell)
	if len(e.Do) > 0 {
		p.line("  What to do")
		for _, d := range e.Do {
			p.list("    ", "- ", d)
		}
	}
	p.advice(r, e, clients)
	for i, c := range e.Causes {
		if i == 0 {
			p.line("  Causes that are named for it, and until when each held")
		}
		p.list("    ", fmt.Sprintf("%d. ", i+1), c.Title)
		for _, x := range []struct{ what, text string }{{"diagnosis: ", c.Diagnosis}, {"fix: ", c.Fix}, {"why: ", c.Why}, {"since: ", c.Outdated}} {
			p.list("       ", x.what, x.text)
		}
	}
	p.part("Versions", e.Versions)
	if see := p.see(e); len(see) > 0 {
		p.part("See it with", strings.Join(see, "; "))
	}
	if len(e.Rules) > 0 {
		p.part("Rules", strings.Join(e.Rules, ", "))
	}
	p.part("Source", strings.Join(e.Sources, "; "))
}

func (p *printer) finding(f *Finding) {
	text := fmt.Sprintf("line %d%s", f.FirstLine, of(f))
	if f.Client != Unknown {
		text += ", " + string(f.Client)
	}
	if f.Facts.Through != "" {
		text += ", through " + f.Facts.Through
	}
	p.list("  ", "* ", text)
	if f.Verdict != "" {
		p.list("    ", "= ", f.Verdict)
	}
	for _, ev := range f.Evidence[:min(1, len(f.Evidence))] {
		p.line("    > " + ev.Text)
	}
}

// advice is for the clients that the log is of; for all when that is not known.
func (p *printer) advice(r *Report, e *Entry, clients map[Client]bool) {
	if r.Client != Unknown {
		clients = map[Client]bool{r.Client: true}
	}
	delete(clients, Unknown)
	first := true
	for _, c := range Clients {
		if e.Clients[c] == "" || len(clients) > 0 && !clients[c] {
			continue
		}
		if first {
			p.line("  In the client")
			first = false
		}
		p.list("    ", string(c)+": ", e.Clients[c])
	}
}

// see are the hints to commands that exist.
func (p *printer) see(e *Entry) []string {
	var see []string
	for _, s := range e.See {
		words := strings.Fields(s)
		if p.o.Has == nil || len(words) > 1 && p.o.Has(words[1]) {
			see = append(see, s)
		}
	}
	return see
}

// Seen is one line about a finding, for who follows a log; repeats are told of when
// they have grown tenfold. It is empty for those in between.
func Seen(f *Finding) string {
	n := f.Count
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	if n != 1 {
		return ""
	}
	text := fmt.Sprintf("%s  %-5s  %s%s", place(f), f.Entry.Severity, f.Entry.ID, of(f))
	if f.Verdict != "" && f.Count == 1 {
		text += ": " + f.Verdict
	}
	return text
}
