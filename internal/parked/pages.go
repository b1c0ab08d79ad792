package parked

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pagesBytes is about how much memory is for what is kept of a partition's parking topic
// while keys are released: two pages for each of them.
const pagesBytes = 4 << 20

// pages is what was fetched for releases, or for a rewrite: the next records of a key, and
// those of others that are released, often stand near one that was needed. They are
// decoded when they are.
type pages struct {
	all   []page // the one that was used last is the last one
	bytes int
}

// A page is the records of one fetch, in order; it has at least one.
type page struct {
	recs  []*raw
	bytes int
}

// A raw is a record of the topic, and what it says when that was needed: one may hold
// many records of a key.
type raw struct {
	rec   *kgo.Record
	once  sync.Once
	entry *parking.Entry
	err   error
}

func (r *raw) decode(l *topicLog) (*parking.Entry, error) {
	r.once.Do(func() { r.entry, r.err = l.Decode(r.rec) })
	return r.entry, r.err
}

func (p *pages) find(pos int64) *raw {
	for i := len(p.all) - 1; i >= 0; i-- {
		g := p.all[i]
		at, ok := slices.BinarySearchFunc(g.recs, pos, func(r *raw, pos int64) int { return cmp.Compare(r.rec.Offset, pos) })
		if ok {
			p.all = append(slices.Delete(p.all, i, i+1), g)
			return g.recs[at]
		}
	}
	return nil
}

// add keeps the first ones of what was fetched, one at the least, and lets go of the pages
// that were not used for the longest time. A batch may hold much more than the share of
// one of so many keys.
func (p *pages) add(recs []*kgo.Record, keys int) (first *raw) {
	share := pagesBytes / 2 / max(keys, 1)
	var g page
	for i, r := range recs {
		n := footprint(r)
		if i > 0 && g.bytes+n > share {
			break
		}
		g.recs = append(g.recs, &raw{rec: alone(r)})
		g.bytes += n
	}
	for len(p.all) > 0 && p.bytes+g.bytes > pagesBytes {
		p.bytes -= p.all[0].bytes
		p.all = slices.Delete(p.all, 0, 1)
	}
	p.all = append(p.all, g)
	p.bytes += g.bytes
	return g.recs[0]
}

// footprint is about what a record takes up, with what it says when it is decoded.
func footprint(r *kgo.Record) int {
	const own = 1 << 10
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return own + 2*n
}

// alone is a copy that does not keep its batch in memory.
func alone(r *kgo.Record) *kgo.Record {
	c := *r
	c.Key, c.Value, c.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
	for i := range c.Headers {
		c.Headers[i].Value = bytes.Clone(c.Headers[i].Value)
	}
	return &c
}
