package takeover

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// handled is one call of a handler that ended well, whoever made it.
type handled struct {
	by         string
	partition  int32
	offset     int64
	key, value string
}

func (h handled) at() string { return fmt.Sprintf("%d/%d", h.partition, h.offset) }

// A journal has what all consumers of a group have handled, in its order.
type journal struct {
	plains, ours atomic.Int64

	mu  sync.Mutex
	all []handled
}

func (j *journal) add(h handled) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, h)
}

func (j *journal) get() []handled {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.all)
}

// records is how many different ones were handled.
func (j *journal) records() int {
	seen := map[string]bool{}
	for _, h := range j.get() {
		seen[h.at()] = true
	}
	return len(seen)
}

// repeated are those that were handled more than once.
func (j *journal) repeated() (all []handled) {
	seen := map[string]bool{}
	for _, h := range j.get() {
		if seen[h.at()] {
			all = append(all, h)
		}
		seen[h.at()] = true
	}
	return all
}

// requireOrder fails when a key's record was handled before the one before it
// had been: for keys that stay on their partitions.
func (j *journal) requireOrder(t *testing.T, offsets map[string][]int64) {
	t.Helper()
	next := map[string]int{}
	for i, h := range j.get() {
		all := offsets[h.key]
		at := slices.Index(all, h.offset)
		switch {
		case at < 0:
			t.Errorf("%d: %s handled %+v, which nobody wrote", i, h.by, h)
		case at > next[h.key]:
			t.Errorf("%d: %s handled offset %d of key %s before offset %d", i, h.by, h.offset, h.key, all[next[h.key]])
		case at == next[h.key]:
			next[h.key]++
		}
	}
	for key, all := range offsets {
		if next[key] != len(all) {
			t.Errorf("of key %s %d of %d records were handled", key, next[key], len(all))
		}
	}
}
