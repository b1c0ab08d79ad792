package main

import (
	"context"
	"fmt"
	"slices"
)

// A contender is one of those that run in turn.
type contender struct {
	name string
	spec spec
}

// inTurn runs the contenders A B C A B C ... and returns their results without
// those of the first turn, in which caches and connections were cold. tune may
// change them when it has seen the first turn.
func (b *bench) inTurn(ctx context.Context, l load, cs []contender, tune func(first []result)) ([][]result, error) {
	out := make([][]result, len(cs))
	for turn := range b.opt.pairs + 1 {
		line := fmt.Sprintf("  %2d/%d", turn, b.opt.pairs)
		var got []result
		for _, c := range cs {
			r, err := b.on(ctx, l, c.spec)
			if err != nil {
				return nil, err
			}
			got = append(got, r)
			line += fmt.Sprintf("  %s %s/s, %d GCs, %s", c.name, short(r.Rate), r.GCs, micros(perRecord(r)))
		}
		if turn == 0 {
			b.say("%s (discarded)", line)
			if tune != nil {
				tune(got)
			}
			continue
		}
		b.say("%s", line)
		for i, r := range got {
			out[i] = append(out[i], r)
		}
	}
	return out, nil
}

// beside compares our consumer with both floors.
func (b *bench) beside(ctx context.Context, l load, s spec, bar float64) ([]row, error) {
	s.Side = ours
	cs := []contender{{"orderly", s}, {"floor", spec{Side: floor}}, {"matched floor", spec{Side: floor}}}
	rs, err := b.inTurn(ctx, l, cs, func(first []result) {
		cs[2].spec.Ballast = max(0, first[0].Live-first[1].Live)
	})
	if err != nil {
		return nil, err
	}
	return []row{
		ratioRow("matched floor", rs[0], rs[2], bar),
		ratioRow("plain floor", rs[0], rs[1], 0),
	}, nil
}

// besideSleepers compares our consumer with a bare pool.
func (b *bench) besideSleepers(ctx context.Context, l load, s spec, bar float64) ([]row, error) {
	s.Side = ours
	pool := s
	pool.Side = sleepers
	rs, err := b.inTurn(ctx, l, []contender{{"orderly", s}, {"bare pool", pool}}, nil)
	if err != nil {
		return nil, err
	}
	r := ratioRow("bare pool", rs[0], rs[1], bar)
	r.Note = fmt.Sprintf("peak in flight %s", group(int64(median(each(rs[0], func(r result) float64 { return float64(r.InFlight) })))))
	return []row{r}, nil
}

func ratioRow(against string, a, b []result, bar float64) row {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i].Rate / b[i].Rate
	}
	rate := func(r result) float64 { return r.Rate }
	gcs := func(r result) float64 { return float64(r.GCs) }
	cpu := func(rs []result) string { return micros(median(each(rs, perRecord))) }
	s := summarize(ratios)
	return row{
		Against: against, Ratio: &s, Bar: bar, Verdict: verdict(s, bar),
		Ours: median(each(a, rate)), Theirs: median(each(b, rate)),
		Note:  fmt.Sprintf("CPU %s and %s a record, GCs %.0f and %.0f", cpu(a), cpu(b), median(each(a, gcs)), median(each(b, gcs))),
		Pairs: [][]result{a, b},
	}
}

// perRecord is the processor time of a record, in seconds: it tells more than the
// rate where the machine is shared with others.
func perRecord(r result) float64 { return r.CPU / r.Rate }

func micros(seconds float64) string { return fmt.Sprintf("%.2f us", 1e6*seconds) }

func each(rs []result, f func(result) float64) []float64 {
	out := make([]float64, len(rs))
	for i, r := range rs {
		out[i] = f(r)
	}
	return out
}

// verdict: a bar is met when the interval reaches it. An interval can also reach it
// because the machine was busy, so it says when the median does not.
func verdict(s summary, bar float64) string {
	switch {
	case bar == 0:
		return ""
	case s.Coverage < 0.95:
		return "too few pairs"
	case s.Median >= bar:
		return "met"
	case s.High >= bar:
		return "met, median below"
	}
	return "not met"
}

// restless is how far the other side's own rates lie apart: the middle half of
// them, as a share of their median. It has nothing to do with us.
func restless(r row) float64 {
	if len(r.Pairs) < 2 {
		return 0
	}
	xs := each(r.Pairs[1], func(r result) float64 { return r.Rate })
	slices.Sort(xs)
	return (xs[len(xs)*3/4] - xs[len(xs)/4]) / median(xs)
}
