//go:build synctests

package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// coverage is what has happened in all seeds of a run together: a simulation in which
// nothing of it happens shows nothing.
type coverage struct {
	mu    sync.Mutex
	seeds int
	seen  map[string]int // seeds in which it happened
}

func (c *coverage) add(w *world) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seeds++
	for what := range w.ledger.tally {
		c.seen[what]++
	}
}

// needed is what has to happen in one of 200 seeds at the least.
var needed = []string{
	"outage", "failed for retry", "failed permanent", "failed unavailable", "panicked",
	"breaker open", "breaker half-open", "breaker closed", "attempts given back", "killed while its breaker was open",
	"dead-lettered", "skipped", "stopped", "given up and blocked", "a write failed", "a write was given up", "blocked dead-letter-too-large",
	"killed by a record", "one at a time", "killed with one record alone, one at a time", "attempts taken over", "inline",
	"parked", "parked behind another", "parked before", "retry done", "released in the end",
	"the parking topic was harmed",
}

// rare is what has to happen among the seeds of a soak.
var rare = []string{
	"dead-lettered more than once", "dropped late-dead-letter", "blocked dead-letter-failed", "given up because the process ended",
	"skip done", "the parking topic was deleted", "the parking topic was created again", "the parking topic was shortened",
}

func (c *coverage) check(t *testing.T) {
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(c.seen)) {
		lines = append(lines, fmt.Sprintf("%5d  %s", c.seen[what], what))
	}
	t.Logf("of %d seeds, in so many it happened:\n%s", c.seeds, strings.Join(lines, "\n"))
	if c.seeds < seeds {
		return
	}
	demanded := needed
	if c.seeds >= soakSeeds {
		demanded = slices.Concat(needed, rare)
	}
	for _, what := range demanded {
		if c.seen[what] == 0 {
			t.Errorf("in none of %d seeds this happened: %s", c.seeds, what)
		}
	}
}
