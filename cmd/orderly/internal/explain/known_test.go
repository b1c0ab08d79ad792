package explain

import (
	"strings"
	"testing"
)

// scanText reads a text as a log.
func scanText(text string) *Report {
	s := NewScanner()
	for line := range strings.SplitSeq(text, "\n") {
		s.Line([]byte(line))
	}
	return s.Report("test")
}

// wraps are what stands around lines in collected logs. A multi-line event keeps its
// lines together.
var wraps = []struct {
	name string
	wrap func(string) string
}{
	{"as it is", func(l string) string { return l }},
	{"container runtime", func(l string) string { return "2026-11-20T03:12:44.123456789Z stdout F " + l }},
	{"compose", func(l string) string { return "billing-1  | " + l }},
	{"kubectl", func(l string) string { return "[pod/billing-6f9/app] " + l }},
	{"carriage return", func(l string) string { return l + "\r" }},
}

// Each known line is found once, as what it is, alone and in each wrapping, with
// lines of others around it.
func TestKnownLines(t *testing.T) {
	if len(knownLines) < 60 {
		t.Fatalf("%d lines: there are to be at least 60", len(knownLines))
	}
	for _, k := range knownLines {
		for _, w := range wraps {
			lines := strings.Split(k.text, "\n")
			for i := range lines {
				lines[i] = w.wrap(lines[i])
			}
			r := scanText("INFO all is well\n" + strings.Join(lines, "\n") + "\nINFO all is well again")
			if len(r.Findings) != 1 {
				t.Errorf("%s: %d findings %v, want %s alone\n%s", w.name, len(r.Findings), ids(r), k.id, k.text)
				continue
			}
			f := r.Findings[0]
			if f.Entry.ID != k.id || f.Facts.Subject() != k.subject || f.Count != 1 || f.FirstLine != 2 {
				t.Errorf("%s: %s of %q, %d times, line %d; want %s of %q, once, line 2\n%s", w.name, f.Entry.ID, f.Facts.Subject(), f.Count, f.FirstLine, k.id, k.subject, k.text)
			}
			if f.Client != k.client {
				t.Errorf("%s: client %q, want %q\n%s", w.name, f.Client, k.client, k.text)
			}
			if (k.verdict == "") != (f.Verdict == "") || !strings.Contains(f.Verdict, k.verdict) {
				t.Errorf("%s: verdict %q, want %q\n%s", w.name, f.Verdict, k.verdict, k.text)
			}
		}
	}
}

func ids(r *Report) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Entry.ID)
	}
	return all
}
