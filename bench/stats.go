package main

import (
	"math"
	"slices"
)

// A summary is the median of paired ratios and an interval that holds the true
// median with at least the stated probability, whatever the distribution: it is
// made of order statistics, as the sign test is.
type summary struct {
	Median   float64 `json:"median"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Coverage float64 `json:"coverage"` // of the interval; below 0.95 when there are too few pairs
	Pairs    int     `json:"pairs"`
}

func summarize(xs []float64) summary {
	s := summary{Median: median(xs), Pairs: len(xs)}
	if len(xs) == 0 {
		s.Low, s.High = math.NaN(), math.NaN()
		return s
	}
	sorted := slices.Sorted(slices.Values(xs))
	k, coverage := orderStatistic(len(xs), 0.95)
	s.Low, s.High, s.Coverage = sorted[k-1], sorted[len(xs)-k], coverage
	return s
}

// orderStatistic returns the largest k for which the interval from the k-th
// smallest to the k-th largest of n values holds the median with at least the
// wanted probability, and that probability. When not even k = 1 does, it returns
// k = 1 with what that gives.
func orderStatistic(n int, want float64) (k int, coverage float64) {
	// The median is below the k-th smallest when fewer than k of n values are
	// below it: a tail of the binomial distribution with p = 1/2.
	below := math.Exp2(-float64(n)) // P(X < 1)
	term := below
	k, coverage = 1, 1-2*below
	for i := 1; i < n/2+n%2; i++ {
		term *= float64(n-i+1) / float64(i)
		below += term
		if 1-2*below < want {
			break
		}
		k, coverage = i+1, 1-2*below
	}
	return k, max(coverage, 0)
}

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
