package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// A report is what the run prints, and its counts.
type report struct {
	out      io.Writer
	passed   int
	failed   int
	failures []failure
	gaps     []string // NOT COVERED lines
}

// A failure is one thing that failed, what it said last, and the command that repeats it.
type failure struct {
	what, repeat string
	said         []string
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

func (r *report) fail(n int, what, repeat string) {
	r.failed += n
	r.failures = append(r.failures, failure{what: what, repeat: repeat})
}

// said matches the first line of what a test logs.
var said = regexp.MustCompile(`(?m)^ +[\w.-]+\.go:\d+: .*`)

// lastSaid is what the tests of an output have logged last, in lines that are not too long:
// a failure can be known by the summary, whatever is printed between.
func lastSaid(output string) []string {
	const most, width = 12, 300
	lines := said.FindAllString(output, -1)
	lines = lines[max(0, len(lines)-most):]
	for i, l := range lines {
		if l = strings.TrimSpace(l); len(l) > width {
			l = strings.ToValidUTF8(l[:width], "") + "..."
		}
		lines[i] = l
	}
	return lines
}

// packageDone prints a package's line, and before it whatever explains a failure.
func (r *report) packageDone(p packageResult, tags, repeat string, verbose bool) {
	r.passed += p.passed
	name := p.path
	if tags != "" {
		name += " [" + tags + "]"
	}
	for _, t := range p.skipped {
		r.gaps = append(r.gaps, fmt.Sprintf("NOT COVERED: %s %s (the test skipped itself).", name, t))
	}
	switch {
	case verbose && p.passed+p.failed+len(p.skipped) > 0:
		r.block(p.all)
	case p.failed > 0:
		r.block(p.output)
	}
	switch {
	case p.failed > 0:
		r.printf("FAIL  %s  %.1fs (%d passed, %d failed)\n", name, p.elapsed.Seconds(), p.passed, p.failed)
		r.fail(p.failed, strings.TrimSpace(name+" "+strings.Join(p.failing, " ")), repeat)
		r.failures[len(r.failures)-1].said = lastSaid(p.output)
	case p.passed > 0:
		r.printf("ok    %s  %.1fs (%s)\n", name, p.elapsed.Seconds(), plural(p.passed, "test"))
	}
}

func (r *report) block(text string) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	r.printf("%s", text)
}

// finish prints the details and the summary, and returns the exit code.
func (r *report) finish(strict bool, took time.Duration) int {
	if r.passed+r.failed == 0 {
		r.fail(1, "no test ran", "")
	}
	r.printf("\n%s in all\n", round(took))
	for _, line := range r.gaps {
		r.printf("%s\n", line)
	}
	if strict && len(r.gaps) > 0 {
		r.fail(len(r.gaps), "not everything is covered (CI=true or ORDERLY_REQUIRE_ALL=1 requires it)", "")
	}
	for _, f := range r.failures {
		r.printf("failed: %s\n", f.what)
		for _, line := range f.said {
			r.printf("  %s\n", line)
		}
		if f.repeat != "" {
			r.printf("  again: %s\n", f.repeat)
		}
	}
	r.printf("%d passed, %d failed\n", r.passed, r.failed)
	if r.failed > 0 {
		return 1
	}
	return 0
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
