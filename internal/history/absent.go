package history

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// What is missing can only be said at the end: until then it may still come.

// absent judges what a complete history lacks. It changes only the report.
func (c *Checker) absent() {
	for _, topic := range slices.Sorted(maps.Keys(c.topics)) {
		t := c.topics[topic]
		keys := slices.SortedFunc(maps.Values(t.keys), func(a, b *keyState) int {
			if a.key.set != b.key.set {
				return cmp.Compare(b2i(a.key.set), b2i(b.key.set)) // null first
			}
			return cmp.Compare(a.key.text, b.key.text)
		})
		for _, k := range keys {
			for _, s := range k.streams {
				c.unread(topic, t, k, s)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(t.parts)) {
			if p := t.parts[id]; p.app != nil {
				c.unfinished(p)
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unread names acknowledged records that the reader of the log did not find.
func (c *Checker) unread(topic string, t *logState, k *keyState, s *stream) {
	for r := range s.acked.minus(s.read, math.MaxInt64) {
		r.lo = max(r.lo, s.forgot+1)
		top := s.read.max()
		if s.ackPart >= 0 && top < s.ackHigh && t.parts[s.ackPart].readTop >= s.ackOff {
			top = s.ackHigh // the reader went past the place of the last one
		}
		if len(k.parts) > 1 {
			top = -1 // it cannot be told how far the reader is in which partition
		}
		if c.opt.Compacted {
			// Compaction takes all records of a key but the newest.
			if r.hi < s.ackHigh || r.hi < s.read.max() || k.readBehind(s) {
				continue
			}
			r.lo = r.hi
		}
		e := Event{N: s.ackN, Topic: topic, Partition: s.ackPart, Offset: -1, Key: k.key, Writer: s.writer, Epoch: s.epoch}
		if lost := min(r.hi, top); r.lo <= lost {
			e.Number = r.lo
			c.foundMany(int(lost-r.lo+1), LostWrite, &e, []Record{e.record()},
				"%s was acknowledged, and the log was read past its place without it%s", e.name(), more(r.lo, lost))
			r.lo = lost + 1
		}
		if r.lo <= r.hi {
			e.Number = r.lo
			c.rep.Unseen += r.hi - r.lo + 1
			c.foundMany(int(r.hi-r.lo+1), Unseen, &e, []Record{e.record()},
				"%s was acknowledged, but the log was not read as far%s", e.name(), more(r.lo, r.hi))
		}
	}
}

// readBehind says whether a record of another writer of the key was found, that
// a compaction may have kept instead.
func (k *keyState) readBehind(s *stream) bool {
	return slices.ContainsFunc(k.streams, func(o *stream) bool {
		return o != s && len(o.read) > 0 && (o.part != s.ackPart || o.highOff > s.ackOff)
	})
}

func more(lo, hi int64) string {
	if lo == hi {
		return ""
	}
	return fmt.Sprintf("; neither were those up to number %d", hi)
}

// unfinished names records that the application was never given although later
// ones were, and those that a commit passed before anyone finished them.
func (c *Checker) unfinished(p *logPart) {
	a := p.app
	if c.opt.Compacted {
		return
	}
	for r := range a.ahead.minus(p.read, p.readTop) {
		if r.lo >= p.sure {
			c.missing(p, r, AbortedRead, "", "was given to the application, but the committed log holds no record there")
		}
	}
	if len(p.read) == 0 {
		return
	}
	top := a.polled.max()
	for r := range p.read.minus(a.polled, math.MaxInt64) {
		switch {
		case r.hi < p.sure || len(a.polled) == 0:
		case r.lo > top:
			c.rep.Unseen += r.hi - r.lo + 1
			c.missing(p, r, Unseen, "", "is in the log, but the application was not given records as far")
		case r.hi < a.polled[0].lo:
			c.missing(p, r, PollSkip, "C06", "is in the log, and the application began behind it")
		default:
			c.missing(p, r, PollSkip, "C04", "is in the log, and was never given to the application; later ones were")
		}
	}
	if len(a.did) == 0 {
		return
	}
	committed := c.committed(p.at)
	for r := range a.polled.minus(a.did, math.MaxInt64) {
		// Of these only what the log holds: the sets may name empty offsets.
		for lo := r.lo; lo <= r.hi; {
			x, ok := p.read.within(max(lo, p.sure), r.hi)
			if !ok {
				break
			}
			if x < committed {
				c.missing(p, span{x, x}, PollSkip, "C04", fmt.Sprintf("was given to the application and never finished, but offset %d was committed", committed))
			} else {
				c.rep.Unfinished++
			}
			lo = x + 1
		}
	}
}

func (c *Checker) missing(p *logPart, r span, class Class, rule, text string) {
	e := Event{Topic: p.at.topic, Partition: p.at.id, Offset: r.lo}
	rec := e.record()
	if r.hi > r.lo {
		text += fmt.Sprintf(" (so are the offsets up to %d)", r.hi)
	}
	v := Violation{Rule: rule, Class: class, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Records: []Record{rec},
		Text: fmt.Sprintf("%s/%d offset %d %s", e.Topic, e.Partition, r.lo, text)}
	c.addMany(v, int(r.hi-r.lo+1))
}
