package effects

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
)

// A key is parked when the lowest of its exceptions has its payload in the store. Its
// later records follow it there without a handler. A release takes the lowest, again and
// again, until one fails. While few are left of a key that is released its live records
// wait in memory behind them, detached, so that a release ends.

// A Turn is what becomes of a detached record that is the first of its key's queue.
type Turn uint8

const (
	Handle  Turn = iota // it goes to its handler
	Follow              // its key is parked: it follows
	Wait                // those before it are being released
	Full                // it would follow, and a cap is reached
	Settled             // it is parked already
)

// A FullError says that a cap is reached.
type FullError struct{ Reason string }

func (e *FullError) Error() string { return e.Reason }

// pending counts what is about to be parked.
type pending struct {
	records map[key]int
	bytes   int64
}

// full says which cap keeps a record of a key from being parked; empty: none. p is what
// its own step parks before it.
func (o *Owner) full(r *Record, p *pending) string {
	id := keyOf(r.Key)
	n := p.records[id] + o.way.records[id]
	if k := o.keys[id]; k != nil {
		n += k.parked
	}
	switch {
	case n >= o.rules.MaxPerKey:
		return fmt.Sprintf("%d records of the key are parked, which is the cap", n)
	case n == 0 && o.parkedKeys+o.joining(p)+o.joining(&o.way) >= o.rules.MaxKeys:
		return fmt.Sprintf("%d keys of the partition are parked, which is the cap", o.rules.MaxKeys)
	case o.bytes+p.bytes+o.way.bytes+int64(r.Size) > o.rules.MaxBytes:
		return fmt.Sprintf("%d bytes of the partition are parked, and with this record it would be more than the cap of %d", o.bytes+p.bytes+o.way.bytes, o.rules.MaxBytes)
	}
	return ""
}

// joining is how many of the keys of p nothing is parked of yet.
func (o *Owner) joining(p *pending) (n int) {
	for id := range p.records {
		if k := o.keys[id]; k == nil || k.parked == 0 {
			n++
		}
	}
	return n
}

// add counts a record that is about to be parked.
func (p *pending) add(r *Record) {
	if p.records == nil {
		p.records = make(map[key]int)
	}
	p.records[keyOf(r.Key)]++
	p.bytes += int64(r.Size)
}

// count counts all of another one, or no more.
func (p *pending) count(of *pending, by int) {
	if len(of.records) == 0 {
		return
	}
	if p.records == nil {
		p.records = make(map[key]int)
	}
	for id, n := range of.records {
		if p.records[id] += by * n; p.records[id] == 0 {
			delete(p.records, id)
		}
	}
	p.bytes += int64(by) * of.bytes
}

// follows says that a record which comes to its lane's head is parked there and then.
func (o *Owner) follows(k *keyState, r *Record, p *pending) bool {
	if k.parked == 0 || r.Payload == nil || k.releasing && k.parked <= o.rules.Join {
		return false
	}
	return o.full(r, p) == ""
}

// Turn says what becomes of a detached record at the head of its key's queue.
func (o *Owner) Turn(r Record) Turn {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.exc[r.Offset]
	if !ok {
		return Handle // Release finds out
	}
	k := e.k
	switch {
	case e.parked:
		return Settled
	case k.rows[0] == r.Offset && k.hand != none:
		return Wait
	case k.rows[0] == r.Offset, !o.head(k).parked:
		return Handle
	case k.releasing && k.parked <= o.rules.Join:
		return Wait
	case o.full(&r, new(pending)) != "":
		return Full
	}
	return Follow
}

// ParkHead parks a record that is given up: one that is detached, or the next of its
// lane. It returns a *FullError when a cap is reached; nothing is left to do when the
// store knows it as applied or as parked.
func (o *Owner) ParkHead(ctx context.Context, lane int, r Record, f store.Failure, why *store.Audit) error {
	var full error
	if why != nil {
		w := *why
		w.Offset, w.Key = r.Offset, r.Key
		why = &w
	}
	err := o.decide(ctx, lane, func(p *pending) (*store.Step, func(context.Context, any) error, func()) {
		full = nil
		e, has := o.exc[r.Offset]
		from, ok := o.pos[lane]
		if !ok {
			from = store.Unknown
		}
		if has && e.parked || !has && ok && r.Offset < from {
			return nil, nil, nil
		}
		if reason := o.full(&r, p); reason != "" {
			full = &FullError{reason}
			return nil, nil, nil
		}
		p.add(&r)
		x := store.Exception{Lane: lane, Offset: r.Offset, Key: r.Key, Payload: r.Payload(), Failure: f}
		if has {
			return &store.Step{Park: &store.Park{Exceptions: []store.Exception{x}}, Audit: why}, nil, func() { o.put(x) }
		}
		a := &store.Advance{Lane: lane, From: from, To: r.Offset + 1, Detach: []store.Exception{x}}
		return &store.Step{Advance: a, Audit: why}, nil, func() { o.advanced(a) }
	})
	if err == nil {
		err = full
	}
	return err
}

// ParkBehind parks detached records of a key that is parked, in one transaction: as many
// of the first ones as the caps allow. Those that the store does not know as detached are
// left as they are. It returns how many are settled.
func (o *Owner) ParkBehind(ctx context.Context, lane int, recs []Record) (n int, err error) {
	err = o.decide(ctx, lane, func(p *pending) (*store.Step, func(context.Context, any) error, func()) {
		var all []store.Exception
		for n = 0; n < len(recs); n++ {
			r := &recs[n]
			e, ok := o.exc[r.Offset]
			if !ok {
				break
			}
			if e.parked {
				continue
			}
			if o.full(r, p) != "" {
				break
			}
			p.add(r)
			all = append(all, store.Exception{Lane: lane, Offset: r.Offset, Key: r.Key, Payload: r.Payload()})
		}
		if len(all) == 0 {
			return nil, nil, nil
		}
		return &store.Step{Park: &store.Park{Exceptions: all}}, nil, func() {
			for _, e := range all {
				o.put(e)
			}
		}
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// Tried notes that a parked record has failed again.
func (o *Owner) Tried(ctx context.Context, offset int64, f store.Failure) error {
	o.mu.Lock()
	e, ok := o.exc[offset]
	o.mu.Unlock()
	if !ok {
		return nil
	}
	return o.decide(ctx, int(e.lane), func(*pending) (*store.Step, func(context.Context, any) error, func()) {
		e, ok := o.exc[offset]
		if !ok || !e.parked {
			return nil, nil, nil
		}
		x := e.exception(offset)
		x.Failure = f
		return &store.Step{Tried: &store.Tried{Exception: x}}, nil, func() { o.put(x) }
	})
}

// NotBefore has no release on schedule begin before a time, in milliseconds: the owner
// before may have ended by one.
func (o *Owner) NotBefore(at int64) {
	o.mu.Lock()
	o.notBefore = at
	o.mu.Unlock()
}

// DueKeys returns the parked keys whose time has come, the longest parked first, and
// marks them as released: as many as are released at a time.
func (o *Owner) DueKeys(now int64) (out [][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	again := len(o.due) == 0 || now < o.looked || now-o.looked >= parking.LookAgain
	if again && now >= max(o.soonest, o.notBefore) {
		o.lookDue(now)
	}
	for o.releases < o.rules.Releases {
		key, ok := o.nextDue(now)
		if !ok {
			return out
		}
		out = append(out, key)
	}
	return out
}

// NextDue returns one more of the keys that DueKeys has looked for last, when a release has
// ended, and marks it as released. It does not look at all keys.
func (o *Owner) NextDue(now int64) (key []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.releases >= o.rules.Releases {
		return nil, false
	}
	return o.nextDue(now)
}

// lookDue looks for the keys whose time has come. Called with mu held.
func (o *Owner) lookDue(now int64) {
	o.soonest, o.due, o.looked = parking.Waits, nil, now
	for _, k := range o.keys {
		if at := o.dueAt(k, now); at <= now {
			o.due = append(o.due, k)
		} else {
			o.soonest = min(o.soonest, at)
		}
	}
	slices.SortFunc(o.due, func(a, b *keyState) int { return cmp.Compare(a.rows[0], b.rows[0]) })
}

// nextDue takes the first of those that lookDue has found whose time has come still. Called
// with mu held.
func (o *Owner) nextDue(now int64) (key []byte, ok bool) {
	for len(o.due) > 0 && now >= o.notBefore {
		k := o.due[0]
		o.due = o.due[1:]
		at := o.dueAt(k, now)
		if at <= now {
			o.free(k)
			return k.key, true
		}
		o.soonest = min(o.soonest, at)
	}
	if len(o.due) == 0 {
		o.due = nil // and what it holds on to
	}
	return nil, false
}

// dueAt is when a key is to be looked at, or released: now, or before.
func (o *Owner) dueAt(k *keyState, now int64) int64 {
	if k.parked == 0 || k.releasing || k.hand != none {
		return parking.Waits // what ends that says when
	}
	if head := o.head(k); !head.parked || !o.passed(k, head) {
		return now + 1000
	}
	return k.due
}

// passed says that the lane has gone past a parked record. After a rewind that keeps what
// is parked it has not: released before, the record would come again.
func (o *Owner) passed(k *keyState, head *row) bool {
	return k.rows[0] < max(o.pos[int(head.lane)], o.low)
}

func (o *Owner) free(k *keyState) {
	k.releasing = true
	o.releases++
}

// Free marks a parked key as released, before its time. began: it was not. It reports
// false when the key is not parked.
func (o *Owner) Free(key []byte) (parked, began bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keys[keyOf(key)]
	if k == nil {
		return false, false
	}
	if head := o.head(k); head == nil || !head.parked {
		return k.hand != none, false
	}
	if k.releasing || k.hand != none {
		return true, false
	}
	o.free(k)
	k.word = true
	return true, true
}

// Take hands out the lowest record of a key that is released. It reports false when none
// is parked there any more, or that one's time has not come and nobody has asked for the
// key, and the release is over.
func (o *Owner) Take(key []byte, now int64) (e store.Exception, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keys[keyOf(key)]
	if k == nil || !k.releasing {
		return e, false
	}
	head := o.head(k)
	if head == nil || !head.parked || !o.passed(k, head) || !k.word && k.due > now {
		o.ends(k)
		o.soonest = min(o.soonest, k.due)
		return e, false
	}
	k.hand = k.rows[0]
	return head.exception(k.hand), true
}

// ends ends a release.
func (o *Owner) ends(k *keyState) {
	if k.releasing {
		k.releasing, k.word = false, false
		o.releases--
	}
}

// InHand says that a record was handed out by Take, and is not back.
func (o *Owner) InHand(key []byte, offset int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keys[keyOf(key)]
	return k != nil && k.hand == offset
}

// Back takes back what Take has handed out, when its handler has returned. With a failure
// the release is over; so it is when nothing of the key is parked any more.
func (o *Owner) Back(key []byte, offset int64, f *store.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keys[keyOf(key)]
	if k == nil || k.hand != offset {
		return
	}
	k.hand = none
	if f != nil {
		if r, ok := o.exc[offset]; ok && r.parked {
			r.failure = f
			o.exc[offset] = r
		}
		o.ends(k)
		o.schedule(k)
	} else if k.parked == 0 {
		o.ends(k)
	}
	o.forget(k)
}

// Stop ends a release that did not go on. At due it is begun again; 0: when its head says.
func (o *Owner) Stop(key []byte, due int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if k := o.keys[keyOf(key)]; k != nil {
		k.hand = none
		o.ends(k)
		if o.schedule(k); due > 0 {
			k.due = max(k.due, due)
		}
		o.forget(k)
	}
}

// Freed says that nothing of a key stands before what waits in memory: its lowest record
// is not parked, or nothing of it is released.
func (o *Owner) Freed(key []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keys[keyOf(key)]
	if k == nil {
		return true
	}
	head := o.head(k)
	return k.hand == none && (!k.releasing || head == nil || !head.parked)
}

// IsParked says that the lowest record of a key is parked.
func (o *Owner) IsParked(key []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keys[keyOf(key)]
	if k == nil {
		return false
	}
	head := o.head(k)
	return head != nil && head.parked
}

// Counts returns how much is parked.
func (o *Owner) Counts() (keys, records int, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.parkedKeys, o.records, o.bytes
}

// Oldest returns since when the key has failed that was parked first, in milliseconds; 0:
// none. It looks at all keys.
func (o *Owner) Oldest() (at int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.keys {
		if head := o.head(k); head != nil && head.parked && head.failure != nil && (at == 0 || head.failure.First < at) {
			at = head.failure.First
		}
	}
	return at
}
