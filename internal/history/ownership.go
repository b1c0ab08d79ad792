package history

import "slices"

// member is one process, or several of one name after each other.
type member struct {
	name    string
	life    int // rises with each kill
	frozen  bool
	tenures map[*partition]*tenure // the last one of each partition
}

// tenure is one ownership of a partition by a member.
type tenure struct {
	member *member
	order  int64 // rises with each ownership
	token  int64
	ownN   int64
	over   bool // released, lost or dead
	// out: the member could not take part in handing the partition over, so
	// that its handlers may overlap with those of later owners.
	out bool
	// What the commit covered when the ownership began.
	covered  int64
	coveredN int64
	ahead    []int64
}

func (c *Checker) member(name string) *member {
	m := c.members[name]
	if m == nil {
		m = &member{name: name, tenures: map[*partition]*tenure{}}
		c.members[name] = m
	}
	return m
}

func (c *Checker) own(e *Event) {
	m, p := c.member(e.Member), c.partition(e.Topic, e.Partition)
	if !c.opt.NoTokens && e.Token <= p.token {
		c.blame(Token, e, nonZero(p.tokenN), "%s/%d was given to %s with token %d, but token %d was given out before; each ownership needs a larger one",
			e.Topic, e.Partition, e.Member, e.Token, p.token)
	}
	if e.Token > p.token {
		p.token, p.tokenN = e.Token, e.N
	}
	// Whoever is frozen now has missed this handover, also when it thaws.
	for other, t := range p.owners {
		t.out = t.out || other.frozen
	}
	if t := p.owners[m]; t != nil {
		if !t.out && p.newest == t {
			t.token = e.Token // a new token for a partition that it keeps
			return
		}
		t.over = true
	}
	p.newest = c.newTenure(m, p, e)
	p.owners[m] = p.newest
}

func (c *Checker) newTenure(m *member, p *partition, e *Event) *tenure {
	c.order++
	t := &tenure{
		member: m, order: c.order, token: e.Token, ownN: e.N,
		covered: p.committed, coveredN: p.committedN, ahead: p.ahead,
	}
	m.tenures[p] = t
	return t
}

// giveUp takes release and lost. One for a partition that the member does not
// hold is harmless: a revoked and a lost callback may both report it.
func (c *Checker) giveUp(e *Event) {
	m, p := c.member(e.Member), c.partition(e.Topic, e.Partition)
	t := p.owners[m]
	if t == nil {
		return
	}
	t.over = true
	t.out = t.out || e.Kind == Lost
	delete(p.owners, m)
}

func (c *Checker) kill(e *Event) {
	m := c.member(e.Member)
	m.life++
	m.frozen = false
	for p, t := range m.tenures {
		t.over = true
		delete(p.owners, m)
	}
	clear(m.tenures)
}

func (c *Checker) freeze(e *Event) {
	m := c.member(e.Member)
	if e.Topic == "" {
		m.frozen = true
		return
	}
	if t := c.partition(e.Topic, e.Partition).owners[m]; t != nil {
		t.out = true
	}
}

// tenure gives the ownership under which a handler begins, and reports a start
// that has none.
func (c *Checker) tenure(e *Event, m *member, p *partition) *tenure {
	t := p.owners[m]
	if c.opt.NoTokens {
		if t == nil {
			t = c.newTenure(m, p, e)
			p.owners[m], p.newest = t, t
		}
		return t
	}
	if t != nil {
		if t.token != e.Token {
			c.blame(Token, e, []int64{t.ownN}, "%s began under token %d of %s, whose token of the partition is %d; a start needs the current one",
				recordName(p, e.Offset, e.Key), e.Token, m.name, t.token)
		}
		return t
	}
	c.blame(Token, e, nil, "%s began under token %d of %s, which does not own the partition; a start needs an ownership",
		recordName(p, e.Offset, e.Key), e.Token, m.name)
	// The start is judged under the last ownership that the member had, so that
	// one cause gives one violation.
	if t = m.tenures[p]; t == nil {
		t = c.newTenure(m, p, e)
		t.over = true
	}
	return t
}

// covers says whether a record that is done was known to be, by what was
// written down, when the ownership began. For a parked record the commit says
// nothing: only its resolution does.
func (t *tenure) covers(r *record, offset int64) bool {
	if r != nil && r.parked {
		return r.resolvedN != 0 && r.resolvedN < t.ownN
	}
	if offset < t.covered {
		return true
	}
	_, ok := slices.BinarySearch(t.ahead, offset)
	return ok
}

func nonZero(ns ...int64) []int64 {
	return slices.DeleteFunc(ns, func(n int64) bool { return n == 0 })
}
