package history

import (
	"fmt"
	"slices"
	"strings"
)

// handler is one that runs.
type handler struct {
	call   call
	n      int64 // of its start
	life   int
	batch  int64
	tenure *tenure
	seq    *sequence // nil for a record that is not in the log
	older  *handler  // another one with the same call, which only a violation brings
}

// call tells handlers apart: a start and its end agree in it.
type call struct {
	member  *member
	part    *partition
	offset  int64
	token   int64
	attempt int
}

// dead says that its process was killed.
func (h *handler) dead() bool { return h.life != h.call.member.life }

func (h *handler) sameCall(o *handler) bool {
	return h.batch != 0 && h.batch == o.batch && h.call.member == o.call.member && h.life == o.life
}

func (c *Checker) start(e *Event) {
	c.rep.Attempts++
	m, p := c.member(e.Member), c.partition(e.Topic, e.Partition)
	h := &handler{
		call: call{m, p, e.Offset, e.Token, e.Attempt},
		n:    e.N, life: m.life, batch: e.Batch,
		tenure: c.tenure(e, m, p),
	}
	r := p.find(e.Offset)
	if h.seq = c.lookup(e, p, r); h.seq != nil {
		overlapped := c.overlap(e, h)
		c.sequenceRules(e, h, r, overlapped)
		h.seq.open = append(h.seq.open, h)
	}
	h.older = c.running[h.call]
	c.running[h.call] = h
}

// lookup gives the sequence of the record that e names, or nil when the log
// does not hold it. A wrong key is reported, and the log's key is taken.
func (c *Checker) lookup(e *Event, p *partition, r *record) *sequence {
	switch {
	case r != nil && r.key != e.Key:
		c.blame(Unknown, e, []int64{r.logged}, "%s: %s of %s has key %s, which is not the record's",
			r.name(p), e.Kind, e.Member, e.Key)
		return r.seq
	case r != nil:
		return r.seq
	case e.Offset < p.below:
		// Forgotten: known to be done, if it exists.
		if _, known := p.keys[e.Key]; known {
			return c.sequence(p, e.Key)
		}
	}
	c.blame(Unknown, e, nil, "%s: %s of %s, but the log holds no such record", recordName(p, e.Offset, e.Key), e.Kind, e.Member)
	return nil
}

// overlap judges a start against the handlers that run in its sequence, and
// says whether it broke the rule.
func (c *Checker) overlap(e *Event, h *handler) bool {
	var events []int64
	var with []string
	excused := false
	h.seq.open = slices.DeleteFunc(h.seq.open, func(o *handler) bool {
		switch {
		case o.sameCall(h):
		case o.dead():
			// It is gone with its process, and counted once.
			excused = true
			c.drop(o)
			return true
		case o.call.member != h.call.member && excusedPair(h, o):
			excused = true
		default:
			events = append(events, o.n)
			with = append(with, fmt.Sprintf("offset %d at %s since event %d", o.call.offset, o.call.member.name, o.n))
		}
		return false
	})
	if excused {
		c.rep.ExcusedOverlaps++
	}
	if len(events) == 0 {
		return false
	}
	c.blame(Overlap, e, events, "%s began at %s while its sequence is with a handler already: %s; no one's absence excuses it",
		recordName(h.call.part, e.Offset, e.Key), h.call.member.name, strings.Join(with, ", "))
	return true
}

// excusedPair says whether handlers of two members may run together: when the
// one whose ownership is older could not take part in handing it over.
func excusedPair(a, b *handler) bool {
	older := a
	if b.tenure.order < a.tenure.order {
		older = b
	}
	if older.call.member.frozen {
		older.tenure.out = true // also when it thaws
	}
	return older.tenure.out
}

// sequenceRules judges a start by what is done in its sequence. r is nil for a
// record that was forgotten, which is done.
func (c *Checker) sequenceRules(e *Event, h *handler, r *record, overlapped bool) {
	p, s, t := h.call.part, h.seq, h.tenure
	done := r == nil || r.done
	k := s.mark(t)
	name := recordName(p, e.Offset, e.Key)
	switch {
	case done && t.did(r, k, e.Offset):
		c.blame(Duplicate, e, doneEvents(r), "%s began again at %s, which had done it under the same ownership (token %d)", name, t.member.name, t.token)
	case done && t.covers(r, e.Offset):
		c.blame(Duplicate, e, append(doneEvents(r), nonZero(t.coveredN, t.ownN)...),
			"%s began again at %s: it was done, and the commit of offset %d covered it before this ownership (token %d) began",
			name, t.member.name, t.covered, t.token)
	case k != nil && e.Offset < k.high:
		c.blame(Order, e, nonZero(k.highN), "%s began at %s after the later offset %d of its sequence, under the same ownership (token %d)",
			name, t.member.name, k.high, t.token)
	default:
		if done {
			c.rep.Redelivered++
		}
		if !overlapped {
			c.predecessor(e, h, r, k)
		}
	}
	if k == nil {
		k = s.newMark(t, e.Offset)
	}
	// Also when it went back: what follows is judged from there, so that one
	// cause gives one violation.
	k.high, k.highN, k.failed = e.Offset, e.N, false
}

// predecessor judges whether the record before was done when h began.
func (c *Checker) predecessor(e *Event, h *handler, r *record, k *mark) {
	p := h.call.part
	if k != nil && k.failed && e.Offset > k.high {
		c.blame(Order, e, nonZero(k.highN), "%s began at %s although offset %d before it had failed there, under the same ownership (token %d), and was not done since",
			recordName(p, e.Offset, e.Key), h.call.member.name, k.high, h.tenure.token)
		return
	}
	if r == nil || r.done {
		return
	}
	before := p.undone(r.prev)
	if before == nil || slices.ContainsFunc(h.seq.open, func(o *handler) bool { return o.call.offset == before.offset && o.sameCall(h) }) {
		return
	}
	c.blame(Order, e, []int64{before.logged}, "%s began at %s although offset %d before it is not done",
		r.name(p), h.call.member.name, before.offset)
}

// undone gives the record at the offset when it exists and is not done.
func (p *partition) undone(offset int64) *record {
	if r := p.find(offset); offset >= 0 && r != nil && !r.done {
		return r
	}
	return nil
}

// did says whether the ownership has done the record, which someone has.
func (t *tenure) did(r *record, k *mark, offset int64) bool {
	switch {
	case r != nil && r.by == t:
		return true
	case k == nil:
		return false
	case r == nil: // forgotten: what it passed, it did
		return k.first <= offset && offset <= k.done
	}
	return k.done == offset // another member did it again since
}

func doneEvents(r *record) []int64 {
	if r == nil {
		return nil
	}
	return nonZero(r.doneN)
}

func (c *Checker) end(e *Event) {
	m, p := c.member(e.Member), c.partition(e.Topic, e.Partition)
	h := c.running[call{m, p, e.Offset, e.Token, e.Attempt}]
	if h == nil {
		if m.life == 0 { // a process may be cut down between its start and its recording
			c.blame(Malformed, e, nil, "%s/%d offset %d: a handler of %s (token %d, attempt %d) ended that never began",
				e.Topic, e.Partition, e.Offset, e.Member, e.Token, e.Attempt)
		}
		return
	}
	c.drop(h)
	if h.seq == nil {
		return
	}
	h.seq.open = slices.DeleteFunc(h.seq.open, func(o *handler) bool { return o == h })
	if h.dead() {
		return // nobody got the result
	}
	k := h.seq.mark(h.tenure)
	if !e.OK || e.Cancelled {
		if k != nil && e.Offset <= k.high {
			k.high, k.failed = e.Offset, true
		}
		return
	}
	if k != nil {
		k.doneAt(e.Offset)
	}
	r := p.find(e.Offset)
	if r == nil {
		return
	}
	// Only inside a batch can a record end while the one before it is not done.
	if before := p.undone(r.prev); before != nil && h.batch != 0 && !r.done {
		c.blame(Order, e, []int64{h.n, before.logged}, "%s ended well in a batch of %s in which offset %d before it did not",
			r.name(p), m.name, before.offset)
	}
	if !r.well {
		r.well = true
		c.rep.Handled++
		if h.seq.handled++; h.seq.handled == 2 {
			c.rep.CheckedSequences++
		}
	}
	r.done, r.by, r.doneN = true, h.tenure, e.N
}

func (k *mark) doneAt(offset int64) {
	k.done = max(k.done, offset)
	if offset == k.high {
		k.failed = false
	}
}

// drop takes a handler out of those that run.
func (c *Checker) drop(h *handler) {
	top := c.running[h.call]
	if top == h {
		if h.older == nil {
			delete(c.running, h.call)
		} else {
			c.running[h.call] = h.older
		}
		return
	}
	for ; top != nil; top = top.older {
		if top.older == h {
			top.older = h.older
			return
		}
	}
}
