package history

import "fmt"

// The half of the checker that judges the application's path: what members were
// given (poll) and finished (did), against what the reader of the log found.

// appPart is one partition on the application's path.
type appPart struct {
	holds  map[string]*hold // by member: its last one, also when it is over
	newest *hold
	order  int64
	polled spans
	did    spans
	ahead  spans  // polled before the reader of the log came there
	jumps  []jump // that the reader of the log has yet to judge
}

// hold is one assignment of a partition to a member.
type hold struct {
	member   string
	order    int64
	explicit bool // the history tells assignments
	begun    int64
	last     int64 // offset polled last, -1 without one
	lastN    int64
	covered  int64 // the committed offset when it began
	out      bool  // it could not take part in the handover
	dual     bool  // reported
	given    spans // offsets that were polled
	before   *hold // the member's own before this one
}

// under gives the assignment under which a member was given an offset last: h, or
// one before it whose handler outlived it. What is finished counts there.
func (h *hold) under(offset int64) *hold {
	for x := h; x != nil; x = x.before {
		if x.given.has(offset) {
			return x
		}
	}
	return h
}

// jump is a step of a member over offsets that may hold records.
type jump struct {
	member     string
	from, to   int64 // both were polled
	fromN, toN int64
	pollTo     Record
}

const maxJumps = 1 << 12

// didMark is how far processing of a key has come in one partition.
type didMark struct {
	part   int32
	offset int64
	n      int64
	hold   *hold
}

func (c *Checker) appPart(e *Event) (*logPart, *appPart) {
	p := c.logPart(e.Topic, e.Partition)
	if p.app == nil {
		p.app = &appPart{holds: map[string]*hold{}}
	}
	return p, p.app
}

func (c *Checker) assign(e *Event) {
	p, a := c.appPart(e)
	// Whoever is frozen now has missed this handover, also when it thaws.
	for name, h := range a.holds {
		h.out = h.out || c.member(name).frozen
	}
	before := a.holds[e.Member]
	h := a.hold(e.Member, c.committed(p.at))
	h.explicit, h.before = true, before
	if before != nil && before.before != nil {
		before.before.before = nil // handlers do not live for ever
	}
}

func (a *appPart) hold(member string, committed int64) *hold {
	a.order++
	h := &hold{member: member, order: a.order, last: -1, covered: committed}
	a.holds[member], a.newest = h, h
	return h
}

// committed is the committed offset of a partition, -1 without one.
func (c *Checker) committed(at place) int64 {
	if p := c.parts[at]; p != nil {
		return p.committed
	}
	return -1
}

func (c *Checker) revoke(e *Event) {
	c.appPart(e) // what it is given or finishes until another one begins harms nobody
}

// holder gives the assignment under which a member acts, and judges it. In a
// history without assignments, whoever acts has the partition.
func (c *Checker) holder(e *Event, p *logPart, a *appPart) *hold {
	h := a.holds[e.Member]
	told := a.newest != nil && a.newest.explicit
	if h == nil {
		if told {
			// It was never assigned, and acts all the same.
			h = &hold{member: e.Member, last: -1, explicit: true, covered: -1}
			a.holds[e.Member] = h
		} else {
			h = a.hold(e.Member, c.committed(p.at))
		}
	}
	switch {
	case h == a.newest:
		if h.begun == 0 {
			h.begun = e.N
		}
	case !told:
		h = a.hold(e.Member, c.committed(p.at))
		h.begun = e.N
	case a.newest.begun == 0 || h.dual:
	case h.out && !c.opt.BlameFrozen:
		h.dual = true
		c.rep.ExcusedOverlaps++
	default:
		h.dual = true // once for each assignment
		c.found(DualOwner, e, []int64{a.newest.begun}, []Record{e.record()},
			"%s is with %s, but %s had begun with the partition at event %d", e.name(), e.Member, a.newest.member, a.newest.begun)
	}
	return h
}

func (c *Checker) poll(e *Event) {
	c.rep.Polls++
	p, a := c.appPart(e)
	h := c.holder(e, p, a)
	c.observe(p, e)
	if h.last >= 0 && e.Offset <= h.last {
		c.found(NonmonotonicPoll, e, []int64{h.lastN}, []Record{e.record(), {Topic: e.Topic, Partition: e.Partition, Offset: h.last}},
			"%s was given to %s after offset %d, under one assignment", e.name(), e.Member, h.last)
	} else if h.last >= 0 && e.Offset > h.last+1 && !c.opt.Compacted {
		c.jump(p, jump{member: e.Member, from: h.last, to: e.Offset, fromN: h.lastN, toN: e.N, pollTo: e.record()})
	}
	h.last, h.lastN = e.Offset, e.N
	h.given.add(e.Offset)
	if len(h.given) > 2*maxPartGaps {
		h.given.shrink(maxPartGaps)
	}
	if !c.opt.Compacted { // the log may have lost what it held when this was read
		c.committedRead(p, a, e)
	}
	a.polled.add(e.Offset)
	c.boundPart(p)
}

// committedRead judges whether what was given stands in the committed log.
func (c *Checker) committedRead(p *logPart, a *appPart, e *Event) {
	if e.Number != 0 {
		if s := c.keyState(e).stream(e); s.failed.has(e.Number) && !s.read.has(e.Number) {
			c.found(AbortedRead, e, nil, []Record{e.record()}, "%s was given to %s, but its write failed for sure", e.name(), e.Member)
			a.polled.add(e.Offset)
			return
		}
	}
	switch {
	case a.polled.has(e.Offset): // judged before
	case e.Offset > p.readTop:
		a.ahead.add(e.Offset)
	case !p.read.has(e.Offset) && e.Offset >= p.sure:
		c.found(AbortedRead, e, nil, []Record{e.record()}, "%s was given to %s, but the committed log holds no record at this offset", e.name(), e.Member)
	}
}

// jump judges a step over offsets: only records that are there were skipped.
func (c *Checker) jump(p *logPart, j jump) {
	if x, ok := p.read.within(max(j.from+1, p.sure), j.to-1); ok {
		c.skipped(p, j, Record{Topic: p.at.topic, Partition: p.at.id, Offset: x})
		return
	}
	if p.readTop >= j.to-1 {
		return
	}
	if len(p.app.jumps) == maxJumps {
		c.rep.Uncompared++
		return
	}
	p.app.jumps = append(p.app.jumps, j)
}

// jumped judges the steps that waited for the reader of the log.
func (c *Checker) jumped(p *logPart, e *Event) {
	if p.app == nil || len(p.app.jumps) == 0 {
		return
	}
	kept := p.app.jumps[:0]
	for _, j := range p.app.jumps {
		switch {
		case e.Offset >= j.to:
		case e.Offset <= j.from:
			kept = append(kept, j)
		default:
			c.skipped(p, j, e.record())
		}
	}
	p.app.jumps = kept
}

func (c *Checker) skipped(p *logPart, j jump, r Record) {
	e := Event{N: j.toN, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key}
	v := Violation{Rule: "C06"}
	c.foundAs(v, PollSkip, &e, []int64{j.fromN}, []Record{r, {Topic: r.Topic, Partition: r.Partition, Offset: j.from}, j.pollTo},
		"%s/%d offset %d was skipped: %s went from offset %d to %d under one assignment", r.Topic, r.Partition, r.Offset, j.member, j.from, j.to)
	// Said once: it is not missed again at the end.
	p.app.polled.addRange(j.from+1, j.to-1)
	p.app.did.addRange(j.from+1, j.to-1)
}

func (c *Checker) finished(e *Event) {
	c.rep.Dids++
	p, a := c.appPart(e)
	h := c.holder(e, p, a)
	c.observe(p, e)
	first := !a.did.has(e.Offset)
	a.did.add(e.Offset)
	c.boundPart(p)
	if e.Cancelled {
		c.rep.GivenUp++
		return
	}
	k := c.keyState(e)
	under := h.under(e.Offset)
	now := didMark{e.Partition, e.Offset, e.N, under}
	if k.did == nil {
		k.did = new(didMark)
	}
	last := *k.did
	*k.did = now
	if last.hold == nil || last.part != e.Partition {
		return
	}
	c.see(k)
	later := Record{Topic: e.Topic, Partition: e.Partition, Offset: last.offset, Key: e.Key}
	switch {
	case e.Offset > last.offset:
	case first:
		c.found(EffectReorder, e, []int64{last.n}, []Record{e.record(), later},
			"%s was finished by %s after offset %d of its key", e.name(), e.Member, last.offset)
	case under == last.hold && e.Offset == last.offset:
		c.found(Duplicate, e, []int64{last.n}, []Record{e.record()}, "%s was finished again by %s, under the same assignment", e.name(), e.Member)
	case under == last.hold:
		c.found(EffectReorder, e, []int64{last.n}, []Record{e.record(), later},
			"%s was finished again by %s after offset %d of its key, under the same assignment", e.name(), e.Member, last.offset)
	case e.Offset < h.covered:
		c.found(Duplicate, e, []int64{last.n}, []Record{e.record()},
			"%s was finished again by %s, whose assignment began behind it, at the committed offset %d", e.name(), e.Member, h.covered)
	case h.order < last.hold.order && !h.out && !h.dual:
		c.found(EffectReorder, e, []int64{last.n}, []Record{e.record(), later},
			"%s was finished by %s, a former owner, after offset %d of its key at %s", e.name(), e.Member, last.offset, last.hold.member)
	default:
		c.rep.Redelivered++
	}
}

func (c *Checker) boundPart(p *logPart) {
	a := p.app
	for _, set := range []*spans{&a.polled, &a.did, &a.ahead} {
		if len(*set) > 2*maxPartGaps {
			c.rep.Uncompared += set.shrink(maxPartGaps)
			p.sure = max(p.sure, (*set)[0].hi+1)
		}
	}
}

// name is how the record of an event is named in a violation.
func (e *Event) name() string {
	s := fmt.Sprintf("%s key %s", e.Topic, e.Key)
	if e.located() {
		s = fmt.Sprintf("%s/%d offset %d key %s", e.Topic, e.Partition, e.Offset, e.Key)
	}
	if e.Number == 0 {
		return s
	}
	s += fmt.Sprintf(" number %d", e.Number)
	if e.Writer != "" {
		s += " of " + e.Writer
	}
	return s
}
