package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
)

// printed is how many examples the text shows.
const printed = 10

// reportedProducers is how many producers the JSON has: those that broke something first.
const reportedProducers = 1000

// A Report is what an audit found. Its JSON is documented in docs/audit.md.
type Report struct {
	Version    int       `json:"format"`
	Topic      string    `json:"topic"`
	Number     string    `json:"number"`
	At         time.Time `json:"at"`
	Seconds    float64   `json:"seconds"`
	Partitions []Range   `json:"partitions"`
	Keys       int64     `json:"keys"`
	found
	Producers []*Producer `json:"producers"`
	Spilled   int64       `json:"spilled_bytes"`
	finding.Report
}

// A Range is the offsets of a partition that were read.
type Range struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"` // the first that was not
}

func (a *audit) report() *Report {
	t := a.tally
	r := &Report{Version: 1, Topic: a.o.Topic, Number: a.o.Number.String(), At: a.o.Now().UTC(), Keys: t.keys, found: t.found, Spilled: a.table.spilled}
	r.Seconds = a.o.Now().Sub(a.began).Seconds()
	for p := range a.ends {
		r.Partitions = append(r.Partitions, Range{p, a.starts[p], a.positions[p]})
	}
	slices.SortFunc(r.Partitions, func(x, y Range) int { return cmp.Compare(x.Partition, y.Partition) })
	for _, p := range t.producers {
		r.Producers = append(r.Producers, p)
	}
	slices.SortFunc(r.Producers, func(x, y *Producer) int {
		return cmp.Or(cmp.Compare(y.Late+y.Twice, x.Late+x.Twice), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.First, y.First), cmp.Compare(x.ID, y.ID))
	})
	if len(r.Producers) > reportedProducers {
		r.Unseen = append(r.Unseen, fmt.Sprintf("%d further producers are not listed", len(r.Producers)-reportedProducers))
		r.Producers = r.Producers[:reportedProducers]
	}
	a.judge(r)
	a.limits(r)
	r.Finish()
	return r
}

func (a *audit) judge(r *Report) {
	t := a.tally
	numbered := t.Numbered > 0
	if numbered {
		r.Checks("L06", "zombie")
		if !a.rules.ByTime {
			r.Checks("duplicate")
		}
	} else {
		r.Cannot("no record has "+a.o.Number.String(), "L06", "duplicate", "gap")
	}
	switch {
	case a.rules.ByTime:
		r.Cannot("a time says nothing about what is missing or there twice", "duplicate", "gap")
	case a.compacted:
		r.Cannot("the topic is compacted, which takes records out", "gap")
	case numbered:
		r.Checks("gap")
	}
	r.Checks("K01", "K02", "once")
	if t.Late.Count > 0 {
		lines := list(t.Late, func(l Late) string {
			if a.rules.ByTime {
				return fmt.Sprintf("partition %d offset %d: key %q of %s after %s (%s)", l.Partition, l.Offset, l.Key, ms(l.Number), ms(l.After), by(l.PID, l.PEpoch))
			}
			return fmt.Sprintf("partition %d offset %d: key %q number %d after %d (%s, %s)", l.Partition, l.Offset, l.Key, l.Number, l.After, stamp(l.Time), by(l.PID, l.PEpoch))
		})
		what := plural.Of(t.Late.Count, "record") + plural.Verb(t.Late.Count, " comes", " come") + " after one of the same key with a higher number"
		damaged, sev := "yes: whoever reads the topic gets these records in the wrong order", finding.Error
		if a.rules.ByTime {
			what = plural.Of(t.Late.Count, "record") + plural.Verb(t.Late.Count, " comes", " come") + " after one of the same key with a later time"
			damaged, sev = "perhaps: unless the broker sets them, times are those of the writers' clocks; a number of your own tells for sure (--seq)", finding.Warn
		}
		r.Add(finding.Finding{Rule: "L06", Severity: sev, What: what, Where: lines, Damage: damaged,
			Fix: "the producers below wrote them: see orderly doctor log for how, and make them idempotent, one for each key at a time"})
	}
	if n := t.Duplicates.Count + t.Again; n > 0 {
		lines := list(t.Duplicates, func(d Duplicate) string {
			return fmt.Sprintf("partition %d offset %d: key %q number %d again (%s, %s)", d.Partition, d.Offset, d.Key, d.Number, stamp(d.Time), by(d.PID, d.PEpoch))
		})
		lines = append(lines, list(t.Twice, func(w Twice) string {
			return fmt.Sprintf("key %q: numbers %d-%d in partition %d and in partition %d", w.Key, w.From, w.To, w.Partitions[0], w.Partitions[1])
		})...)
		r.Add(finding.Finding{Rule: "duplicate", Severity: finding.Error, What: plural.Of(n, "record") + plural.Verb(n, " has", " have") + " a number that the key had before", Where: lines,
			Damage: "yes, unless readers recognise a number that they had",
			Fix:    "an idempotent producer writes nothing twice by itself; a program that sends again after an error does: stop at the first failed record instead"})
	}
	if t.Gaps.Count > 0 {
		sev, damaged := finding.Error, "yes: these numbers are in no record that is there"
		if a.policyErr != nil || len(t.Deleted) > 0 || len(a.o.Partitions) > 0 {
			sev, damaged = finding.Warn, "perhaps: see what was not seen"
		}
		r.Add(finding.Finding{Rule: "gap", Severity: sev, What: plural.Of(t.Missing, "number") + plural.Verb(t.Missing, " is", " are") + " missing, in " + plural.Of(t.Gaps.Count, "gap"),
			Where: list(t.Gaps, func(g Gap) string {
				return fmt.Sprintf("partition %d offset %d: key %q has no %s", g.Partition, g.Offset, g.Key, between(g.From, g.To))
			}),
			Damage: damaged, Fix: "compare with the source of the numbers; a producer that gives records up leaves such gaps (orderly doctor log, L02)"})
	}
	if t.Splits.Count > 0 {
		overlap := 0
		for _, s := range t.Splits.First {
			if s.Overlap {
				overlap++
			}
		}
		r.Add(finding.Finding{Rule: "K02", Severity: finding.Error,
			What: fmt.Sprintf("%d of %d keys are in more than one partition (of the %d listed, %d at the same time, the others one partition after the other)",
				t.Splits.Count, t.keys, len(t.Splits.First), overlap),
			Where: list(t.Splits, func(s Split) string {
				var in []string
				for _, p := range s.In {
					in = append(in, fmt.Sprintf("partition %d: %s, offsets %d-%d, %s to %s", p.Partition, plural.Of(p.Records, "record"), p.First, p.Last, stamp(p.Since), stamp(p.Till)))
				}
				return fmt.Sprintf("key %q: %s", s.Key, strings.Join(in, "; "))
			}),
			Damage: "yes: records of one key in two partitions are read in any order",
			Fix:    "orderly doctor log says which writers place keys differently, and whether partitions were added"})
	}
	if t.Zombies.Count > 0 {
		r.Add(finding.Finding{Rule: "zombie", Severity: finding.Error, What: plural.Of(t.Zombies.Count, "record") + plural.Verb(t.Zombies.Count, " was", " were") + " written by a writer that a later epoch of it had replaced",
			Where: list(t.Zombies, func(z Zombie) string {
				who := by(z.PID, int16(z.Epoch))
				if z.Writer != "" {
					who = fmt.Sprintf("writer %s epoch %d", z.Writer, z.Epoch)
				}
				return fmt.Sprintf("partition %d offset %d: key %q by %s after epoch %d (%s)", z.Partition, z.Offset, z.Key, who, z.Highest, stamp(z.Time))
			}),
			Damage: "yes: what it wrote came after what replaced it", Fix: "end the old writer before the new one begins, or fence it with a transactional.id"})
	}
	if none := t.NullKeys.Count + t.EmptyKeys.Count; none > 0 {
		sev := finding.Warn
		if none == t.Records {
			sev = finding.Note
		}
		var where []string
		for _, f := range []struct {
			kind string
			First
		}{{"null", t.NullKeys}, {"empty", t.EmptyKeys}} {
			if f.At != nil {
				where = append(where, fmt.Sprintf("%d with a %s key, the first at partition %d offset %d, %s", f.Count, f.kind, f.At.Partition, f.At.Offset, stamp(f.Since)))
			}
		}
		r.Add(finding.Finding{Rule: "K01", Severity: sev, What: fmt.Sprintf("%d of %s %s no key: nothing orders them", none, plural.Of(t.Records, "record"), plural.Verb(none, "has", "have")), Where: where,
			Fix: "give every record the key of what it belongs to"})
	}
	if t.Once.Count > 0 && t.keys >= 100 && t.Once.Count*10 >= t.keys*9 {
		r.Add(finding.Finding{Rule: "once", Severity: finding.Warn,
			What:  fmt.Sprintf("%d of %d keys are there only once: a key that is unique or made of the time orders nothing", t.Once.Count, t.keys),
			Where: list(t.Once, func(s Spot) string { return fmt.Sprintf("partition %d offset %d", s.Partition, s.Offset) }),
			Fix:   "the key has to be what the records have in common, as an order's or a customer's number"})
	}
}

func (a *audit) limits(r *Report) {
	t := a.tally
	add := func(format string, args ...any) { r.Unseen = append(r.Unseen, fmt.Sprintf(format, args...)) }
	add("what retention or compaction took before this audit, and numbers before a key's lowest and after its highest one")
	if a.open > 0 {
		add("%d offsets at the end of partitions belong to open transactions, or follow them", a.open)
	}
	if n := t.Unnumbered.Count; n > 0 && t.Numbered > 0 {
		add("the order of %d records without %s (the first at partition %d offset %d)", n, a.o.Number, t.Unnumbered.At.Partition, t.Unnumbered.At.Offset)
	}
	for _, s := range t.Deleted {
		add("records of partition %d before offset %d that were deleted while they were read: gaps may be those", s.Partition, s.Offset)
	}
	if a.policyErr != nil {
		add("whether the topic is compacted, which makes gaps (DescribeConfigs on the topic): %v", a.policyErr)
	}
	if len(a.o.Partitions) > 0 {
		add("other partitions than those named: keys that are split with them look like gaps")
	}
	if t.ProducersLeftOut {
		add("producers beyond the first %d", mostProducers)
	}
	if t.ForgotGaps > 0 {
		add("late records into gaps that were given up, of %d keys with more than %d gaps: they count as duplicates", t.ForgotGaps, mostSpans)
	}
	if t.ForgotStrands > 0 {
		add("what %d writers of keys with more than %d writers wrote later: it counts as another one's", t.ForgotStrands, mostStrands)
	}
	if t.Records > 0 && t.Numbered == 0 && a.o.Number.own() {
		add("the order within keys: the records have no sequence headers of orderly's; --seq PATH, --seq-header NAME or --by-time name another number")
	}
}

func list[T any](s some[T], one func(T) string) (lines []string) {
	for i, v := range s.First {
		if i == printed {
			break
		}
		lines = append(lines, one(v))
	}
	if more := s.Count - int64(len(lines)); more > 0 && len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

func between(from, to int64) string {
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

func by(pid int64, epoch int16) string {
	if pid < 0 {
		return "no producer id"
	}
	return fmt.Sprintf("producer %d epoch %d", pid, epoch)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func ms(v int64) string { return time.UnixMilli(v).UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// Write prints the report.
func (r *Report) Write(w io.Writer) error {
	rate := float64(r.Records) / max(r.Seconds, 0.001)
	if _, err := fmt.Fprintf(w, "Topic %s: %s of %s in %s, by %s; %.1f s, %.0f records/s.\n\n",
		r.Topic, plural.Of(r.Records, "record"), plural.Of(r.Keys, "key"), plural.Of(len(r.Partitions), "partition"), r.Number, r.Seconds, rate); err != nil {
		return err
	}
	if err := r.Report.Write(w); err != nil {
		return err
	}
	var guilty []string
	for _, p := range r.Producers {
		if p.Late+p.Twice == 0 || len(guilty) == printed {
			break
		}
		var keys []string
		for _, k := range p.Keys {
			keys = append(keys, fmt.Sprintf("%q", k))
		}
		guilty = append(guilty, fmt.Sprintf("%s in partition %d: %d late, %s of %s, offsets %d-%d, %s to %s; keys %s",
			by(p.ID, p.Epoch), p.Partition, p.Late, plural.Of(p.Twice, "duplicate"), plural.Of(p.Records, "record"), p.First, p.Last, stamp(p.Since), stamp(p.Till), strings.Join(keys, ", ")))
	}
	if len(guilty) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nWho wrote them:\n    %s\n", strings.Join(guilty, "\n    "))
	return err
}
