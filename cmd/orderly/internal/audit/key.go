package audit

import "slices"

// A span is numbers that are there without a gap, and the record that came next
// although its number did not.
type span struct {
	lo, hi int64
	past   int64 // offset of the record whose number jumped past hi
	by     int64 // its producer
}

// A strand is the records of a key in one partition, of one writer and epoch where
// numbers belong to those.
type strand struct {
	partition   int32
	writer      uint32
	epoch       int64
	records     int64
	first, last int64 // offsets
	since, till int64 // times, lowest and highest
	lo, hi      int64 // the span with the highest number; none: lo > hi
	below       []span
	forgot      bool // gaps were given up, as there were too many
}

// A state is all that is known of a key.
type state struct {
	id keyID
	strand
	more *further
}

// further is what most keys do not have.
type further struct {
	key     []byte
	strands []strand
}

const (
	// What a state, a strand and a span take, with what a map and slices add.
	stateCost  = 200
	strandCost = 160
	spanCost   = 48

	mostSpans   = 50_000 // of a strand
	mostStrands = 64     // of a key
)

// on applies an observation to the key's state, tells t what is wrong, and returns by
// how much the state's memory grew.
func (s *state) on(o *Observation, rules Rules, t *tally) (grown int64) {
	if s.records == 0 {
		s.strand = begin(o)
		return stateCost
	}
	if o.Writer != 0 {
		s.replaced(o, t)
	}
	st := &s.strand
	if !st.is(o) {
		if st = s.find(o); st == nil {
			return s.another(o, rules, t)
		}
	}
	before := len(st.below)
	st.on(o, rules, t)
	if grew := len(st.below) - before; grew != 0 {
		grown += int64(grew) * spanCost
	}
	if len(st.below) > 0 {
		grown += s.name(o.Key)
	}
	return grown
}

// name keeps the key's text, as it may have to be printed.
func (s *state) name(key []byte) int64 {
	if s.more == nil {
		s.more = &further{}
	}
	if s.more.key != nil {
		return 0
	}
	s.more.key = append([]byte{}, key[:min(len(key), keyShown)]...)
	return int64(len(s.more.key)) + 64
}

func (s *state) find(o *Observation) *strand {
	if s.more == nil {
		return nil
	}
	for i := range s.more.strands {
		if st := &s.more.strands[i]; st.is(o) {
			return st
		}
	}
	return nil
}

// another begins a strand of a key that has one, and returns what it takes.
func (s *state) another(o *Observation, rules Rules, t *tally) (grown int64) {
	grown = s.name(o.Key) + strandCost
	if len(s.more.strands) >= mostStrands {
		// Those of the same partition are the writers of the past; one of another
		// partition shows the split, and stays.
		if i := slices.IndexFunc(s.more.strands, func(st strand) bool { return st.partition == o.Partition }); i >= 0 {
			old := s.more.strands[i]
			old.gaps(s.more.key, rules, t)
			t.forgotStrands++
			s.more.strands = slices.Delete(s.more.strands, i, i+1)
			grown -= strandCost + int64(len(old.below))*spanCost
		}
	}
	s.more.strands = append(s.more.strands, begin(o))
	return grown
}

// replaced tells of a writer that a later epoch of it has replaced.
func (s *state) replaced(o *Observation, t *tally) {
	highest := o.Epoch
	s.each(func(st *strand) {
		if st.partition == o.Partition && st.writer == o.Writer {
			highest = max(highest, st.epoch)
		}
	})
	if highest > o.Epoch {
		t.zombie(o, highest)
	}
}

func (s *state) each(f func(*strand)) {
	f(&s.strand)
	if s.more != nil {
		for i := range s.more.strands {
			f(&s.more.strands[i])
		}
	}
}

func (st *strand) is(o *Observation) bool {
	return st.partition == o.Partition && st.writer == o.Writer && st.epoch == o.Epoch
}

func begin(o *Observation) strand {
	st := strand{partition: o.Partition, writer: o.Writer, epoch: o.Epoch, records: 1, first: o.Offset, last: o.Offset, since: o.Time, till: o.Time, lo: 1}
	if o.Numbered {
		st.lo, st.hi = o.Number, o.Number
	}
	return st
}

func (st *strand) on(o *Observation, rules Rules, t *tally) {
	st.records++
	st.last = o.Offset
	if rules.ByTime && o.Time < st.till {
		t.late(o, st.till)
	}
	st.since, st.till = min(st.since, o.Time), max(st.till, o.Time)
	if !o.Numbered || rules.ByTime {
		return
	}
	n := o.Number
	switch {
	case st.lo > st.hi: // the first with a number
		st.lo, st.hi = n, n
	case n == st.hi+1:
		st.hi = n
	case n > st.hi:
		if len(st.below) >= mostSpans {
			st.giveUp(o.Key, rules, t)
		}
		st.below = append(st.below, span{st.lo, st.hi, o.Offset, o.PID})
		st.lo, st.hi = n, n
	case n >= st.lo:
		t.duplicate(o)
	default:
		st.under(o, t)
	}
}

// under takes a number below the highest span.
func (st *strand) under(o *Observation, t *tally) {
	n := o.Number
	// i is the first span that does not lie below n.
	i, _ := slices.BinarySearchFunc(st.below, n, func(s span, n int64) int {
		if s.hi < n {
			return -1
		}
		return 1
	})
	if i < len(st.below) && st.below[i].lo <= n {
		t.duplicate(o)
		return
	}
	t.late(o, st.hi)
	touchesNext := i < len(st.below) && st.below[i].lo == n+1 || i == len(st.below) && st.lo == n+1
	switch touchesPrev := i > 0 && st.below[i-1].hi == n-1; {
	case touchesPrev && touchesNext:
		if i == len(st.below) {
			st.lo = st.below[i-1].lo
		} else {
			st.below[i].lo = st.below[i-1].lo
		}
		st.below = slices.Delete(st.below, i-1, i)
	case touchesPrev:
		st.below[i-1].hi = n
	case touchesNext && i == len(st.below):
		st.lo = n
	case touchesNext:
		st.below[i].lo = n
	default:
		// The record that jumped past it is the one that jumped past what is below.
		past := span{lo: n, hi: n, past: o.Offset, by: o.PID}
		if i > 0 {
			past.past, past.by = st.below[i-1].past, st.below[i-1].by
		}
		st.below = slices.Insert(st.below, i, past)
	}
}

// giveUp counts the lowest half of the gaps as they are.
func (st *strand) giveUp(key []byte, rules Rules, t *tally) {
	half := len(st.below) / 2
	for i := range half {
		st.gap(key, st.below[i], st.below[i+1].lo, rules, t)
	}
	st.below[half].lo = st.below[0].lo
	st.below = slices.Delete(st.below, 0, half)
	if !st.forgot {
		st.forgot = true
		t.forgotGaps++
	}
}

func (st *strand) gap(key []byte, below span, next int64, rules Rules, t *tally) {
	if !rules.NoGaps {
		t.gap(key, Gap{Partition: st.partition, Offset: below.past, From: below.hi + 1, To: next - 1, PID: below.by})
	}
}

// gaps tells all that is missing in a strand.
func (st *strand) gaps(key []byte, rules Rules, t *tally) {
	for i, b := range st.below {
		next := st.lo
		if i+1 < len(st.below) {
			next = st.below[i+1].lo
		}
		st.gap(key, b, next, rules, t)
	}
}

// end tells what only the end shows: what is missing, and where the key is.
func (s *state) end(rules Rules, t *tally) {
	t.keys++
	var key []byte
	records, parts := int64(0), []strand(nil)
	s.each(func(st *strand) {
		records += st.records
		if i := slices.IndexFunc(parts, func(p strand) bool { return p.partition == st.partition }); i < 0 {
			parts = append(parts, *st)
		} else {
			p := &parts[i]
			p.records += st.records
			p.first, p.last = min(p.first, st.first), max(p.last, st.last)
			p.since, p.till = min(p.since, st.since), max(p.till, st.till)
		}
	})
	if s.more != nil {
		key = s.more.key
	}
	if records == 1 {
		t.once(s.partition, s.first)
	}
	if len(parts) > 1 {
		t.split(key, parts)
	}
	if s.more == nil || rules.ByTime {
		return
	}
	if rules.OfWriter || len(s.more.strands) == 0 {
		s.each(func(st *strand) { st.gaps(key, rules, t) })
		return
	}
	s.across(key, rules, t)
}

// across joins the numbers of all partitions of a key: what is in two of them is a
// duplicate, what is in none is missing.
func (s *state) across(key []byte, rules Rules, t *tally) {
	type piece struct {
		span
		partition int32
	}
	var all []piece
	s.each(func(st *strand) {
		for _, b := range st.below {
			all = append(all, piece{b, st.partition})
		}
		if st.lo <= st.hi {
			all = append(all, piece{span{lo: st.lo, hi: st.hi, past: st.last}, st.partition})
		}
	})
	slices.SortFunc(all, func(a, b piece) int {
		switch {
		case a.lo != b.lo:
			return cmpInt(a.lo, b.lo)
		case a.hi != b.hi:
			return cmpInt(a.hi, b.hi)
		}
		return int(a.partition - b.partition)
	})
	for i, top := 1, 0; i < len(all); i++ {
		p, q := all[top], all[i]
		switch {
		case q.lo <= p.hi:
			t.twice(key, Twice{From: q.lo, To: min(p.hi, q.hi), Partitions: [2]int32{min(p.partition, q.partition), max(p.partition, q.partition)}})
		case q.lo > p.hi+1 && !rules.NoGaps:
			t.gap(key, Gap{Partition: p.partition, Offset: p.past, From: p.hi + 1, To: q.lo - 1, PID: -1})
		}
		if q.hi > p.hi {
			top = i
		}
	}
}

func cmpInt(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}
