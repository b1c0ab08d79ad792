package guard

import "slices"

const (
	// maxWriters is how many writers of one key are known at a time: those that
	// wrote last.
	maxWriters = 4
	// maxGaps is how many gaps of one count are remembered: the highest.
	maxGaps = 8
)

// A Key is the state of one key: a count for each of the writers that wrote last,
// the last one first. The zero value knows nothing.
type Key struct{ Counts []Count }

// A Count is one writer's.
type Count struct {
	Writer string
	Epoch  int64
	Last   int64 // highest number that is done, or was passed
	// Floor: of the numbers up to it nothing is known.
	Floor int64
	Gaps  []Span // above Floor, up to Last: not done; sorted, apart
}

// A Span is the numbers from From to To, both included.
type Span struct{ From, To int64 }

func (k *Key) find(writer string) int {
	return slices.IndexFunc(k.Counts, func(c Count) bool { return c.Writer == writer })
}

// Check says what a number means; it changes nothing.
func (k *Key) Check(n Number) Verdict {
	i := k.find(n.Writer)
	if i < 0 {
		if len(k.Counts) > 0 {
			return Verdict{Finding: NewCount}
		}
		return Verdict{Finding: Next}
	}
	c := &k.Counts[i]
	switch {
	case n.Epoch > c.Epoch:
		return Verdict{Finding: NewCount, Last: c.Last}
	case n.Epoch < c.Epoch:
		return Verdict{Finding: Zombie, Last: c.Last, Highest: c.Epoch}
	case n.N > c.Last:
		if missing := n.N - c.Last - 1; missing > 0 && !n.Sparse {
			return Verdict{Finding: Gap, Last: c.Last, Missing: missing}
		}
		return Verdict{Finding: Next, Last: c.Last}
	case n.N <= c.Floor:
		return Verdict{Finding: Unsure, Last: c.Last}
	case c.gap(n.N) >= 0:
		return Verdict{Finding: Late, Last: c.Last}
	}
	return Verdict{Finding: Duplicate, Last: c.Last}
}

// Done learns that the number's record is done.
func (k *Key) Done(n Number) { k.learn(n, false) }

// Pass learns that the number's record was given up, and that its key went on without
// it: it is remembered as a gap of its own. So what follows it is in its place, and
// when it comes again, as by hand from a dead-letter topic, it is late and not skipped.
func (k *Key) Pass(n Number) { k.learn(n, true) }

func (k *Key) learn(n Number, passed bool) {
	i := k.find(n.Writer)
	if i < 0 {
		// The one that wrote longest ago makes room.
		k.Counts = slices.Insert(k.Counts[:min(len(k.Counts), maxWriters-1)], 0, begin(n, passed))
		return
	}
	c := k.Counts[i]
	if n.Epoch < c.Epoch {
		return // a zombie's numbers say nothing about the count that replaced it
	}
	if i > 0 {
		copy(k.Counts[1:i+1], k.Counts[:i])
		k.Counts[0] = c
	}
	switch {
	case n.Epoch > c.Epoch:
		k.Counts[0] = begin(n, passed)
	case passed:
		k.Counts[0].pass(n.N, n.Sparse)
	default:
		k.Counts[0].done(n.N, n.Sparse)
	}
}

// begin is a count of which one number is known.
func begin(n Number, passed bool) Count {
	c := Count{Writer: n.Writer, Epoch: n.Epoch, Last: n.N, Floor: n.N - 1}
	if passed {
		c.Gaps = []Span{{n.N, n.N}}
	}
	return c
}

func (c *Count) done(n int64, sparse bool) {
	if n > c.Last {
		if !sparse {
			c.miss(n - 1)
		}
		c.Last = n
		return
	}
	i := c.gap(n)
	if i < 0 {
		return
	}
	switch g := &c.Gaps[i]; {
	case g.From == g.To:
		c.Gaps = slices.Delete(c.Gaps, i, i+1)
	case n == g.From:
		g.From++
	case n == g.To:
		g.To--
	default:
		above := Span{n + 1, g.To}
		g.To = n - 1
		c.Gaps = slices.Insert(c.Gaps, i+1, above)
		c.bound()
	}
}

func (c *Count) pass(n int64, sparse bool) {
	if n > c.Last {
		if sparse {
			c.Last = n - 1
		}
		c.miss(n)
		c.Last = n
	}
}

// miss notes the numbers above the last one, up to and with to, as a gap.
func (c *Count) miss(to int64) {
	if to == c.Last {
		return
	}
	if i := len(c.Gaps) - 1; i >= 0 && c.Gaps[i].To == c.Last { // one that was passed
		c.Gaps[i].To = to
		return
	}
	c.Gaps = append(c.Gaps, Span{c.Last + 1, to})
	c.bound()
}

// bound forgets the lowest gap when there are too many, and with it all that is
// known of the numbers below its end: a number in it must not be taken for one
// that is done.
func (c *Count) bound() {
	if len(c.Gaps) > maxGaps {
		c.Floor = c.Gaps[0].To
		c.Gaps = slices.Delete(c.Gaps, 0, 1)
	}
}

// gap returns the index of the gap that holds n, or -1.
func (c *Count) gap(n int64) int {
	return slices.IndexFunc(c.Gaps, func(s Span) bool { return s.From <= n && n <= s.To })
}
