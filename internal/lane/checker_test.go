package lane

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A checker sees each start and end of a handler and knows what is allowed.
type checker struct {
	cfg     PartitionConfig
	errMu   sync.Mutex
	errs    []string
	mu      sync.Mutex
	running map[string]map[uint64]int // by partition and ordering key, over all ownerships
	shut    bool                      // the gate is, and all that had begun before has returned
	most    int                       // highest quota since
	through int                       // items that were let through and are running
	blame   map[*Run]int64            // the record whose failure OnFailure has yet to hear of
}

// An ownership is what the checker knows of one.
type ownership struct {
	p         *Partition
	pending   map[uint64][]int64 // by ordering key: enqueued and not done
	key       map[int64]uint64   // of each record
	attempts  map[int64]int32
	alone     map[int64]bool // part of a run that could not tell
	bits      uint32         // halt bits set by the test
	cancelled bool
	quiet     bool // halted and idle: nothing may start
	over      bool // closed
	now       int  // runs
	token     int64
	least     int64 // token that each run that starts has at least
}

func newChecker(cfg PartitionConfig) *checker {
	return &checker{cfg: cfg, running: map[string]map[uint64]int{}, blame: map[*Run]int64{}}
}

func (c *checker) failf(format string, args ...any) {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if len(c.errs) < 10 {
		c.errs = append(c.errs, fmt.Sprintf(format, args...))
	}
}

// orderKey is what must be processed in sequence.
func (c *checker) orderKey(hash uint64) uint64 {
	switch {
	case c.cfg.Whole:
		return 0
	case c.cfg.Lanes > 0 && !c.cfg.Detach:
		return hash % uint64(c.cfg.Lanes)
	}
	return hash
}

func (c *checker) lane(hash uint64) int {
	switch {
	case c.cfg.Whole:
		return 0
	case c.cfg.Lanes > 0:
		return int(hash % uint64(c.cfg.Lanes))
	}
	return -1
}

// add begins an ownership.
func (c *checker) add(p *Partition, token int64) *ownership {
	return &ownership{
		p: p, token: token, least: token,
		pending: map[uint64][]int64{}, key: map[int64]uint64{},
		attempts: map[int64]int32{}, alone: map[int64]bool{},
	}
}

func (c *checker) enqueue(o *ownership, its []*Item) {
	c.mu.Lock()
	for _, it := range its {
		k := c.orderKey(it.Hash)
		o.pending[k] = append(o.pending[k], it.Offset)
		o.key[it.Offset] = it.Hash
		o.attempts[it.Offset] = it.Attempts
	}
	c.mu.Unlock()
	if n := o.p.Enqueue(its); n != len(its) {
		c.failf("Enqueue took %d of %d", n, len(its))
	}
}

// fronts are the records that are not done, by ordering key; only keys with some.
func (c *checker) fronts(o *ownership) map[uint64][]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := maps.Clone(o.pending)
	maps.DeleteFunc(out, func(_ uint64, q []int64) bool { return len(q) == 0 })
	return out
}

// undone lists the records that are not done, in offset order.
func (c *checker) undone(o *ownership) (left []*Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range o.pending {
		for _, off := range q {
			left = append(left, &Item{Hash: o.key[off], Offset: off, Attempts: o.attempts[off], Size: 1})
		}
	}
	slices.SortFunc(left, func(a, b *Item) int { return int(a.Offset - b.Offset) })
	return left
}

func (c *checker) start(o *ownership, r *Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := o.p.cfg.ID
	if o.quiet {
		c.failf("%s: %v started while halted (bits %d, cancelled %t)", id, offsets(r.Items), o.bits, o.cancelled)
	}
	if o.now++; o.now > 1 && r.Serial() {
		c.failf("%s: %v started beside %d others of a partition that runs one item at a time", id, offsets(r.Items), o.now-1)
	}
	if r.Serial() && len(r.Items) != 1 {
		c.failf("%s: a run of %d items of such a partition", id, len(r.Items))
	}
	if c.shut && !r.Admitted() {
		c.failf("%s: %v started while the gate is shut", id, offsets(r.Items))
	}
	if r.Admitted() {
		if c.through++; c.shut && c.through > c.most {
			c.failf("%s: %d items were let through at a time, at most %d are allowed", id, c.through, c.most)
		}
		if len(r.Items) != 1 {
			c.failf("%s: a run of %d items was let through", id, len(r.Items))
		}
	}
	if o.over && r.Ctx.Err() == nil { // a worker may have been on its way when Close came
		c.failf("%s: %v started with a live context in an ownership that has ended", id, offsets(r.Items))
	}
	if r.Token < o.least || r.Token > o.token {
		c.failf("%s: %v started with token %d, want %d to %d", id, offsets(r.Items), r.Token, o.least, o.token)
	}
	if most := c.cfg.BatchMax; most > 0 && len(r.Items) > most {
		c.failf("%s: a run of %d, at most %d are allowed", id, len(r.Items), most)
	}
	at := map[uint64]int{}
	for i, it := range r.Items {
		k := c.orderKey(it.Hash)
		if want := c.lane(it.Hash); r.Lane != want {
			c.failf("%s: record %d in lane %d, want %d", id, it.Offset, r.Lane, want)
		}
		if i > 0 && r.Items[i-1].Offset >= it.Offset {
			c.failf("%s: run %v is not in offset order", id, offsets(r.Items))
		}
		if q := o.pending[k]; at[k] >= len(q) || q[at[k]] != it.Offset {
			c.failf("%s: record %d of key %d was handed over when %v are not done", id, it.Offset, k, q)
		}
		at[k]++
		if it.Attempts != o.attempts[it.Offset] {
			c.failf("%s: record %d has %d attempts, want %d", id, it.Offset, it.Attempts, o.attempts[it.Offset])
		}
		if o.alone[it.Offset] && len(r.Items) > 1 {
			c.failf("%s: record %d in run %v after a run that could not tell", id, it.Offset, offsets(r.Items))
		}
	}
	for k := range at {
		if c.running[id] == nil {
			c.running[id] = map[uint64]int{}
		}
		if c.running[id][k]++; c.running[id][k] > 1 {
			c.failf("%s: two handlers of key %d at once", id, k)
		}
	}
}

// end is called when the handler has answered, before anybody else knows.
func (c *checker) end(o *ownership, r *Run, done int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.now--
	if r.Admitted() {
		c.through--
	}
	keys := map[uint64]bool{}
	for _, it := range r.Items {
		keys[c.orderKey(it.Hash)] = true
	}
	for k := range keys {
		c.running[o.p.cfg.ID][k]--
	}
	n := len(r.Items)
	if done < 0 || done > n {
		if n > 1 {
			for _, it := range r.Items {
				o.alone[it.Offset] = true
			}
			return
		}
		done = 0
		if err == nil {
			err = errTest
		}
	}
	for _, it := range r.Items[:done] {
		k := c.orderKey(it.Hash)
		if q := o.pending[k]; len(q) > 0 && q[0] == it.Offset {
			o.pending[k] = q[1:]
		}
		delete(o.alone, it.Offset)
	}
	if done < n && err != ErrHalted {
		c.blame[r] = r.Items[done].Offset
	}
}

// settled is called when a record is done without its handler.
func (c *checker) settled(o *ownership, it *Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.orderKey(it.Hash)
	if q := o.pending[k]; len(q) == 0 || q[0] != it.Offset {
		c.failf("record %d was settled when %v of its key are not done", it.Offset, q)
	} else {
		o.pending[k] = q[1:]
	}
	delete(o.alone, it.Offset)
}

func (c *checker) failed(o *ownership, r *Run, it *Item, spare bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if want, ok := c.blame[r]; !ok || want != it.Offset {
		c.failf("%s: record %d is blamed, want %d (%t)", o.p.cfg.ID, it.Offset, want, ok)
	}
	delete(c.blame, r)
	if it.Attempts != o.attempts[it.Offset] {
		c.failf("%s: record %d has %d attempts when it fails, want %d", o.p.cfg.ID, it.Offset, it.Attempts, o.attempts[it.Offset])
	}
	if !spare {
		o.attempts[it.Offset]++
	}
	if c.cfg.Detach { // what follows of its key leaves the lane and its count
		for off := range o.alone {
			if o.key[off] == it.Hash {
				delete(o.alone, off)
			}
		}
	}
}
