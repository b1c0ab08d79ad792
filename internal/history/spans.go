package history

import (
	"iter"
	"slices"
)

// span is the numbers from lo to hi.
type span struct{ lo, hi int64 }

// spans is a set of numbers, as ranges that do not touch: what comes in order
// takes one range, however much it is.
type spans []span

// at gives the place of the first range that ends at x or above.
func (s spans) at(x int64) int {
	// Numbers mostly come at the end.
	if n := len(s); n == 0 || s[n-1].hi < x {
		return n
	}
	i, _ := slices.BinarySearchFunc(s, x, func(r span, x int64) int {
		if r.hi < x {
			return -1
		}
		return 1
	})
	return i
}

func (s spans) has(x int64) bool {
	i := s.at(x)
	return i < len(s) && s[i].lo <= x
}

// max is the largest number, or -1.
func (s spans) max() int64 {
	if len(s) == 0 {
		return -1
	}
	return s[len(s)-1].hi
}

// add puts x in. Numbers are from 0 to maxNumber.
func (s *spans) add(x int64) { s.addRange(x, x) }

// addRange puts the numbers from lo to hi in.
func (s *spans) addRange(lo, hi int64) {
	if lo > hi {
		return
	}
	from := s.at(lo - 1) // the first range that touches or follows
	to := from
	for to < len(*s) && (*s)[to].lo <= hi+1 {
		lo, hi = min(lo, (*s)[to].lo), max(hi, (*s)[to].hi)
		to++
	}
	if to == from+1 {
		(*s)[from] = span{lo, hi}
		return
	}
	*s = slices.Replace(*s, from, to, span{lo, hi})
}

// remove takes x out.
func (s *spans) remove(x int64) {
	if !s.has(x) {
		return
	}
	i := s.at(x)
	r := (*s)[i]
	var left []span
	if r.lo < x {
		left = append(left, span{r.lo, x - 1})
	}
	if x < r.hi {
		left = append(left, span{x + 1, r.hi})
	}
	*s = slices.Replace(*s, i, i+1, left...)
}

// count is the number of numbers.
func (s spans) count() int64 {
	var n int64
	for _, r := range s {
		n += r.hi - r.lo + 1
	}
	return n
}

// within gives the first number from lo to hi that is in the set.
func (s spans) within(lo, hi int64) (int64, bool) {
	i := s.at(lo)
	if i == len(s) || max(s[i].lo, lo) > hi {
		return 0, false
	}
	return max(s[i].lo, lo), true
}

// minus gives the ranges of numbers up to limit that are in s and not in o.
func (s spans) minus(o spans, limit int64) iter.Seq[span] {
	return func(yield func(span) bool) {
		j := 0
		for _, r := range s {
			lo, hi := r.lo, min(r.hi, limit)
			for lo <= hi {
				for j < len(o) && o[j].hi < lo {
					j++
				}
				end := hi
				if j < len(o) {
					if o[j].lo <= lo {
						lo = o[j].hi + 1
						continue
					}
					end = min(hi, o[j].lo-1)
				}
				if !yield(span{lo, end}) {
					return
				}
				lo = end + 1
			}
		}
	}
}

// shrink forgets the lowest gaps until at most n ranges are left: what stood in
// them counts as being in the set. It says how many numbers that are.
func (s *spans) shrink(n int) int64 {
	over := len(*s) - n
	if over <= 0 {
		return 0
	}
	before := s.count()
	(*s)[over].lo = (*s)[0].lo
	*s = slices.Delete(*s, 0, over)
	return s.count() - before
}
