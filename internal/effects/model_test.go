package effects

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
	"pgregory.net/rapid"
)

var (
	part   = store.Part{Group: "g", Handler: "h", Topic: "t", TopicID: [16]byte{1}}
	layout = store.Layout{Lanes: lanes, Hash: 1}
)

const (
	lanes = 2
	keys  = 3
)

// A world is a partition's log, a store, and processes that own the partition one
// after the other: a replaced one goes on as if it did not know.
type world struct {
	t       *rapid.T
	mem     *storetest.Memory
	log     []Record
	gone    map[int64]bool // compaction has removed it: who has not read it never will
	effects map[int64]int
	last    map[string]int64 // by key: the offset of its last effect
	procs   []*proc
	token   int64
	depth   int
	calm    bool
	rules   parking.Rules
}

// A proc is one process with its ownership.
type proc struct {
	w    *world
	name int
	o    *Owner
	next [lanes]int // index into log
	side map[string][]Record
	gone bool
	busy [lanes]bool // with a step of it: one at a time
	keys map[string]bool
	done map[int64]bool // settled, as far as it knows
}

func (w *world) key(offset int64) string { return string(rune('a' + offset*7%keys)) }
func (w *world) lane(offset int64) int   { return int(offset*7%keys) % lanes }

func newWorld(t *rapid.T) *world {
	w := &world{t: t, mem: storetest.NewMemory(), gone: map[int64]bool{}, effects: map[int64]int{}, last: map[string]int64{}}
	n := rapid.Int64Range(2, 14).Draw(t, "records")
	w.rules = parking.DefaultRules()
	w.rules.Join = rapid.IntRange(0, 2).Draw(t, "join")
	w.rules.MaxPerKey = rapid.IntRange(1, 4).Draw(t, "records per key")
	w.rules.MaxKeys = rapid.IntRange(1, 3).Draw(t, "keys")
	for o := range n {
		if o%5 == 4 {
			continue // a gap
		}
		w.log = append(w.log, Record{Offset: o, Key: []byte(w.key(o)), Payload: func() []byte { return []byte(fmt.Sprint(o)) }, Size: 2})
	}
	w.mem.Fault = func(store.Step) (error, bool) {
		if w.calm {
			return nil, false
		}
		switch rapid.IntRange(0, 11).Draw(t, "fault") {
		case 0:
			return store.ErrUnknown, false // it did not happen
		case 1:
			return nil, true // it did
		}
		return nil, false
	}
	return w
}

// take starts a process that owns the partition.
func (w *world) take() *proc {
	w.token++
	o, err := Begin(context.Background(), w.mem, part, layout, w.token, 0, &w.rules, nil)
	if err != nil {
		w.t.Fatalf("begin: %v", err)
	}
	p := &proc{w: w, name: len(w.procs), o: o, side: map[string][]Record{}, keys: map[string]bool{}, done: map[int64]bool{}}
	for lane := range lanes {
		for p.next[lane] < len(w.log) && w.log[p.next[lane]].Offset < o.Start() {
			p.next[lane]++
		}
	}
	// What is parked is in the store; it is not in the log any more for this owner.
	ex := o.Exceptions()
	slices.SortFunc(ex, func(a, b store.Exception) int { return int(a.Offset - b.Offset) })
	for _, e := range ex {
		if e.Parked() {
			payload, err := o.Payload(context.Background(), e.Offset)
			if err != nil || string(payload) != fmt.Sprint(e.Offset) {
				w.t.Fatalf("payload of %d: %q, %v", e.Offset, payload, err)
			}
			p.done[e.Offset] = true
		} else if e.Offset < o.Start() && !w.gone[e.Offset] {
			w.t.Fatalf("offset %d is needed from the log, and reading begins at %d", e.Offset, o.Start())
		}
	}
	w.procs = append(w.procs, p)
	return p
}

func (p *proc) queue(r Record) {
	q := p.side[string(r.Key)]
	if slices.ContainsFunc(q, func(x Record) bool { return x.Offset == r.Offset }) {
		return
	}
	q = append(q, r)
	slices.SortFunc(q, func(a, b Record) int { return int(a.Offset - b.Offset) })
	p.side[string(r.Key)] = q
}

// applied is the effect of a record, in the transaction.
func (w *world) applied(tx any, r Record) {
	tx.(*storetest.MemoryTx).Do(func() {
		k := string(r.Key)
		if w.effects[r.Offset]++; w.effects[r.Offset] > 1 {
			w.t.Fatalf("offset %d had its effect twice", r.Offset)
		}
		if last, ok := w.last[k]; ok && last > r.Offset {
			w.t.Fatalf("key %s: offset %d after %d", k, r.Offset, last)
		}
		w.last[k] = r.Offset
	})
}

// meanwhile lets others act in the middle of a transaction.
func (w *world) meanwhile() {
	if w.calm || w.depth > 1 || rapid.IntRange(0, 2).Draw(w.t, "meanwhile") > 0 {
		return
	}
	w.depth++
	w.act()
	w.depth--
}

var errHandler = errors.New("the handler failed")

func (w *world) fails() bool {
	return !w.calm && rapid.IntRange(0, 3).Draw(w.t, "fails") == 0
}

// act takes one step of any process.
func (w *world) act() {
	if len(w.procs) == 0 || rapid.IntRange(0, 9).Draw(w.t, "new owner") == 0 {
		w.take()
		return
	}
	p := w.procs[rapid.IntRange(0, len(w.procs)-1).Draw(w.t, "process")]
	if p.gone {
		return
	}
	switch rapid.IntRange(0, 7).Draw(w.t, "what") {
	case 0, 1, 2:
		p.run(rapid.IntRange(0, lanes-1).Draw(w.t, "lane"), rapid.IntRange(1, 3).Draw(w.t, "length"))
	case 3, 4:
		p.release(w.key(rapid.Int64Range(0, keys-1).Draw(w.t, "key")))
	case 5:
		p.low()
	case 6:
		p.renew()
	case 7:
		if r := rapid.SampledFrom(w.log).Draw(w.t, "compacted"); rapid.IntRange(0, 3).Draw(w.t, "compaction") == 0 {
			w.gone[r.Offset] = true
		}
	}
}

// renew takes the partition again under a new token, as after a doubt.
func (p *proc) renew() {
	if p != p.w.procs[len(p.w.procs)-1] {
		return
	}
	p.w.token++
	o, err := Begin(context.Background(), p.w.mem, part, layout, p.w.token, 0, &p.w.rules, p.o)
	if err != nil {
		p.w.t.Fatalf("begin again: %v", err)
	}
	p.o = o
}

// over takes in an error that ends or pauses the process's step.
func (p *proc) over(err error) bool {
	if err == nil {
		return false
	}
	var fenced *FencedError
	var missing *MissingError
	if errors.As(err, &missing) && p.w.gone[missing.Offset] {
		return true
	}
	if errors.As(err, &fenced) {
		if fenced.Mine != p.o.token { // it was renewed meanwhile
			return true
		}
		if p == p.w.procs[len(p.w.procs)-1] {
			p.w.t.Fatalf("the newest owner was fenced: %v", err)
		}
		p.gone = true
		return true
	}
	if errors.Is(err, errHandler) {
		return true
	}
	p.w.t.Fatalf("process %d: %v", p.name, err)
	return true
}

// run takes the next records of a lane.
func (p *proc) run(lane, length int) {
	if p.busy[lane] {
		return
	}
	var recs []Record
	var at []int // in the log
	i := p.next[lane]
	for ; i < len(p.w.log) && len(recs) < length; i++ {
		if r := p.w.log[i]; p.w.lane(r.Offset) == lane && !p.w.gone[r.Offset] {
			recs, at = append(recs, r), append(at, i)
		}
	}
	if len(recs) == 0 {
		p.next[lane] = i
		return
	}
	p.busy[lane] = true
	defer func() { p.busy[lane] = false }()
	// What a handler may touch: keys that no release of this process has in hand.
	for _, r := range recs {
		if p.keys[string(r.Key)] {
			return
		}
	}
	for _, r := range recs {
		p.keys[string(r.Key)] = true
		defer delete(p.keys, string(r.Key))
	}
	fates, err := p.o.Run(context.Background(), lane, recs, func(_ context.Context, tx any, fresh []int) (int, error) {
		n := len(fresh)
		if !p.w.calm && rapid.IntRange(0, 4).Draw(p.w.t, "ends early") == 0 {
			n = rapid.IntRange(0, n).Draw(p.w.t, "after")
		}
		for _, j := range fresh[:n] {
			if p.w.fails() {
				return 0, errHandler
			}
			p.w.applied(tx, recs[j])
		}
		p.w.meanwhile()
		return n, nil
	})
	if errors.Is(err, errHandler) && len(recs) == 1 {
		// It alone: its key is detached.
		detached, err := p.o.Detach(context.Background(), lane, recs[0])
		if p.over(err) {
			return
		}
		if detached {
			p.queue(recs[0])
		} else {
			p.done[recs[0].Offset] = true
		}
		p.next[lane] = i
		return
	}
	if p.over(err) {
		return // redone
	}
	for j, f := range fates {
		switch f {
		case Detached:
			p.queue(recs[j])
		default:
			p.done[recs[j].Offset] = true
		}
	}
	if len(fates) < len(recs) {
		i = at[len(fates)]
	}
	p.next[lane] = i
}

// release takes a step with a key that has left its lane: it applies the lowest parked
// record, or does with the first of the queue whose turn it is.
func (p *proc) release(k string) {
	if p.keys[k] {
		return
	}
	p.keys[k] = true
	defer delete(p.keys, k)
	ctx := context.Background()
	if p.w.calm || rapid.IntRange(0, 2).Draw(p.w.t, "free") == 0 {
		p.o.Free([]byte(k))
	}
	if e, ok := p.o.Take([]byte(k), 0); ok {
		err := p.apply(Record{Offset: e.Offset, Key: e.Key})
		if errors.Is(err, errHandler) {
			f := store.Failure{Cause: "again", First: 1, Last: 2, Releases: e.Failure.Releases + 1}
			err = p.o.Tried(ctx, e.Offset, f)
			p.o.Back([]byte(k), e.Offset, &f)
		} else if err == nil {
			p.o.Back([]byte(k), e.Offset, nil)
		}
		p.over(err)
		return
	}
	q := p.side[k]
	if len(q) == 0 {
		return
	}
	r, lane := q[0], p.w.lane(q[0].Offset)
	switch p.o.Turn(r) {
	case Wait, Full:
		return
	case Follow:
		n, err := p.o.ParkBehind(ctx, lane, q[:rapid.IntRange(1, len(q)).Draw(p.w.t, "follow")])
		if p.over(err) {
			return
		}
		for _, r := range q[:n] {
			p.done[r.Offset] = true
		}
		p.side[k] = q[n:]
		return
	case Settled:
	case Handle:
		err := p.apply(r)
		if errors.Is(err, errHandler) && rapid.IntRange(0, 1).Draw(p.w.t, "park") == 0 {
			err = p.o.ParkHead(ctx, lane, r, store.Failure{Cause: "no", First: 1, Last: 1}, nil)
		}
		if full := (*FullError)(nil); errors.As(err, &full) || p.over(err) {
			return
		}
	}
	p.done[r.Offset] = true
	p.side[k] = p.side[k][1:]
}

// apply has the effect of a detached record.
func (p *proc) apply(r Record) error {
	_, err := p.o.Release(context.Background(), p.w.lane(r.Offset), r, func(_ context.Context, tx any) error {
		if p.w.fails() {
			return errHandler
		}
		p.w.applied(tx, r)
		p.w.meanwhile()
		return nil
	})
	return err
}

// low tells the store what is settled.
func (p *proc) low() {
	low := int64(0)
	for i, r := range p.w.log {
		unread := p.w.gone[r.Offset] && i >= p.next[p.w.lane(r.Offset)]
		if r.Offset >= p.o.Start() && !p.done[r.Offset] && !unread {
			break
		}
		low = r.Offset + 1
	}
	if err := p.o.Low(context.Background(), low); err != nil {
		p.w.t.Fatal(err)
	}
}

// finish lets one more owner do all that is left.
func (w *world) finish() {
	w.calm = true
	p := w.take()
	for range 20 * len(w.log) {
		for lane := range lanes {
			p.run(lane, 2)
		}
		for k := range int64(keys) {
			p.release(w.key(k))
		}
		p.low()
	}
	held := make(map[string]bool) // by a record that is gone
	for o := range w.gone {
		held[w.key(o)] = true
	}
	for _, r := range w.log {
		if w.effects[r.Offset] != 1 && !held[string(r.Key)] {
			w.t.Fatalf("offset %d had its effect %d times; start %d, done %v, side %v", r.Offset, w.effects[r.Offset], p.o.Start(), p.done, p.side)
		}
	}
}

// Whatever owners do at the same time, and whatever they are not told, each effect
// happens once, those of a key in order, and none is left.
func TestModel(t *testing.T) {
	runs := 1
	if os.Getenv("ORDERLY_SOAK") == "1" {
		runs = 200
	}
	for range runs {
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			for range rapid.IntRange(1, 60).Draw(t, "steps") {
				w.act()
			}
			w.finish()
		})
	}
}
