package guard

import (
	"hash/maphash"
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
	k := a.State(hash, key)
	v := k.Check(n)
	if v.Finding != Duplicate {
		k.Done(n)
	}
	return v
}

// Know puts in what was kept elsewhere, in place of what the table knows.
func (a *Ahead) Know(hash uint64, key []byte, k *Key) {
	a.keys[aheadKey{hash, maphash.Bytes(a.t.seed, key)}] = k.clone()
}

// State is what is known of a key behind the records that were judged.
func (a *Ahead) State(hash uint64, key []byte) *Key {
	id := aheadKey{hash, maphash.Bytes(a.t.seed, key)}
	k := a.keys[id]
	if k == nil {
		k = a.t.look(hash, key)
		a.keys[id] = k
	}
	return k
}

// look is a copy of what is known of a key.
func (t *Table) look(hash uint64, key []byte) *Key {
	if k, ok := t.Known(hash, key); ok {
		return k
	}
	return &Key{}
}

// Known is a copy of what is known of a key.
func (t *Table) Known(hash uint64, key []byte) (k *Key, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.find(hash, key); e != nil {
		return e.key.clone(), true
	}
	return nil, false
}

// Reset forgets all keys.
func (t *Table) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.keys)
	t.recent.Init()
}
