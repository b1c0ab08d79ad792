package wire

import (
	"cmp"
	"slices"
	"time"
)

// A Record is what the analysis needs of one.
type Record struct {
	Offset     int64
	Key        []byte // nil: a null key
	ProducerID int64
	Time       time.Time
}

// A Spot is a record by its place.
type Spot struct {
	Partition  int32     `json:"partition"`
	Offset     int64     `json:"offset"`
	Time       time.Time `json:"time"`
	ProducerID int64     `json:"producer_id"`
}

// A Writer is what one producer id was seen to write; -1 is all without one.
type Writer struct {
	ID                  int64
	Records, Batches    int64
	First, Last         Spot
	Partitions          map[int32]int64 // records
	MinEpoch, MaxEpoch  int16
	Transactional       bool
	NullKeys, EmptyKeys int64
	nullAt              map[int32]int64
	places              map[Place]bool
	Fingerprint         Fingerprint
}

// A Bump is a producer's epoch that rises in a log.
type Bump struct {
	At       Spot
	From, To int16
}

// A Break is a batch whose sequence does not follow.
type Break struct {
	At         Spot
	Epoch      int16
	Want, Have int32
}

// An EpochFall is a leader's epoch that is lower than one before it.
type EpochFall struct {
	At       Spot
	From, To int32
}

// A Mix is a key that two producers wrote in turn, in one partition.
type Mix struct {
	Key           string
	First, Second Spot
	Back          Spot // the first one again
}

const (
	keepExamples = 1000    // of each kind; all are counted
	keepKeys     = 200_000 // that are compared with each other
	keepPlaces   = 2_000   // of a writer, for its fingerprint
	keepWriters  = 10_000
)

// A Sample gathers parts of a topic's log: for each partition its oldest and its
// newest records, each part in the order of offsets.
type Sample struct {
	Partitions int32 // of the topic
	Records    int64
	Batches    int64
	Bytes      int64
	OldFormat  int64 // batches of a format without producers

	NoID                 struct{ Records, Batches int64 }
	NullKeys, EmptyKeys  int64
	NullFirst            Spot
	Bumps                []Bump
	Breaks               []Break
	Falls                []EpochFall
	Mixes                []Mix
	BumpN, BreakN, FallN int64
	MixN                 int64
	KeysLeftOut          bool
	WritersLeftOut       bool

	writers map[int64]*Writer
	keys    map[string]*seen
	part    part
}

// seen is where a key was.
type seen struct {
	at      []Spot // the first of each partition and writer
	last    int64  // the writer before, in this part of a partition
	inPart  int
	writers []int64
}

// part is the state of the part that is read.
type part struct {
	number    int
	partition int32
	leader    int32
	streams   map[int64]stream
}

type stream struct {
	epoch int16
	next  int32
}

// NewSample makes an empty one of a topic with so many partitions.
func NewSample(partitions int32) *Sample {
	return &Sample{Partitions: partitions, writers: map[int64]*Writer{}, keys: map[string]*seen{}}
}

// Begin begins a part of a partition: what follows, follows in its log. Two parts
// of a partition that do not touch say nothing about each other's sequences.
func (s *Sample) Begin(partition int32) {
	s.part = part{number: s.part.number + 1, partition: partition, leader: -1, streams: map[int64]stream{}}
}

// Batch takes the next batch's header.
func (s *Sample) Batch(b Batch) {
	s.Batches++
	s.Bytes += int64(b.Bytes)
	spot := Spot{s.part.partition, b.FirstOffset, b.FirstTime, b.ProducerID}
	if b.LeaderEpoch >= 0 {
		if b.LeaderEpoch < s.part.leader {
			s.FallN++
			s.Falls = keep(s.Falls, EpochFall{spot, s.part.leader, b.LeaderEpoch})
		}
		s.part.leader = b.LeaderEpoch
	}
	if b.Magic < 2 {
		s.OldFormat++
	}
	if b.Control() {
		// A marker has its writer's id and epoch, and no sequence. A broker that
		// ends a transaction may raise the epoch with it.
		if st, ok := s.part.streams[b.ProducerID]; ok && b.ProducerEpoch > st.epoch {
			s.part.streams[b.ProducerID] = stream{b.ProducerEpoch, 0}
		}
		return
	}
	w := s.writer(b.ProducerID, spot)
	if w != nil {
		w.Batches++
		w.Transactional = w.Transactional || b.Transactional()
		w.MinEpoch, w.MaxEpoch = min(w.MinEpoch, b.ProducerEpoch), max(w.MaxEpoch, b.ProducerEpoch)
	}
	if !b.Idempotent() {
		s.NoID.Batches++
		return
	}
	st, known := s.part.streams[b.ProducerID]
	if known {
		want := st.next
		if b.ProducerEpoch > st.epoch {
			want = 0
			if !b.Transactional() {
				s.BumpN++
				s.Bumps = keep(s.Bumps, Bump{spot, st.epoch, b.ProducerEpoch})
			}
		}
		if b.Sequence != want && b.Sequence >= 0 {
			s.BreakN++
			s.Breaks = keep(s.Breaks, Break{spot, b.ProducerEpoch, want, b.Sequence})
		}
	}
	s.part.streams[b.ProducerID] = stream{b.ProducerEpoch, b.After()}
}

func keep[T any](all []T, one T) []T {
	if len(all) < keepExamples {
		all = append(all, one)
	}
	return all
}

func (s *Sample) writer(id int64, at Spot) *Writer {
	w := s.writers[id]
	if w == nil {
		if len(s.writers) >= keepWriters {
			s.WritersLeftOut = true
			return nil
		}
		w = &Writer{ID: id, First: at, Last: at, Partitions: map[int32]int64{}, MinEpoch: 1<<15 - 1, MaxEpoch: -1,
			nullAt: map[int32]int64{}, places: map[Place]bool{}}
		s.writers[id] = w
	}
	if at.Time.Before(w.First.Time) {
		w.First = at
	}
	if at.Time.After(w.Last.Time) {
		w.Last = at
	}
	return w
}

// Record takes the next record.
func (s *Sample) Record(r Record) {
	s.Records++
	p := s.part.partition
	spot := Spot{p, r.Offset, r.Time, r.ProducerID}
	if r.ProducerID < 0 {
		s.NoID.Records++
	}
	w := s.writer(r.ProducerID, spot)
	if w != nil {
		w.Records++
		w.Partitions[p]++
	}
	if len(r.Key) == 0 {
		if r.Key == nil {
			s.NullKeys++
		} else {
			s.EmptyKeys++
		}
		if s.NullKeys+s.EmptyKeys == 1 || spot.Time.Before(s.NullFirst.Time) {
			s.NullFirst = spot
		}
		if w != nil && r.Key == nil {
			w.NullKeys++
			w.nullAt[p]++
		} else if w != nil {
			w.EmptyKeys++
		}
		return
	}
	if w != nil {
		place := Place{string(r.Key), p}
		if !w.places[place] && len(w.places) < keepPlaces {
			w.places[place] = true
		}
	}
	s.key(string(r.Key), spot)
}

// key remembers where a key was, and by whom.
func (s *Sample) key(key string, at Spot) {
	k := s.keys[key]
	if k == nil {
		if len(s.keys) >= keepKeys {
			s.KeysLeftOut = true
			return
		}
		s.keys[key] = &seen{at: []Spot{at}, last: at.ProducerID, inPart: s.part.number, writers: []int64{at.ProducerID}}
		return
	}
	if k.inPart != s.part.number {
		k.inPart, k.last, k.writers = s.part.number, at.ProducerID, []int64{at.ProducerID}
	} else if k.last != at.ProducerID {
		if slices.Contains(k.writers, at.ProducerID) && at.ProducerID >= 0 && k.last >= 0 {
			s.MixN++
			first := slices.IndexFunc(k.at, func(o Spot) bool { return o.ProducerID == at.ProducerID && o.Partition == at.Partition })
			second := slices.IndexFunc(k.at, func(o Spot) bool { return o.ProducerID == k.last && o.Partition == at.Partition })
			if first >= 0 && second >= 0 {
				s.Mixes = keep(s.Mixes, Mix{key, k.at[first], k.at[second], at})
			}
		} else if len(k.writers) < 16 {
			k.writers = append(k.writers, at.ProducerID)
		}
		k.last = at.ProducerID
	}
	known := func(o Spot) bool { return o.Partition == at.Partition && o.ProducerID == at.ProducerID }
	if !slices.ContainsFunc(k.at, known) && len(k.at) < 16 {
		k.at = append(k.at, at)
	}
}

// A Split is a key in several partitions.
type Split struct {
	Key string
	At  []Spot // the first of each partition and writer, by time
}

// Splits are the keys that were found in several partitions.
func (s *Sample) Splits() (all []Split) {
	for key, k := range s.keys {
		if slices.ContainsFunc(k.at, func(o Spot) bool { return o.Partition != k.at[0].Partition }) {
			at := slices.Clone(k.at)
			slices.SortFunc(at, func(a, b Spot) int {
				return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
			})
			all = append(all, Split{key, at})
		}
	}
	slices.SortFunc(all, func(a, b Split) int { return cmp.Or(a.At[0].Time.Compare(b.At[0].Time), cmp.Compare(a.Key, b.Key)) })
	return all
}

// Keys is how many different keys were compared.
func (s *Sample) Keys() int { return len(s.keys) }

// Writers are all that were seen, the busiest first, with their fingerprints.
func (s *Sample) Writers() (all []*Writer) {
	for _, w := range s.writers {
		w.Fingerprint = Take(sorted(w.places), s.Partitions)
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *Writer) int { return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(a.ID, b.ID)) })
	return all
}

// AllPlaces is the fingerprint of the whole sample, whoever wrote it.
func (s *Sample) AllPlaces() Fingerprint {
	places := map[Place]bool{}
	for key, k := range s.keys {
		for _, o := range k.at {
			if len(places) < keepPlaces {
				places[Place{key, o.Partition}] = true
			}
		}
	}
	return Take(sorted(places), s.Partitions)
}

func sorted(places map[Place]bool) []Place {
	out := make([]Place, 0, len(places))
	for p := range places {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Place) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Partition, b.Partition)) })
	return out
}

// NullKeysIn are the partitions that the writer's null keys went to.
func (w *Writer) NullKeysIn() []int32 {
	var in []int32
	for p := range w.nullAt {
		in = append(in, p)
	}
	slices.Sort(in)
	return in
}
