package proxy

import (
	"encoding/binary"
	"hash/fnv"
	"math"
)

// Identify says which record of its key a record is, and what its key is: the same
// for the same record in each run. ok is false for a record that is none of the
// experiment's. It is called by several goroutines, and must not keep the bytes.
type Identify func(topic string, r *Record) (key []byte, number int64, ok bool)

// id is a target in eight bytes, the same in each run and process.
func (t *Target) id() uint64 {
	h := fnv.New64a()
	put := func(b []byte) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		_, _ = h.Write(b)
	}
	number := func(n int64) { _, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	put([]byte(t.Topic))
	switch {
	case t.Number != nil:
		put([]byte("key"))
		put(t.Key)
		number(*t.Number)
	case t.Sequence != nil:
		put([]byte("sequence"))
		put([]byte(t.Client))
		number(int64(t.Partition))
		number(int64(*t.Sequence))
	case t.Nth != nil:
		put([]byte("nth"))
		put([]byte(t.API))
		put([]byte(t.Client))
		put([]byte(t.Group))
		number(*t.Nth)
	}
	return mix(h.Sum64())
}

// mix spreads close numbers far apart (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// A rule is a fault with its choice.
type rule struct {
	Fault
	index  int
	salt   uint64 // of the seed: two rules choose different records
	below  uint64 // chosen is what has a smaller number
	chosen map[uint64]bool
	struck map[uint64]int     // how often each chosen one has been
	begun  map[uint64]*strike // that their clients may not have felt yet
	count  Count
}

func newRule(f Fault, index int, seed uint64) *rule {
	r := &rule{Fault: f, index: index, struck: make(map[uint64]int), begun: make(map[uint64]*strike)}
	kind := fnv.New64a()
	_, _ = kind.Write([]byte(f.Kind))
	r.salt = mix(seed) ^ mix(kind.Sum64()+uint64(index))
	if r.below = math.MaxUint64; f.Share < 1 {
		r.below = uint64(f.Share * (1 << 32) * (1 << 32))
	}
	if len(f.Chosen) > 0 {
		r.chosen = make(map[uint64]bool)
		for _, t := range f.Chosen {
			r.chosen[t.id()] = true
		}
	}
	return r
}

// picks reports whether a record is chosen; it does not say whether its turn has
// passed.
func (r *rule) picks(id uint64) bool {
	if r.chosen != nil {
		return r.chosen[id]
	}
	return mix(id^r.salt) < r.below
}

// due reports whether a chosen one is still to be struck. When it comes on another
// connection while a fault for it has only begun, then its client has not felt that
// one, and will not. The caller has the engine's lock.
func (r *rule) due(id uint64, c *conn) bool {
	if p := r.begun[id]; p != nil && p.conn != c {
		r.revoke(p)
	}
	return r.struck[id] < r.Times
}

func (r *rule) concerns(topic, client string) bool {
	return (r.Topic == "" || r.Topic == topic) && (r.Client == "" || r.Client == client)
}
