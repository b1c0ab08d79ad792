package history

import "slices"

// settle takes park and done.
func (c *Checker) settle(e *Event) {
	m, p := c.member(e.Member), c.partition(e.Topic, e.Partition)
	r := p.find(e.Offset)
	if r == nil {
		if e.Offset >= p.below {
			c.blame(Unknown, e, nil, "%s/%d offset %d: %s by %s, but the log holds no such record", e.Topic, e.Partition, e.Offset, e.Kind, e.Member)
		}
		return
	}
	if e.Kind == Park {
		r.parked = true
		return
	}
	t := p.owners[m]
	for i := range r.seq.marks {
		k := &r.seq.marks[i]
		if k.of == t {
			k.doneAt(e.Offset)
		}
		// Whoever failed at the record may go on behind it now.
		k.failed = k.failed && k.high != e.Offset
	}
	r.resolvedN = e.N
	if !r.done {
		c.rep.DoneOtherwise++
		r.done, r.by, r.doneN = true, t, e.N
	}
}

func (c *Checker) commit(e *Event) {
	c.rep.Commits++
	p := c.partition(e.Topic, e.Partition)
	if e.Offset < p.committed {
		if c.opt.AllowCommitRegress {
			c.rep.ExcusedRegresses++
		} else {
			c.blame(CommitRegress, e, nonZero(p.committedN), "%s/%d: %s committed offset %d, but %d was committed before",
				e.Topic, e.Partition, e.Member, e.Offset, p.committed)
		}
	}
	// Only what this commit passes and the last one did not: a record that was
	// passed too early is reported once.
	var passed *record
	from, _ := p.index(p.committed)
	for i := from; i < len(p.records) && p.records[i].offset < e.Offset && passed == nil; i++ {
		if r := &p.records[i]; !r.done && !r.parked {
			passed = r
		}
	}
	ahead := slices.Clone(e.Ahead)
	slices.Sort(ahead)
	for _, o := range ahead {
		if r := p.find(o); passed == nil && r != nil && !r.done && !r.parked {
			passed = r
		}
	}
	if passed != nil {
		at := *e
		at.Offset, at.Key = passed.offset, passed.key
		c.blame(CommitPast, &at, []int64{passed.logged}, "%s is neither done nor parked, but %s committed offset %d (%d done ahead)",
			passed.name(p), e.Member, e.Offset, len(ahead))
	}
	p.committed, p.committedN, p.ahead = e.Offset, e.N, ahead
	p.forget(c.behind)
}

// effect takes the effect of a record in a store: once each, in order.
func (c *Checker) effect(e *Event) {
	c.rep.Effects++
	p := c.partition(e.Topic, e.Partition)
	s := c.lookup(e, p, p.find(e.Offset))
	if s == nil {
		return
	}
	switch {
	case e.Offset == s.effect:
		c.blame(Duplicate, e, nonZero(s.effectN), "%s: its effect was applied again, by %s (token %d)",
			recordName(p, e.Offset, e.Key), e.Member, e.Token)
	case e.Offset < s.effect:
		c.blame(Order, e, nonZero(s.effectN), "%s: its effect was applied by %s (token %d) after that of the later offset %d",
			recordName(p, e.Offset, e.Key), e.Member, e.Token, s.effect)
	default:
		s.effect, s.effectN = e.Offset, e.N
	}
}
