package demo

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// Write prints the result for people.
func (r *Result) Write(w io.Writer) error {
	var out errWriter
	out.w = w
	tw := tabwriter.NewWriter(&out, 0, 0, 3, ' ', tabwriter.AlignRight)
	row := func(name, naive, orderly string) { fmt.Fprintf(tw, "%-38s\t%s\t%s\t\n", name, naive, orderly) }
	number := func(name string, of func(*Column) int) {
		row(name, thousands(of(&r.Naive)), thousands(of(&r.Orderly)))
	}
	row("", "naive", "orderly")
	number("records", func(c *Column) int { return c.Records })
	number("keys", func(c *Column) int { return c.Keys })
	number("order violations", func(c *Column) int { return c.OrderViolations })
	number("overlaps", func(c *Column) int { return c.Overlaps })
	number("lost", func(c *Column) int { return c.Lost })
	number("repeated effects (ignored by the sink)", func(c *Column) int { return c.RepeatedEffects })
	number("retries", func(c *Column) int { return c.Retries })
	number("changes that the sink had to refuse", func(c *Column) int { return c.Refused })
	number("commits past unfinished records", func(c *Column) int { return c.CommittedTooFar })
	number("other rules broken", func(c *Column) int { return c.OtherViolations })
	if o := r.Orderly.Outage; o.happened() {
		row("attempts burnt by the outage", "-", thousands(o.Burnt))
	}
	row("end state equal to the known truth", yes(&r.Naive), yes(&r.Orderly))
	tw.Flush()
	fmt.Fprintf(&out, "\n%s\n\n", r.Reason)
	if r.Parking != nil {
		fmt.Fprintf(&out, "%s\n", r.Parking.text())
	}
	r.explain(&out)
	return out.err
}

func yes(c *Column) string {
	if c.EndStateEqual {
		return "yes"
	}
	if c.EndStateDifferences == 1 {
		return "no (1 file)"
	}
	return "no (" + thousands(c.EndStateDifferences) + " files)"
}

// explain says what was done and what the words mean.
func (r *Result) explain(w io.Writer) {
	o, n := &r.Orderly, &r.Naive
	fmt.Fprintf(w, `What was done: %s changes of %s files, a real change history (%s), went through Kafka with the file's path as
the key. Each change of a file is valid only after the one before. Two consumer processes handed them to a sink, which
applies them to a table of files and ignores a change that it has applied already.
`, thousands(o.Records), thousands(o.Keys), r.Input)
	switch {
	case o.Outage.happened() && o.Stalled == "":
		fmt.Fprint(w, o.Outage.text())
	case o.Outage != nil && o.Outage.Skipped != "":
		fmt.Fprintf(w, "  outage     left out: %s\n", o.Outage.Skipped)
	}
	fmt.Fprintf(w, "  kill       process %d was killed (kill -9) while it worked on %d records, and replaced (naive: process %d)\n",
		o.KilledPID, o.KilledRunning, n.KilledPID)
	if o.JoinedPID != 0 && o.Stalled == "" {
		fmt.Fprintf(w, "  rebalance  process %d then joined orderly's group, and partitions moved while records were processed\n", o.JoinedPID)
	}
	fmt.Fprintf(w, `  failures   some records failed twice before they succeeded; with orderly the later ones of their key waited
  repeats    after a kill, what was done since the last commit is delivered again: at most %s here, %s came
  naive      a plain client that commits automatically and starts a goroutine for each record
`, thousands(o.RepeatsAllowed), thousands(o.RepeatedEffects))
	if len(o.Examples) > 0 {
		fmt.Fprintf(w, "\nFirst violations of orderly:\n")
		for _, e := range o.Examples {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
	if r.Saved != "" {
		fmt.Fprintf(w, "\nHistories and logs are in %s\n", r.Saved)
	}
	fmt.Fprintf(w, "\n%.1f s; the same times and failures again: --seed %d\n", r.Seconds, r.Seed)
}

// thousands writes a number as 12,345.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// errWriter keeps the first error of several writes.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(b []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	n, err := e.w.Write(b)
	e.err = err
	return n, err
}
