package history

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// trialOf gives an experiment of at least that many records in which all went well.
func trialOf(seed uint64, records, keys int) *trial {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newTrial(rnd.IntN, keys)
	for w.sent < records {
		w.step()
	}
	w.end()
	return w
}

// Transactions, gaps, rebalances, unknown outcomes, deaths and what they bring
// again: none of it is a violation.
func TestCleanExperimentsHold(t *testing.T) {
	var sum Report
	rapid.Check(t, func(t *rapid.T) {
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		w := newTrial(rnd.IntN, 6)
		w.compacted = rapid.Bool().Draw(t, "compacted")
		for range rapid.IntRange(0, 2000).Draw(t, "steps") {
			w.step()
		}
		r := Check(w.end(), Options{Complete: true, AllowVacuous: true, Compacted: w.compacted})
		requireClasses(t, r)
		sum.Redelivered += r.Redelivered
		sum.ExcusedOverlaps += r.ExcusedOverlaps
		sum.Unclear += r.Unclear
		sum.Failed += r.Failed
	})
	t.Logf("redelivered %d, excused overlaps %d, unclear %d, failed %d", sum.Redelivered, sum.ExcusedOverlaps, sum.Unclear, sum.Failed)
}

func TestCleanLongExperimentsHold(t *testing.T) {
	for seed := range uint64(10) {
		w := trialOf(seed, 5000, 50)
		if r := Check(w.events, complete); !r.OK() {
			t.Errorf("seed %d: %s", seed, r)
		}
	}
}

// With the excuse taken away, what a frozen member does beside the next owner
// is a violation; without the option a history of a compacted topic has losses.
func TestExcusesAreWhatHolds(t *testing.T) {
	w := trialOf(3, 5000, 50)
	r := Check(w.events, Options{Complete: true, BlameFrozen: true})
	requireClasses(t, r, DualOwner)

	rnd := rand.New(rand.NewPCG(1, 1))
	w = newTrial(rnd.IntN, 6)
	w.compacted = true
	for range 3000 {
		w.step()
	}
	w.end()
	if r := Check(w.events, complete); r.Counts[LostWrite] == 0 {
		t.Errorf("a topic that compaction thinned out has no losses:\n%s", r)
	}
}
