package guard

import (
	"container/list"
	"hash/maphash"
	"sync"
)

// A Table holds the keys of one partition, at most so many: those that were seen
// last. A key that was forgotten is as one that was never seen. It may be used
// from several goroutines.
type Table struct {
	mu        sync.Mutex
	limit     int
	keys      map[uint64]*list.Element
	recent    *list.List // of *entry, last seen first
	seed      maphash.Seed
	forgotten int64
}

// An entry stands under the hash that the rest of the program knows the key by.
// Two keys may have the same one: check tells them apart, for to mix up their
// counts could skip a record.
type entry struct {
	hash, check uint64
	key         Key
}

// NewTable returns a table for so many keys, at least one.
func NewTable(limit int) *Table {
	return &Table{limit: max(limit, 1), keys: make(map[uint64]*list.Element), recent: list.New(), seed: maphash.MakeSeed()}
}

// Check says what a number of a key means. hash is the key's, the same at each call.
func (t *Table) Check(hash uint64, key []byte, n Number) Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.find(hash, key); e != nil {
		return e.key.Check(n)
	}
	return Verdict{Finding: Next}
}

// Done learns that a number's record is done.
func (t *Table) Done(hash uint64, key []byte, n Number) { t.learn(hash, key, n, false) }

// Pass learns that a number's record was given up: see Key.Pass.
func (t *Table) Pass(hash uint64, key []byte, n Number) { t.learn(hash, key, n, true) }

func (t *Table) learn(hash uint64, key []byte, n Number, passed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.find(hash, key)
	if e == nil {
		e = t.add(hash, key)
	}
	e.key.learn(n, passed)
}

// Load puts in what was kept elsewhere.
func (t *Table) Load(hash uint64, key []byte, k Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(hash, key).key = k
}

// Len is how many keys are known, and how many were forgotten so far.
func (t *Table) Len() (known int, forgotten int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys), t.forgotten
}

func (t *Table) find(hash uint64, key []byte) *entry {
	el := t.keys[hash]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	if e.check != maphash.Bytes(t.seed, key) {
		return nil
	}
	t.recent.MoveToFront(el)
	return e
}

// add puts a key in that knows nothing, in the place of the other that has its
// hash, if there is one.
func (t *Table) add(hash uint64, key []byte) *entry {
	e := &entry{hash: hash, check: maphash.Bytes(t.seed, key)}
	if el := t.keys[hash]; el != nil {
		el.Value = e
		t.recent.MoveToFront(el)
		return e
	}
	for len(t.keys) >= t.limit {
		el := t.recent.Back()
		delete(t.keys, t.recent.Remove(el).(*entry).hash)
		t.forgotten++
	}
	t.keys[hash] = t.recent.PushFront(e)
	return e
}
