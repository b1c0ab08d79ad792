package effects

import (
	"bytes"
	"slices"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
)

// A row is an exception, as it is kept in memory.
type row struct {
	k       *keyState
	failure *store.Failure // nil: the zero one
	size    int32          // of the payload
	lane    int32
	parked  bool
}

// A key is an ordering key, which belongs to one lane.
type key struct {
	text  string
	keyed bool
}

func keyOf(b []byte) key { return key{string(b), b != nil} }

// keyState is a key that has left its lane.
type keyState struct {
	key       []byte
	rows      []int64 // offsets of its exceptions, rising
	parked    int     // of these, with their payload
	due       int64   // when its head is released, in milliseconds; parking.Waits
	releasing bool
	word      bool  // at an operator's word, whenever it is due
	hand      int64 // the parked record that is with its handler; none
}

const none = -1

// put and drop keep the exceptions and what is counted of them. Called with mu
// held, but by Begin.
func (o *Owner) put(e store.Exception) {
	r, known := o.exc[e.Offset]
	if known && !bytes.Equal(r.k.key, e.Key) { // never
		o.drop(e.Offset)
		known = false
	}
	if !known {
		r = row{k: o.working(e.Key)}
		k := r.k
		at, _ := slices.BinarySearch(k.rows, e.Offset)
		k.rows = slices.Insert(k.rows, at, e.Offset)
	}
	o.count(&r, -1)
	r.lane, r.parked, r.size, r.failure = int32(e.Lane), e.Parked(), int32(max(e.Size, len(e.Payload))), nil
	if e.Failure != (store.Failure{}) {
		f := e.Failure
		r.failure = &f
	}
	o.count(&r, 1)
	o.exc[e.Offset] = r
	o.schedule(r.k)
}

// working returns what is kept of a key, from now on.
func (o *Owner) working(b []byte) *keyState {
	k := o.keys[keyOf(b)]
	if k == nil {
		k = &keyState{key: bytes.Clone(b), due: parking.Waits, hand: none} // b is a piece of a whole fetch
		o.keys[keyOf(b)] = k
	}
	return k
}

// count counts a row, or no more.
func (o *Owner) count(r *row, by int) {
	if !r.parked {
		return
	}
	before := r.k.parked
	r.k.parked += by
	o.records += by
	o.bytes += int64(by) * int64(r.size)
	switch {
	case before == 0:
		o.parkedKeys++
	case r.k.parked == 0:
		o.parkedKeys--
	}
}

func (o *Owner) drop(offset int64) {
	r, ok := o.exc[offset]
	if !ok {
		return
	}
	delete(o.exc, offset)
	o.count(&r, -1)
	k := r.k
	if at, ok := slices.BinarySearch(k.rows, offset); at == 0 && ok {
		k.rows = k.rows[1:]
	} else if ok {
		k.rows = slices.Delete(k.rows, at, at+1)
	}
	o.schedule(k)
	o.forget(k)
}

// forget drops a key that is back in its lane.
func (o *Owner) forget(k *keyState) {
	if len(k.rows) == 0 && k.hand == none {
		o.ends(k)
		delete(o.keys, keyOf(k.key))
	}
}

// schedule says when a key is released, by its head.
func (o *Owner) schedule(k *keyState) {
	k.due = parking.Waits
	if head := o.head(k); head != nil && head.parked {
		k.due = 0
		if head.failure != nil {
			k.due = o.rules.Due(parking.Failure(*head.failure))
		}
		o.soonest = min(o.soonest, k.due)
	}
}

// head is a key's lowest exception; nil: it has none.
func (o *Owner) head(k *keyState) *row {
	if len(k.rows) == 0 {
		return nil
	}
	r := o.exc[k.rows[0]]
	return &r
}

// exception is a row as the store knows it.
func (r *row) exception(offset int64) store.Exception {
	e := store.Exception{Lane: int(r.lane), Offset: offset, Key: r.k.key, Size: int(r.size)}
	if r.parked {
		e.Payload = []byte{}
	}
	if r.failure != nil {
		e.Failure = *r.failure
	}
	return e
}
