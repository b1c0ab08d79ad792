package prove

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/history"
)

// Soak repeats an experiment for so long, each time with the next seed and with
// topics of its own, and judges all rounds together. It ends at the first violation.
// Memory is that of one round.
func Soak(ctx context.Context, c Config, d time.Duration, stop <-chan struct{}) (*Result, error) {
	var all *Result
	began := time.Now()
	for {
		res, err := Run(ctx, c, stop)
		if err != nil {
			return all, err
		}
		if all == nil {
			all = res
		} else {
			all.add(res)
		}
		all.Elapsed = time.Since(began)
		all.judge(&c)
		c.Seed++
		over := false
		select {
		case <-stop:
			over = true
		default:
		}
		if over || all.Elapsed >= d || all.Verdict.Verdict == judge.Violated {
			return all, nil
		}
	}
}

// add puts another round to the ones before.
func (r *Result) add(more *Result) {
	join(&r.Subject, &more.Subject)
	join(&r.Control, &more.Control)
	r.Faults = more.Faults
	r.Topics = more.Topics
	r.Rounds++
	r.untold = r.untold || more.untold
	r.doubts = also(r.doubts, more.doubts)
	r.beside = also(r.beside, more.beside)
}

// also adds what was not said yet. Twenty sayings are enough.
func also(said, more []string) []string {
	for _, d := range more {
		if !slices.Contains(said, d) && len(said) < 20 {
			said = append(said, d)
		}
	}
	return said
}

// keptPerClass is how many violations are kept of each class over all rounds.
const keptPerClass = 100

// join adds the counts of a later round, and what it found.
func join(a, b *judge.Run) {
	addCounts(reflect.ValueOf(&a.Report).Elem(), reflect.ValueOf(&b.Report).Elem())
	a.Report.Vacuous = a.Report.Vacuous && b.Report.Vacuous
	for _, v := range b.Report.Violations {
		n := 0
		for _, have := range a.Report.Violations {
			if have.Class == v.Class {
				n++
			}
		}
		if n < keptPerClass {
			a.Report.Violations = append(a.Report.Violations, v)
		}
	}
	for _, x := range b.Examples {
		if !slices.ContainsFunc(a.Examples, func(have history.Example) bool { return have.Violation.Class == x.Violation.Class }) {
			a.Examples = append(a.Examples, x)
		}
	}
}

// addCounts adds all numbers of a report, also those that later versions have.
func addCounts(a, b reflect.Value) {
	for i := range a.NumField() {
		switch f, g := a.Field(i), b.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			f.SetInt(f.Int() + g.Int())
		case reflect.Map:
			if f.IsNil() && g.Len() > 0 {
				f.Set(reflect.MakeMap(f.Type()))
			}
			for _, k := range g.MapKeys() {
				n := g.MapIndex(k).Int()
				if have := f.MapIndex(k); have.IsValid() {
					n += have.Int()
				}
				f.SetMapIndex(k, reflect.ValueOf(n).Convert(f.Type().Elem()))
			}
		}
	}
}
