package effects

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
)

// A Record is what an Owner has to know of one.
type Record struct {
	Offset int64
	Key    []byte // ordering key; nil is a key too
	// Behind: earlier records of its key are not through, whatever the store says.
	Behind bool
	// Payload is what is kept of it when its key is parked; nil: it cannot be.
	Payload func() []byte
	Size    int // of it, about
	// Stays: it does not leave its lane; where it would, the run ends before it.
	Stays bool
}

// A Fate is what the store says of a record.
type Fate uint8

const (
	// Fresh: its effects are to be applied.
	Fresh Fate = iota
	// Applied: they are; there is nothing to do.
	Applied
	// Detached: its key is detached from the lane. It has an exception row, or gets
	// one in the step that takes the lane past it, and is applied with Release,
	// after the lower ones of its key.
	Detached
	// Parked: its key is parked, and so is it, in the step that takes the lane past it: it
	// is settled.
	Parked
	// Kept: it was parked before.
	Kept
)

// A FencedError says that the partition has another owner, as the store knows.
type FencedError struct{ Mine, Theirs int64 }

// Error names both tokens.
func (e *FencedError) Error() string {
	return fmt.Sprintf("effects: the store has token %d, and this owner's is %d: the partition has another owner", e.Theirs, e.Mine)
}

// A DownError says that the database did not answer, or refused every transaction.
type DownError struct{ Err error }

// Error names the cause.
func (e *DownError) Error() string {
	return fmt.Sprintf("effects: the database: %v", e.Err)
}

// Unwrap returns the database's error.
func (e *DownError) Unwrap() error { return e.Err }

// An Owner is one ownership of one partition.
type Owner struct {
	b     store.Backend
	part  store.Part
	token int64
	low   int64

	mu   sync.Mutex
	pos  map[int]int64
	exc  map[int64]row // by offset
	keys map[key]*keyState
	news map[int]uint64 // by lane: how often what is known of it has changed

	rules *parking.Rules
	// Of what is parked: how much, keys that are released, and no key is due before.
	records, parkedKeys, releases int
	bytes, soonest                int64
	notBefore                     int64       // no release on schedule begins; milliseconds
	due                           []*keyState // are to be released, the longest parked first; as looked for last
	looked                        int64       // when that was, in milliseconds
	way                           pending     // what steps that are under way park

	looks atomic.Uint64
}

// Begin takes the partition over in the store. before is the same ownership under its
// token before; nil: there was none. rules say when what is parked is released, and its
// caps.
func Begin(ctx context.Context, b store.Backend, p store.Part, l store.Layout, token, low int64, rules *parking.Rules, before *Owner) (*Owner, error) {
	known := before.positions()
	st, err := b.Begin(ctx, p, l, token, low)
	if err != nil {
		return nil, err
	}
	for lane := range known {
		if err := back(lane, known, &st); err != nil {
			return nil, err
		}
	}
	o := &Owner{b: b, part: p, token: token, low: st.Low, pos: make(map[int]int64), exc: make(map[int64]row, len(st.Exceptions)), keys: make(map[key]*keyState),
		news: make(map[int]uint64), rules: rules, soonest: parking.Waits}
	for _, l := range st.Lanes {
		o.pos[l.Lane] = l.Position
	}
	for _, e := range st.Exceptions {
		o.put(e)
	}
	return o, nil
}

// Start is the offset from which records are needed.
func (o *Owner) Start() int64 { return o.low }

// Fate says what becomes of a record that comes to the head of its lane.
func (o *Owner) Fate(lane int, r Record) Fate {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fate(lane, &r, new(pending))
}

func (o *Owner) fate(lane int, r *Record, p *pending) Fate {
	if e, ok := o.exc[r.Offset]; ok {
		if e.parked {
			return Kept
		}
		return Detached
	}
	if pos, ok := o.pos[lane]; ok && r.Offset < pos {
		return Applied
	}
	if k := o.keys[keyOf(r.Key)]; k != nil {
		if o.follows(k, r, p) {
			p.add(r)
			return Parked
		}
		return Detached
	}
	if r.Behind {
		return Detached
	}
	return Fresh
}

// Exceptions lists the records that a new owner has to see to, lowest offset
// first in each key.
func (o *Owner) Exceptions() []store.Exception {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]store.Exception, 0, len(o.exc))
	for offset, e := range o.exc {
		out = append(out, e.exception(offset))
	}
	return out
}

// Run takes a lane past the records of a run, in one transaction: apply is called
// with the indices of those whose effects are to be applied, and the others are
// noted as what their fate says. It returns the fates. An error that apply returns
// comes back as it is: nothing has happened then. apply may be called more than
// once. It returns how many of them it has applied; with fewer than it was given
// the run ends before the first of the others, and so do the fates. with adds to the step.
func (o *Owner) Run(ctx context.Context, lane int, recs []Record, apply func(ctx context.Context, tx any, fresh []int) (n int, err error), with ...func(*store.Step)) (fates []Fate, err error) {
	err = o.decide(ctx, lane, func(p *pending) (*store.Step, func(context.Context, any) error, func()) {
		fates = fates[:0]
		from, ok := o.pos[lane]
		if !ok {
			from = store.Unknown
		}
		a := &store.Advance{Lane: lane, From: from}
		var fresh []int
		for i := range recs {
			f := o.fate(lane, &recs[i], p)
			if f == Detached && recs[i].Stays {
				break
			}
			if fates = append(fates, f); f == Fresh {
				fresh = append(fresh, i)
			}
		}
		if over(a, recs, fates); a.To == from {
			return nil, nil, nil
		}
		var effects func(context.Context, any) error
		if len(fresh) > 0 {
			if over(a, recs, fates[:fresh[0]+1]); len(a.Detach) > 0 { // not past rows that are not there yet
				a.To, a.Detach = max(from, recs[0].Offset), nil
			}
			effects = func(ctx context.Context, tx any) error {
				n, err := apply(ctx, tx, fresh)
				if err != nil {
					return err
				}
				if n < len(fresh) {
					fates = fates[:fresh[n]]
				}
				if over(a, recs, fates); a.To == from {
					return errNothing
				}
				return nil
			}
		}
		return also(&store.Step{Advance: a}, with), effects, func() { o.advanced(a) }
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return fates, err
}

func also(s *store.Step, with []func(*store.Step)) *store.Step {
	for _, f := range with {
		f(s)
	}
	return s
}

// errNothing: the run has ended before its first record.
var errNothing = errors.New("effects: nothing to apply")

// over makes a step go past as many records as there are fates.
func over(a *store.Advance, recs []Record, fates []Fate) {
	a.To, a.Detach = a.From, nil
	for i, f := range fates {
		r := recs[i]
		if f == Applied || a.From != store.Unknown && r.Offset < a.From {
			continue // below: applied, or an exception already
		}
		a.To = max(a.To, r.Offset+1)
		if f == Fresh || f == Kept { // Kept here: since before a rewind
			continue
		}
		e := store.Exception{Lane: a.Lane, Offset: r.Offset, Key: r.Key}
		if f == Parked {
			e.Payload = r.Payload()
		}
		a.Detach = append(a.Detach, e)
	}
}

// Detach takes a lane past a record that failed: its key's records are applied
// with Release from now on. It reports false when there is nothing to detach: the
// record is applied.
func (o *Owner) Detach(ctx context.Context, lane int, r Record) (detached bool, err error) {
	err = o.decide(ctx, lane, func(*pending) (*store.Step, func(context.Context, any) error, func()) {
		f := o.fate(lane, &r, new(pending))
		_, has := o.exc[r.Offset]
		if detached = f != Applied; f == Applied || has {
			return nil, nil, nil
		}
		from, ok := o.pos[lane]
		if !ok {
			from = store.Unknown
		}
		a := &store.Advance{Lane: lane, From: from, To: r.Offset + 1, Detach: []store.Exception{{Lane: lane, Offset: r.Offset, Key: r.Key}}}
		return &store.Step{Advance: a}, nil, func() { o.advanced(a) }
	})
	return detached, err
}

func (o *Owner) advanced(a *store.Advance) {
	o.pos[a.Lane] = a.To
	for _, e := range a.Detach {
		o.put(e)
	}
}

// Release applies a detached record: the lowest of its key. It reports false when
// it was applied already.
func (o *Owner) Release(ctx context.Context, lane int, r Record, apply func(ctx context.Context, tx any) error, with ...func(*store.Step)) (applied bool, err error) {
	if err := o.detached(ctx, lane, r); err != nil {
		return false, err
	}
	err = o.decide(ctx, lane, func(*pending) (*store.Step, func(context.Context, any) error, func()) {
		e, ok := o.exc[r.Offset]
		if applied = ok; !ok {
			return nil, nil, nil
		}
		return also(&store.Step{Release: &store.Release{Exception: e.exception(r.Offset)}}, with), apply, func() { o.drop(r.Offset) }
	})
	return applied, o.missing(r, err)
}

// Skip goes past a record without its effect, and says why in the store: one that is
// detached, or the next of its lane. Nothing is left to do when it is applied already.
func (o *Owner) Skip(ctx context.Context, lane int, r Record, why store.Audit, with ...func(*store.Step)) error {
	why.Offset, why.Key = r.Offset, r.Key
	return o.decide(ctx, lane, func(*pending) (*store.Step, func(context.Context, any) error, func()) {
		if e, ok := o.exc[r.Offset]; ok {
			return also(&store.Step{Release: &store.Release{Exception: e.exception(r.Offset)}, Audit: &why}, with), nil, func() { o.drop(r.Offset) }
		}
		from, ok := o.pos[lane]
		if !ok {
			from = store.Unknown
		}
		if ok && r.Offset < from {
			return nil, nil, nil
		}
		a := &store.Advance{Lane: lane, From: from, To: r.Offset + 1}
		return also(&store.Step{Advance: a, Audit: &why}, with), nil, func() { o.advanced(a) }
	})
}

// Positions is the highest offset that the store knows of.
func (o *Owner) Positions() (highest int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	highest = o.low
	for _, p := range o.pos {
		highest = max(highest, p)
	}
	return highest
}

// Low tells the store that nothing below the offset is needed from Kafka any more.
// A store that has another owner's token does not move it. One that has lost what it had
// acknowledged must not: what is below would never be read again.
func (o *Owner) Low(ctx context.Context, low int64) error {
	o.mu.Lock()
	known, needed := maps.Clone(o.pos), make(map[int64]bool)
	if len(o.exc) > o.records { // not all are parked; to look at all of those takes long
		for offset, e := range o.exc {
			if offset < low && !e.parked { // compaction has removed it: it holds up its key alone
				needed[offset] = true
			}
		}
	}
	o.mu.Unlock()
	_, err := o.b.Low(ctx, o.part, o.token, low, func(st store.State) error {
		for lane := range known {
			if err := back(lane, known, &st); err != nil {
				return err
			}
		}
		for _, e := range st.Exceptions {
			// From the position on that is known of its lane it is nothing that was
			// acknowledged here: a step of an owner before has landed late, and compaction
			// has removed the record since.
			if !needed[e.Offset] && e.Offset < known[e.Lane] {
				return &LostError{Lane: e.Lane, Known: e.Offset, Have: e.Offset, Row: true}
			}
		}
		return nil
	})
	return o.down(err)
}

// Payload reads a parked record.
func (o *Owner) Payload(ctx context.Context, offset int64) ([]byte, error) {
	b, err := o.b.Payload(ctx, o.part, offset)
	return b, o.down(err)
}

const (
	// tries bounds how often a step is decided anew.
	tries = 20
	// again is how long a step waits that the database chose to lose; it doubles.
	again    = 5 * time.Millisecond
	againMax = 200 * time.Millisecond
	// patience is how long the database may choose a step to lose until that counts as
	// being down: what waits for it is seen then.
	patience = 15 * time.Second
)

// decide carries a step out. what is called with the lock held and says, from what
// is known, what to do (nil: nothing), what that parks and what to note when it is done.
// When the store knows better the lane is read and what is asked again.
func (o *Owner) decide(ctx context.Context, lane int, what func(parks *pending) (*store.Step, func(context.Context, any) error, func())) error {
	wait, began := again, time.Now()
	var last error
	for range tries {
		read, err := o.attempt(ctx, lane, what)
		last = err
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrStale), errors.Is(err, store.ErrUnknown):
			if read != nil {
				return read
			}
		case ctx.Err() == nil && o.b.Classify(err) == store.Again:
			if time.Since(began) > patience {
				return &DownError{err}
			}
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			if wait = min(2*wait, againMax); ctx.Err() != nil {
				return context.Cause(ctx)
			}
		default:
			return o.down(err)
		}
	}
	return &DownError{fmt.Errorf("%s lane %d: a transaction was not committed %d times in a row: %w", o.part, lane, tries, last)}
}

// attempt carries a step out once. read is what became of reading the lane, where the
// outcome made that necessary. What the step parks counts against the caps from its
// decision on until it is noted, or has failed, also by a panic of the handler. One whose
// outcome is not known, and whose lane cannot be read, counts again when that was read.
func (o *Owner) attempt(ctx context.Context, lane int, what func(parks *pending) (*store.Step, func(context.Context, any) error, func())) (read, err error) {
	var parks pending
	o.mu.Lock()
	step, effects, done := what(&parks)
	if step == nil {
		o.mu.Unlock()
		return nil, nil
	}
	o.way.count(&parks, 1)
	o.mu.Unlock()
	ended := func() {}
	defer func() {
		o.mu.Lock()
		o.way.count(&parks, -1)
		ended()
		o.mu.Unlock()
	}()
	step.Part, step.Token = o.part, o.token
	switch err = o.b.Apply(ctx, *step, effects); {
	case err == nil:
		ended = func() {
			done()
			o.news[lane]++
		}
	case errors.Is(err, store.ErrStale), errors.Is(err, store.ErrUnknown):
		read = o.look(ctx, lane)
	}
	return read, err
}

func (o *Owner) down(err error) error {
	if err != nil && o.b.Classify(err) == store.Down {
		return &DownError{err}
	}
	return err
}
