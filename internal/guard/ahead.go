package guard

import (
	"hash/maphash"
	"slices"
)

// An Ahead judges records that are handled together, before any of them is done:
// each as if those before it were. The table learns nothing from it.
type Ahead struct {
	t    *Table
	keys map[aheadKey]*Key
}

type aheadKey struct{ hash, check uint64 }

// Ahead begins with what the table knows.
func (t *Table) Ahead() *Ahead { return &Ahead{t, make(map[aheadKey]*Key)} }

// Next says what a number of a key means, and takes it as done for those that follow.
func (a *Ahead) Next(hash uint64, key []byte, n Number) Verdict {
	id := aheadKey{hash, maphash.Bytes(a.t.seed, key)}
	k := a.keys[id]
	if k == nil {
		k = a.t.look(hash, key)
		a.keys[id] = k
	}
	v := k.Check(n)
	if v.Finding != Duplicate {
		k.Done(n)
	}
	return v
}

// look is a copy of what is known of a key.
func (t *Table) look(hash uint64, key []byte) *Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := &Key{}
	if e := t.find(hash, key); e != nil {
		k.Counts = slices.Clone(e.key.Counts)
		for i := range k.Counts {
			k.Counts[i].Gaps = slices.Clone(k.Counts[i].Gaps)
		}
	}
	return k
}
