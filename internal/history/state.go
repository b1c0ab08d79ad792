package history

import (
	"cmp"
	"fmt"
	"slices"
)

// partition is what is known of one partition.
type partition struct {
	at      place
	records []record          // in offset order, those not yet forgotten
	kept    map[int64]*record // older than those, but not done, or parked
	below   int64             // records under this offset are forgotten: done, unless kept
	top     int64             // offset of the last record of the log, -1 without one
	seqs    map[Key]*sequence
	keys    map[Key]Key // one string per key, however many records
	whole   *sequence   // in partition scope

	owners map[*member]*tenure
	newest *tenure
	token  int64 // largest of all ownerships
	tokenN int64 // event that brought it

	committed  int64 // -1: nothing yet
	committedN int64
	ahead      []int64 // settled above committed, sorted
}

// record is one record of the log.
type record struct {
	offset    int64
	prev      int64 // offset of the record before it in its sequence, -1 without one
	number    int64
	logged    int64 // event numbers
	doneN     int64
	resolvedN int64 // of its done event
	key       Key
	seq       *sequence
	by        *tenure // that did it last
	done      bool
	parked    bool
	well      bool // ended well by a handler
}

// sequence is what must be handled one after the other.
type sequence struct {
	open    []*handler
	marks   []mark
	prev    int64 // offset of the last record in the log
	handled int
	effect  int64 // offset of the last effect
	effectN int64
}

// mark is how far one ownership has come in a sequence.
type mark struct {
	of     *tenure
	first  int64 // offset of the first record begun
	high   int64 // and of the last one; after a failed batch, of the first that failed
	highN  int64
	done   int64 // highest done, -1 without one
	failed bool  // the attempt at high ended, and not well
}

func (c *Checker) partition(topic string, id int32) *partition {
	at := place{topic, id}
	p := c.parts[at]
	if p == nil {
		p = &partition{
			at: at, top: -1, committed: -1,
			kept: map[int64]*record{}, seqs: map[Key]*sequence{}, keys: map[Key]Key{},
			owners: map[*member]*tenure{},
		}
		c.parts[at] = p
	}
	return p
}

// log takes a record of the topic.
func (c *Checker) log(e *Event) {
	p := c.partition(e.Topic, e.Partition)
	if e.Offset <= p.top {
		c.blame(Malformed, e, nil, "log of %s/%d offset %d key %s stands behind offset %d; a log is recorded in offset order, each record once",
			e.Topic, e.Partition, e.Offset, e.Key, p.top)
		return
	}
	p.top = e.Offset
	c.rep.Records++
	key, known := p.keys[e.Key]
	if !known {
		key = e.Key
		p.keys[key] = key
		c.rep.Keys++
	}
	s := c.sequence(p, key)
	p.records = append(p.records, record{offset: e.Offset, prev: s.prev, number: e.Number, logged: e.N, key: key, seq: s})
	s.prev = e.Offset
}

func (c *Checker) sequence(p *partition, key Key) *sequence {
	if c.opt.Scope == ScopePartition {
		if p.whole == nil {
			p.whole = &sequence{prev: -1, effect: -1}
		}
		return p.whole
	}
	s := p.seqs[key]
	if s == nil {
		s = &sequence{prev: -1, effect: -1}
		p.seqs[key] = s
	}
	return s
}

// find gives the record at an offset, or nil. The pointer holds until the next
// log or commit.
func (p *partition) find(offset int64) *record {
	if i, ok := p.index(offset); ok {
		return &p.records[i]
	}
	return p.kept[offset]
}

// index gives the place of the first record at or above the offset.
func (p *partition) index(offset int64) (int, bool) {
	if len(p.records) > 0 {
		// Logs without gaps are common: the place can be computed.
		if i := offset - p.records[0].offset; i >= 0 && i < int64(len(p.records)) && p.records[i].offset == offset {
			return int(i), true
		}
	}
	return slices.BinarySearchFunc(p.records, offset, func(r record, o int64) int { return cmp.Compare(r.offset, o) })
}

// forget drops records far enough behind the commit. Those not done and those
// that were parked stay known, however old: they may come back.
func (p *partition) forget(behind int) {
	n, _ := p.index(p.committed)
	n -= behind
	for i := range max(n, 0) {
		r := p.records[i]
		p.below = r.offset + 1
		if !r.done || r.parked {
			p.kept[r.offset] = &r
		}
	}
	if n > 0 {
		p.records = p.records[n:]
	}
}

// each visits all records that are known, in offset order.
func (p *partition) each(fn func(*record)) {
	old := make([]*record, 0, len(p.kept))
	for _, r := range p.kept {
		old = append(old, r)
	}
	slices.SortFunc(old, func(a, b *record) int { return cmp.Compare(a.offset, b.offset) })
	for _, r := range old {
		fn(r)
	}
	for i := range p.records {
		fn(&p.records[i])
	}
}

// name is how a record is named in a violation.
func (r *record) name(p *partition) string {
	if r.number != 0 {
		return fmt.Sprintf("%s (number %d)", recordName(p, r.offset, r.key), r.number)
	}
	return recordName(p, r.offset, r.key)
}

func recordName(p *partition, offset int64, key Key) string {
	return fmt.Sprintf("%s/%d offset %d key %s", p.at.topic, p.at.id, offset, key)
}

// mark gives how far the ownership has come, or nil.
func (s *sequence) mark(t *tenure) *mark {
	for i := range s.marks {
		if s.marks[i].of == t {
			return &s.marks[i]
		}
	}
	return nil
}

// newMark begins one, and drops those of ownerships that are over.
func (s *sequence) newMark(t *tenure, offset int64) *mark {
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return m.of.over && m.of != t })
	s.marks = append(s.marks, mark{of: t, first: offset, high: offset, done: -1})
	return &s.marks[len(s.marks)-1]
}
