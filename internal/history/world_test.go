package history

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// world is a group that keeps the contract, whatever befalls it: what it writes
// down must have no violation. It shares no code with the checker.
type world struct {
	t       *rapid.T
	events  []Event
	parts   []*wPart
	living  []*wMember
	zombies []*wTenure // superseded while frozen, not aware of it
	calls   []*wCall
	born    int
}

type wPart struct {
	id        int32
	log       []*wRec
	next      int64
	token     int64
	committed int64
	ahead     []int64
	owner     *wTenure
}

type wRec struct {
	offset                 int64
	key                    Key
	done, parked, resolved bool
}

type wMember struct {
	name   string
	frozen bool
}

type wTenure struct {
	member *wMember
	part   *wPart
	token  int64
	done   map[*wRec]bool // what this owner knows to be done
	tries  int
	out    bool
}

type wCall struct {
	ten     *wTenure
	rec     *wRec
	token   int64
	attempt int
}

func (w *world) emit(e Event) { w.events = append(w.events, e) }

func (w *world) draw(what string, below int) int {
	return rapid.IntRange(0, below-1).Draw(w.t, what)
}

func (w *world) coin(what string) bool { return rapid.Bool().Draw(w.t, what) }

func (w *world) place(kind Kind, ten *wTenure) Event {
	return Event{Kind: kind, Member: ten.member.name, Topic: topic, Partition: ten.part.id, Token: ten.token}
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t}
	for i := range 1 + w.draw("partitions", 3) {
		w.parts = append(w.parts, &wPart{id: int32(i)})
	}
	for range 1 + w.draw("members", 3) {
		w.birth()
	}
	w.record(w.parts[0], neverSettled)
	w.record(w.parts[0], neverSettled)
	for _, p := range w.parts {
		w.give(p, nil)
	}
	return w
}

func (w *world) birth() *wMember {
	w.born++
	m := &wMember{name: fmt.Sprintf("m%d", w.born)}
	w.living = append(w.living, m)
	return m
}

func (w *world) record(p *wPart, key Key) {
	p.next += int64(w.draw("gap", 3)) // gaps are normal
	p.log = append(p.log, &wRec{offset: p.next, key: key})
	w.emit(Event{Kind: Log, Topic: topic, Partition: p.id, Offset: p.next, Key: key})
	p.next++
}

// give makes a member that can act the owner, not the one named.
func (w *world) give(p *wPart, not *wMember) {
	var can []*wMember
	for _, m := range w.living {
		if !m.frozen && m != not {
			can = append(can, m)
		}
	}
	if len(can) == 0 {
		can = append(can, w.birth())
	}
	m := can[w.draw("owner", len(can))]
	w.zombies = slices.DeleteFunc(w.zombies, func(z *wTenure) bool { return z.member == m && z.part == p })
	p.token += 1 + int64(w.draw("token step", 3))
	ten := &wTenure{member: m, part: p, token: p.token, done: map[*wRec]bool{}}
	for _, r := range p.log {
		covered := r.offset < p.committed || slices.Contains(p.ahead, r.offset)
		if r.parked {
			covered = r.resolved
		}
		if r.done && covered {
			ten.done[r] = true
		}
	}
	p.owner = ten
	w.emit(w.place(Own, ten))
}

// nextOf gives the record that the owner may hand over for a key, or nil.
func (w *world) nextOf(ten *wTenure, key Key) *wRec {
	for _, c := range w.calls {
		// One process never overlaps, also with what it was revoked from.
		if c.ten.member == ten.member && c.ten.part == ten.part && c.rec.key == key {
			return nil
		}
	}
	for _, r := range ten.part.log {
		if r.key == key && !ten.done[r] {
			return r
		}
	}
	return nil
}

func (w *world) start(ten *wTenure, key Key) {
	r := w.nextOf(ten, key)
	if r == nil {
		return
	}
	ten.tries++
	w.calls = append(w.calls, &wCall{ten, r, ten.token, ten.tries})
	e := w.place(Start, ten)
	e.Offset, e.Key, e.Attempt = r.offset, r.key, ten.tries
	w.emit(e)
}

func (w *world) end(c *wCall, ok, cancelled bool) {
	w.calls = slices.DeleteFunc(w.calls, func(o *wCall) bool { return o == c })
	e := w.place(End, c.ten)
	e.Offset, e.Token, e.Attempt, e.OK, e.Cancelled = c.rec.offset, c.token, c.attempt, ok, cancelled
	w.emit(e)
	if ok && !cancelled {
		c.rec.done = true
		c.ten.done[c.rec] = true
	}
}

func (w *world) commit(p *wPart) {
	settled := func(r *wRec) bool { return p.owner.done[r] || r.parked }
	i := 0
	for i < len(p.log) && settled(p.log[i]) {
		i++
	}
	at, ahead := p.next, []int64(nil)
	if i < len(p.log) {
		at = p.log[i].offset
	}
	if w.coin("done ahead") {
		blocked := map[Key]bool{}
		for _, r := range p.log[i:] {
			if settled(r) && !blocked[r.key] {
				ahead = append(ahead, r.offset)
			} else {
				blocked[r.key] = true // closed per key
			}
		}
	}
	p.committed, p.ahead = at, ahead
	e := w.place(Commit, p.owner)
	e.Offset, e.Ahead = at, ahead
	w.emit(e)
}

// settle parks or skips the head of a key, or resolves it when it was parked.
func (w *world) settle(ten *wTenure, key Key) {
	for _, r := range ten.part.log {
		if r.key == key && r.parked && ten.done[r] && !r.resolved {
			r.resolved = true
			e := w.place(Done, ten)
			e.Offset, e.Why = r.offset, "resolved"
			w.emit(e)
			return
		}
	}
	r := w.nextOf(ten, key)
	if r == nil || r.done || key == neverSettled {
		return
	}
	e := w.place(Park, ten)
	e.Offset, e.Why = r.offset, "policy"
	if w.coin("park") {
		r.parked = true
	} else {
		e.Kind = Done
		r.done, r.resolved, ten.done[r] = true, true, true
	}
	w.emit(e)
}

func (w *world) release(p *wPart) {
	for _, c := range slices.Clone(w.calls) {
		if c.ten == p.owner {
			w.end(c, w.coin("ok"), w.coin("cancelled"))
		}
	}
	if w.coin("commit at release") {
		w.commit(p)
	}
	w.emit(w.place(Release, p.owner))
	w.give(p, nil)
}

func (w *world) kill(m *wMember) {
	w.living = slices.DeleteFunc(w.living, func(o *wMember) bool { return o == m })
	w.zombies = slices.DeleteFunc(w.zombies, func(z *wTenure) bool { return z.member == m })
	w.calls = slices.DeleteFunc(w.calls, func(c *wCall) bool { return c.ten.member == m })
	w.emit(Event{Kind: Kill, Member: m.name})
	for _, p := range w.parts {
		if p.owner.member == m {
			w.give(p, m)
		}
	}
}

func (w *world) freeze(m *wMember) {
	m.frozen = true
	w.emit(Event{Kind: Freeze, Member: m.name})
	for _, p := range w.parts {
		if p.owner.member == m && w.coin("superseded") {
			p.owner.out = true
			w.zombies = append(w.zombies, p.owner)
			w.give(p, m)
		}
	}
}

func (w *world) thaw(m *wMember) {
	m.frozen = false
	w.emit(Event{Kind: Thaw, Member: m.name})
}

// aware lets a zombie learn that it lost its partition.
func (w *world) aware(z *wTenure) {
	w.zombies = slices.DeleteFunc(w.zombies, func(o *wTenure) bool { return o == z })
	w.emit(w.place(Lost, z))
}

// neverSettled is a key of which each record is handled, so that no world is
// vacuous.
var neverSettled = StringKey("z")

var worldKeys = []Key{StringKey("a"), StringKey("b"), StringKey(""), {}, neverSettled}

func (w *world) step() {
	p := w.parts[w.draw("partition", len(w.parts))]
	m := w.living[w.draw("member", len(w.living))]
	key := worldKeys[w.draw("key", len(worldKeys))]
	switch n := w.draw("step", 40); {
	case n < 8:
		w.record(p, key)
	case n < 18:
		w.start(p.owner, key)
	case n < 20 && len(w.zombies) > 0:
		w.start(w.zombies[w.draw("zombie", len(w.zombies))], key)
	case n < 30 && len(w.calls) > 0:
		c := w.calls[w.draw("call", len(w.calls))]
		w.end(c, w.draw("ok", 4) > 0, w.draw("cancelled", 5) == 0)
	case n < 32:
		w.commit(p)
	case n == 32:
		w.settle(p.owner, key)
	case n == 33 && !p.owner.member.frozen:
		w.release(p)
	case n == 34 && !p.owner.member.frozen: // a new token for a kept partition
		p.token++
		p.owner.token = p.token
		w.emit(w.place(Own, p.owner))
	case n == 35:
		lost := p.owner
		w.emit(w.place(Lost, lost))
		w.give(p, lost.member)
	case n == 36:
		w.kill(m)
	case n == 37 && !m.frozen:
		w.freeze(m)
	case n == 38 && m.frozen:
		w.thaw(m)
	case n == 39 && len(w.zombies) > 0:
		w.aware(w.zombies[0])
	}
}

// finish lets the group handle everything.
func (w *world) finish() {
	for _, m := range w.living {
		if m.frozen {
			w.thaw(m)
		}
	}
	for len(w.zombies) > 0 {
		w.aware(w.zombies[0])
	}
	w.release(w.parts[0]) // so that each world has a handover
	for len(w.calls) > 0 {
		w.end(w.calls[0], true, false)
	}
	for _, p := range w.parts {
		for _, key := range worldKeys {
			for w.nextOf(p.owner, key) != nil {
				w.start(p.owner, key)
				w.end(w.calls[0], true, false)
			}
		}
		w.commit(p)
	}
}

func clean(t *rapid.T) []Event {
	w := newWorld(t)
	for range rapid.IntRange(0, 120).Draw(t, "steps") {
		w.step()
	}
	w.finish()
	return w.events
}
