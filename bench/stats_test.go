package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		xs   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 7}, 6},
	} {
		if got := median(c.xs); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.xs, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

// The values are those of tables of the sign test.
func TestOrderStatistic(t *testing.T) {
	for _, c := range []struct {
		n, k     int
		coverage float64
	}{
		{1, 1, 0},
		{2, 1, 0.5},
		{5, 1, 0.9375},
		{6, 1, 0.96875},
		{8, 1, 0.9921875},
		{9, 2, 0.9609375},
		{10, 2, 0.978515625},
		{11, 2, 0.98828125},
		{12, 3, 0.96142578125},
		{20, 6, 0.958610534667969},
	} {
		k, coverage := orderStatistic(c.n, 0.95)
		if k != c.k || math.Abs(coverage-c.coverage) > 1e-9 {
			t.Errorf("n = %d: k = %d with %v, want %d with %v", c.n, k, coverage, c.k, c.coverage)
		}
	}
}

func TestSummarize(t *testing.T) {
	s := summarize([]float64{11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1})
	if s.Median != 6 || s.Low != 2 || s.High != 10 || s.Pairs != 11 {
		t.Errorf("got %+v", s)
	}
	if s := summarize(nil); !math.IsNaN(s.Median) || s.Coverage != 0 {
		t.Errorf("of nothing: %+v", s)
	}
}

// The interval holds the true median as often as it says, also for a skewed
// distribution.
func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const tries = 20000
	held := 0
	xs := make([]float64, 11)
	for range tries {
		for i := range xs {
			xs[i] = r.ExpFloat64()
		}
		if s := summarize(xs); s.Low <= math.Ln2 && math.Ln2 <= s.High {
			held++
		}
	}
	if got := float64(held) / tries; math.Abs(got-0.98828) > 0.004 {
		t.Errorf("held in %v of the tries, want 0.988", got)
	}
}

func TestVerdict(t *testing.T) {
	s := summary{Median: 0.8, Low: 0.7, High: 0.86, Coverage: 0.98}
	for _, c := range []struct {
		bar  float64
		want string
	}{{0.75, "met"}, {0.85, "met, median below"}, {0.87, "not met"}, {0, ""}} {
		if got := verdict(s, c.bar); got != c.want {
			t.Errorf("bar %v: %q, want %q", c.bar, got, c.want)
		}
	}
	s.Coverage = 0.75
	if got := verdict(s, 0.75); got != "too few pairs" {
		t.Errorf("few pairs: %q", got)
	}
}

func TestRestless(t *testing.T) {
	rates := func(xs ...float64) (rs []result) {
		for _, x := range xs {
			rs = append(rs, result{Rate: x})
		}
		return rs
	}
	if got := restless(row{Pairs: [][]result{nil, rates(100, 10, 90, 110, 1000, 105, 95)}}); math.Abs(got-0.2) > 1e-9 {
		t.Errorf("got %v, want 0.2", got)
	}
	if got := restless(row{}); got != 0 {
		t.Errorf("of a fact: %v", got)
	}
}
