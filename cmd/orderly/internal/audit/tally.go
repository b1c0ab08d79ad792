package audit

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"
	"unicode/utf8"
)

// Rules are how numbers are judged.
type Rules struct {
	ByTime   bool // the number is the record's time
	OfWriter bool // numbers belong to a writer's epoch in a partition, not to the key
	NoGaps   bool // what is missing says nothing: the topic is compacted
}

// A Key is a key as it is printed.
type Key struct {
	Text string `json:"key,omitempty"`
	Hex  string `json:"key_hex,omitempty"`
}

func keyText(key []byte) Key {
	key = key[:min(len(key), keyShown)]
	if utf8.Valid(key) {
		return Key{Text: string(key)}
	}
	return Key{Hex: hex.EncodeToString(key)}
}

func (k Key) String() string {
	if k.Hex != "" {
		return "hex:" + k.Hex
	}
	return k.Text
}

// A Late record came after one of its key with a higher number, or with a later time.
type Late struct {
	Key
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Number    int64     `json:"number"` // milliseconds, by time
	After     int64     `json:"after"`  // the highest before it
	Time      time.Time `json:"time"`
	PID       int64     `json:"producer_id"`
	PEpoch    int16     `json:"producer_epoch"`
}

// A Duplicate record has a number that was there before.
type Duplicate struct {
	Key
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Number    int64     `json:"number"`
	Time      time.Time `json:"time"`
	PID       int64     `json:"producer_id"`
	PEpoch    int16     `json:"producer_epoch"`
}

// Twice are numbers that two partitions have.
type Twice struct {
	Key
	From       int64    `json:"from"`
	To         int64    `json:"to"`
	Partitions [2]int32 `json:"partitions"`
}

// A Gap is numbers that no record has.
type Gap struct {
	Key
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"` // of the record that came instead; else the key's last before the gap
	From      int64 `json:"from"`
	To        int64 `json:"to"`
	PID       int64 `json:"producer_id"`
}

// A Split is a key in several partitions.
type Split struct {
	Key
	In      []Part `json:"in"`
	Overlap bool   `json:"overlap"` // in two of them at the same time, and not one after the other
}

// A Part is a key's records in one partition.
type Part struct {
	Partition int32     `json:"partition"`
	Records   int64     `json:"records"`
	First     int64     `json:"first_offset"`
	Last      int64     `json:"last_offset"`
	Since     time.Time `json:"since"`
	Till      time.Time `json:"till"`
}

// A Zombie record was written by a writer, or a producer, after a later epoch of it.
type Zombie struct {
	Key
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Writer    string    `json:"writer"`
	Epoch     int64     `json:"epoch"`
	Highest   int64     `json:"highest"`
	Time      time.Time `json:"time"`
	PID       int64     `json:"producer_id"`
}

// A Spot is a record by its place.
type Spot struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

func (a Spot) compare(b Spot) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// A First counts something, and knows where it was first.
type First struct {
	Count int64     `json:"count"`
	At    *Spot     `json:"first,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

func (f *First) on(o *Observation) {
	f.Count++
	at := Spot{o.Partition, o.Offset}
	if f.At == nil || at.compare(*f.At) < 0 {
		f.At, f.Since = &at, time.UnixMilli(o.Time).UTC()
	}
}

// A some keeps the first of many things, by their place, and counts all: whoever
// finds them in whatever order, the same ones stay.
type some[T any] struct {
	Count int64 `json:"count"`
	First []T   `json:"first"`
}

func (s *some[T]) add(v T, limit int, compare func(a, b T) int) {
	s.Count++
	s.First = append(s.First, v)
	if len(s.First) >= 2*limit {
		s.cut(limit, compare)
	}
}

func (s *some[T]) cut(limit int, compare func(a, b T) int) {
	slices.SortFunc(s.First, compare)
	s.First = append([]T{}, s.First[:min(len(s.First), limit)]...) // a list in JSON, if an empty one
}

// A Producer is what one producer wrote to one partition.
type Producer struct {
	ID        int64     `json:"producer_id"` // -1: all without one
	Epoch     int16     `json:"epoch"`
	Partition int32     `json:"partition"`
	Records   int64     `json:"records"`
	First     int64     `json:"first_offset"`
	Last      int64     `json:"last_offset"`
	Since     time.Time `json:"since"`
	Till      time.Time `json:"till"`
	Late      int64     `json:"late"`
	Twice     int64     `json:"duplicates"`
	Keys      []Key     `json:"keys,omitempty"` // some of those whose order it broke
}

type producerID struct {
	id        int64
	epoch     int16
	partition int32
}

const (
	mostProducers = 100_000
	producerKeys  = 5
)

// known is what has to be known to judge what comes.
type known struct {
	Fences  map[int32]fenceOf `json:"fences"`  // by partition: highest epoch of each producer
	Writers []string          `json:"writers"` // names of sequence headers, 1 and up
}

// found is what was found so far.
type found struct {
	Records          int64           `json:"records"`
	Numbered         int64           `json:"numbered"`
	Late             some[Late]      `json:"late"`
	Duplicates       some[Duplicate] `json:"duplicates"`
	Twice            some[Twice]     `json:"in_two_partitions"`
	Gaps             some[Gap]       `json:"gaps"`
	Missing          int64           `json:"missing"` // numbers in gaps
	Again            int64           `json:"again"`   // numbers in Twice
	Splits           some[Split]     `json:"splits"`
	Zombies          some[Zombie]    `json:"zombies"`
	NullKeys         First           `json:"null_keys"`
	EmptyKeys        First           `json:"empty_keys"`
	Unnumbered       First           `json:"unnumbered"`
	Once             some[Spot]      `json:"keys_seen_once"`
	Deleted          []Spot          `json:"deleted,omitempty"` // offsets that went while they were read: up to Offset
	ProducersLeftOut bool            `json:"producers_left_out"`
	ForgotGaps       int64           `json:"forgot_gaps"`
	ForgotStrands    int64           `json:"forgot_strands"`
}

type fenceOf map[int64]int16

// A tally counts.
type tally struct {
	found
	known
	limit     int
	producers map[producerID]*Producer

	keys                      int64
	forgotGaps, forgotStrands int64
}

func newTally(limit int) *tally {
	return &tally{known: known{Fences: map[int32]fenceOf{}}, limit: limit, producers: map[producerID]*Producer{}}
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// seen counts a record; it says whether the record has a key to judge.
func (t *tally) seen(o *Observation) bool {
	t.Records++
	id := producerID{o.PID, o.PEpoch, o.Partition}
	p := t.producers[id]
	if p == nil {
		t.fence(o)
		if len(t.producers) < mostProducers {
			p = &Producer{ID: o.PID, Epoch: o.PEpoch, Partition: o.Partition, First: o.Offset, Since: at(o.Time), Till: at(o.Time)}
			t.producers[id] = p
		} else {
			t.ProducersLeftOut = true
		}
	} else if o.PID >= 0 && o.PEpoch < t.Fences[o.Partition][o.PID] {
		t.fence(o)
	}
	if p != nil {
		p.Records++
		p.Last = o.Offset
		if when := at(o.Time); when.Before(p.Since) {
			p.Since = when
		} else if when.After(p.Till) {
			p.Till = when
		}
	}
	switch {
	case o.Key == nil:
		t.NullKeys.on(o)
	case len(o.Key) == 0:
		t.EmptyKeys.on(o)
	default:
		if o.Numbered {
			t.Numbered++
		} else {
			t.Unnumbered.on(o)
		}
		return true
	}
	return false
}

// fence tells of a producer whose later epoch has written in this partition.
func (t *tally) fence(o *Observation) {
	if o.PID < 0 {
		return
	}
	f := t.Fences[o.Partition]
	if f == nil {
		f = fenceOf{}
		t.Fences[o.Partition] = f
	}
	high, ok := f[o.PID]
	switch {
	case ok && o.PEpoch < high:
		z := Zombie{Key: keyText(o.Key), Partition: o.Partition, Offset: o.Offset, Epoch: int64(o.PEpoch), Highest: int64(high), Time: at(o.Time), PID: o.PID}
		t.Zombies.add(z, t.limit, byZombie)
	case ok || len(f) < mostProducers:
		f[o.PID] = o.PEpoch
	}
}

func (t *tally) blame(o *Observation) *Producer {
	p := t.producers[producerID{o.PID, o.PEpoch, o.Partition}]
	if p == nil {
		return &Producer{}
	}
	if k := keyText(o.Key); len(p.Keys) < producerKeys && !slices.Contains(p.Keys, k) {
		p.Keys = append(p.Keys, k)
	}
	return p
}

func (t *tally) late(o *Observation, after int64) {
	n := o.Number
	if !o.Numbered {
		n = o.Time
	}
	t.Late.add(Late{keyText(o.Key), o.Partition, o.Offset, n, after, at(o.Time), o.PID, o.PEpoch}, t.limit, byLate)
	t.blame(o).Late++
}

func (t *tally) duplicate(o *Observation) {
	t.Duplicates.add(Duplicate{keyText(o.Key), o.Partition, o.Offset, o.Number, at(o.Time), o.PID, o.PEpoch}, t.limit, byDuplicate)
	t.blame(o).Twice++
}

func (t *tally) twice(key []byte, w Twice) {
	w.Key = keyText(key)
	t.Again += w.To - w.From + 1
	t.Twice.add(w, t.limit, byTwice)
}

func (t *tally) gap(key []byte, g Gap) {
	g.Key = keyText(key)
	t.Missing += g.To - g.From + 1
	t.Gaps.add(g, t.limit, byGap)
}

func (t *tally) zombie(o *Observation, highest int64) {
	z := Zombie{keyText(o.Key), o.Partition, o.Offset, t.Writers[o.Writer-1], o.Epoch, highest, at(o.Time), o.PID}
	t.Zombies.add(z, t.limit, byZombie)
}

func (t *tally) once(partition int32, offset int64) {
	t.Once.add(Spot{partition, offset}, 10, Spot.compare)
}

func (t *tally) split(key []byte, strands []strand) {
	s := Split{Key: keyText(key)}
	slices.SortFunc(strands, func(a, b strand) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.partition, b.partition))
	})
	till := strands[0].till
	for i, st := range strands {
		s.In = append(s.In, Part{st.partition, st.records, st.first, st.last, at(st.since), at(st.till)})
		if i > 0 && st.since <= till {
			s.Overlap = true
		}
		till = max(till, st.till)
	}
	t.Splits.add(s, t.limit, bySplit)
}

// finish sorts what stays.
func (t *tally) finish() {
	t.Late.cut(t.limit, byLate)
	t.Duplicates.cut(t.limit, byDuplicate)
	t.Twice.cut(t.limit, byTwice)
	t.Gaps.cut(t.limit, byGap)
	t.Zombies.cut(t.limit, byZombie)
	t.Splits.cut(t.limit, bySplit)
	t.Once.cut(10, Spot.compare)
	t.ForgotGaps += t.forgotGaps
	t.ForgotStrands += t.forgotStrands
}

func spots(p int32, o int64, q int32, r int64) int { return Spot{p, o}.compare(Spot{q, r}) }

func byLate(a, b Late) int           { return spots(a.Partition, a.Offset, b.Partition, b.Offset) }
func byDuplicate(a, b Duplicate) int { return spots(a.Partition, a.Offset, b.Partition, b.Offset) }
func byZombie(a, b Zombie) int       { return spots(a.Partition, a.Offset, b.Partition, b.Offset) }
func byGap(a, b Gap) int {
	return cmp.Or(spots(a.Partition, a.Offset, b.Partition, b.Offset), cmp.Compare(a.From, b.From))
}
func bySplit(a, b Split) int {
	return cmp.Or(spots(a.In[0].Partition, a.In[0].First, b.In[0].Partition, b.In[0].First), cmp.Compare(a.String(), b.String()))
}
func byTwice(a, b Twice) int {
	return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}
