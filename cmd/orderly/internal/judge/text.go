package judge

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// errWriter keeps the first error of many writes.
type errWriter struct {
	w   io.Writer
	err error
}

func (w *errWriter) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	var n int
	n, w.err = w.w.Write(b)
	return n, w.err
}

// Write prints the verdict for people.
func (v *Verdict) Write(w io.Writer) error {
	out := &errWriter{w: w}
	fmt.Fprintf(out, "%s: %s\n", strings.ToUpper(string(v.Verdict)), line(v.Reason))
	for _, r := range v.Reasons {
		if r != v.Reason {
			fmt.Fprintf(out, "  also: %s\n", line(r))
		}
	}
	fmt.Fprintln(out)
	v.writeRuns(out)
	for i := range v.Findings {
		v.Findings[i].write(out)
	}
	for _, f := range v.Accepted {
		fmt.Fprintf(out, "\naccepted: %s  %s (%s)\n", thousands(f.Count), f.Title, f.Class)
	}
	if len(v.Limits) > 0 {
		fmt.Fprintln(out)
	}
	for _, l := range v.Limits {
		fmt.Fprintf(out, "%s\n", line(l))
	}
	return out.err
}

// writeRuns prints the numbers of the subject beside those of the control.
func (v *Verdict) writeRuns(out io.Writer) {
	tw := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	runs := []Summary{v.Subject}
	if v.Control != nil {
		runs = append(runs, *v.Control)
	}
	row := func(name string, of func(Summary) string) {
		fmt.Fprint(tw, name)
		for _, r := range runs {
			fmt.Fprintf(tw, "\t%s", of(r))
		}
		fmt.Fprintln(tw, "\t")
	}
	if v.Control != nil {
		fmt.Fprint(tw, "\tsubject\tcontrol\t\n")
	}
	for _, r := range table {
		row(r.name, r.of)
	}
	tw.Flush()
}

// table is what is told of each run.
var table = []struct {
	name string
	of   func(Summary) string
}{
	{"history", func(s Summary) string { return clipped(s.Name) }},
	{"records", func(s Summary) string { return thousands(s.Records) }},
	{"keys", func(s Summary) string { return thousands(s.Keys) }},
	{"sent: ok", func(s Summary) string { return thousands(s.Acked) }},
	{"sent: surely not written", func(s Summary) string { return thousands(s.Failed) }},
	{"sent: not known", func(s Summary) string { return thousands(s.Unclear) }},
	{"read from the log", func(s Summary) string { return thousands(s.Reads) }},
	{"given to the application", func(s Summary) string { return thousands(s.Polls) }},
	{"finished", func(s Summary) string { return thousands(s.Finished) }},
	{"repeats allowed", func(s Summary) string { return thousands(s.Repeats) }},
	{"faults that hit", func(s Summary) string { return thousands(total(s.Faults)) }},
	{"violations", func(s Summary) string { return thousands(s.Violations) }},
}

func (f *Finding) write(out io.Writer) {
	fmt.Fprintf(out, "\n%s  %s (%s)\n", thousands(f.Count), f.Title, f.Class)
	fmt.Fprintf(out, "  why     %s\n", f.Explain)
	if f.Rule != "" {
		rule := f.Rule
		if len(f.Also) > 0 {
			rule += "; see also " + strings.Join(f.Also, ", ")
		}
		fmt.Fprintf(out, "  change  %s\n  rule    %s\n", f.Setting, rule)
	}
	if f.First != "" {
		fmt.Fprintf(out, "  e.g.    %s\n", line(f.First))
	}
	if f.Example == nil {
		return
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows(f.Example) {
		mark := r.Mark
		if mark == "" {
			mark = " "
		}
		fmt.Fprintf(tw, "    %s\t#%d\t%s\t%s\t%s\n", mark, r.N, r.Time, r.Lane, r.Text)
	}
	tw.Flush()
	if f.Example.Cut > 0 {
		fmt.Fprintf(out, "    and %d more events\n", f.Example.Cut)
	}
}

// line takes out of a longer text what a terminal would obey.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
