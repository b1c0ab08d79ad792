package parking

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// A State is what the entries of one partition of the parking topic, read in
// order, say. It holds no payload: positions in the topic are where the rest is
// read when it is needed.
type State struct {
	top   int64       // the highest token of a marker so far
	last  *MarkerBody // of that marker
	under *MarkerBody // the marker under which something was parked last
	keys  map[KeyID]*keyState

	commands []asked // without a final answer, in the order in which they came
	answered map[string]bool
	answers  []*Entry // final ones, in order: they are what makes a repeat do nothing
	paused   []*Entry // those of them that are pauses in force: of keys, and of the partition
	held     map[KeyID]*AnswerBody
	whole    *AnswerBody

	records, parkedKeys int
	bytes               int64
	soonest             int64 // no key is due before
	entries             int64 // read; a run counts as one for each of its records
	void                int64 // that did not count
}

// keyState is one key: some records of it are parked, or all below upTo are
// settled and that is still worth knowing.
type keyState struct {
	upTo int64 // all records of the key below are parked or done
	at   int64 // position of the last entry that names the key
	due  int64 // when it is released; never for one that waits for an operator
	from int64 // when the first of recs failed first, in milliseconds, about
	recs []rec // parked, in the order of their source offsets
}

type rec struct {
	offset, pos int64
	last        int64 // when it failed last
	size        uint32
	tries       uint16 // releases that failed at it
	permanent   bool
}

// find returns where the parked record at an offset is, or would be.
func (k *keyState) find(offset int64) (int, bool) {
	return slices.BinarySearchFunc(k.recs, offset, func(r rec, o int64) int { return cmp.Compare(r.offset, o) })
}

type asked struct {
	cmd      *Entry
	at       int64 // its place among all: one behind where it stands first
	accepted bool
}

// never is the due time of a key that only an operator releases.
const never = math.MaxInt64

// A KeyID stands for an ordering key in memory, within one process.
type KeyID [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// ID returns the identity of an ordering key. Two keys that were taken for one
// would lose records, so it is 128 bits, and seeded: nobody can aim at it.
func ID(key []byte) KeyID {
	if key == nil {
		return KeyID{}
	}
	return KeyID{maphash.Bytes(seeds[0], key), maphash.Bytes(seeds[1], key)}
}

// NewState returns the state of an empty topic.
func NewState() *State {
	return &State{top: math.MinInt64, keys: make(map[KeyID]*keyState), answered: make(map[string]bool)}
}

// A Verdict is what an entry is worth at the place where it stands.
type Verdict int

const (
	Counts  Verdict = iota
	Stale           // a marker of a higher token stands before it
	Unchain         // what it rests on (After) does not stand before it
)

// Apply takes the entry at a position. Entries are applied in the order of their
// positions.
func (s *State) Apply(pos int64, e *Entry, r *Rules) Verdict {
	s.entries += int64(max(e.Records(), 1))
	v := s.verdict(e, r)
	if v != Counts {
		s.void++
		return v
	}
	switch e.Kind {
	case KindMarker:
		s.top, s.last = e.Token, e.Marker
	case KindCommand:
		s.command(pos, e)
	case KindAnswer:
		s.answer(e)
	case KindProgress: // it holds when a commit names it
	default:
		k := s.keys[ID(e.Key)]
		if k == nil {
			k = &keyState{due: never}
			s.keys[ID(e.Key)] = k
		}
		s.key(k, pos, e, r)
	}
	return Counts
}

func (s *State) verdict(e *Entry, r *Rules) Verdict {
	switch {
	case e.Kind == KindCommand:
		return Counts
	case e.Token < s.top:
		return Stale
	case e.After > 0 && !r.broken(ruleChain):
		if k := s.keys[ID(e.Key)]; k == nil || k.upTo < e.After {
			return Unchain
		}
	}
	return Counts
}

// key applies an entry about a key. Everything here may come twice.
func (s *State) key(k *keyState, pos int64, e *Entry, r *Rules) {
	k.at = pos
	before := len(k.recs)
	switch e.Kind {
	case KindParked:
		s.join(k, pos, e.Offset, &e.Parked.Record, e.Parked.Timestamp, &e.Parked.Failure, r)
	case KindRun:
		k.recs = slices.Grow(k.recs, len(e.Run.Records))
		for i := range e.Run.Records {
			f := &e.Run.Records[i]
			s.join(k, pos, f.Offset, &f.Record, f.Timestamp, &Failure{}, r)
		}
	case KindResolved:
		i, _ := k.find(e.Offset)
		end := i
		for end < len(k.recs) && k.recs[end].offset <= e.Resolved.Last {
			s.records--
			s.bytes -= int64(k.recs[end].size)
			end++
		}
		k.recs = slices.Delete(k.recs, i, end)
		switch {
		case len(k.recs) == 0:
			k.recs, k.due = nil, never
		case i == 0 && end > 0:
			k.due = 0 // what stood in the way is gone
		}
		k.upTo = max(k.upTo, e.Resolved.Last+1)
	case KindTried:
		if i, found := k.find(e.Offset); found {
			f := &e.Tried.Failure
			t := &k.recs[i]
			t.last, t.tries, t.permanent = f.Last, uint16(min(f.Releases, math.MaxUint16)), f.Permanent
			k.due = r.due(f)
		}
	case KindSettled:
		k.upTo = max(k.upTo, e.Offset)
	}
	switch {
	case before == 0 && len(k.recs) > 0:
		s.parkedKeys++
	case before > 0 && len(k.recs) == 0:
		s.parkedKeys--
	}
	if len(k.recs) > 0 {
		s.soonest = min(s.soonest, k.due)
	}
}

// join adds a parked record to those of its key.
func (s *State) join(k *keyState, pos, offset int64, of *Record, timestamp int64, f *Failure, r *Rules) {
	if offset < k.upTo {
		if i, found := k.find(offset); found {
			k.recs[i].pos = pos
		}
		return
	}
	size := of.Size()
	k.recs = append(k.recs, rec{offset: offset, pos: pos, size: uint32(min(size, math.MaxUint32)),
		last: f.Last, tries: uint16(min(f.Releases, math.MaxUint16)), permanent: f.Permanent})
	k.upTo = offset + 1
	s.under = s.last
	s.records++
	s.bytes += size
	if len(k.recs) == 1 {
		k.due = r.due(f)
		if k.from = f.First; k.from == 0 {
			k.from = timestamp // it followed others that are done by now
		}
	}
}

// command takes a command, or a copy of one. Copies may land in any order, also late, and
// not all: each has its place of its own.
func (s *State) command(pos int64, e *Entry) {
	if s.answered[e.Command.ID] {
		return
	}
	a := asked{cmd: e, at: pos + 1}
	if e.Command.N > 0 {
		a.at = e.Command.N
	}
	if i := slices.IndexFunc(s.commands, func(b asked) bool { return b.cmd.Command.ID == e.Command.ID }); i >= 0 {
		if s.commands[i].at <= a.at {
			return
		}
		a.accepted = s.commands[i].accepted
		s.commands = slices.Delete(s.commands, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(s.commands, a.at+1, func(b asked, at int64) int { return cmp.Compare(b.at, at) })
	s.commands = slices.Insert(s.commands, i, a)
}

// placeOf is the place of a command among all.
func (s *State) placeOf(c *Entry) int64 {
	for _, a := range s.commands {
		if a.cmd.Command.ID == c.Command.ID {
			return a.at
		}
	}
	return c.Command.N
}

func (s *State) answer(e *Entry) {
	id := e.Answer.Command.ID
	same := func(a asked) bool { return a.cmd.Command.ID == id }
	i := slices.IndexFunc(s.commands, same)
	if !e.Answer.State.final() {
		if i >= 0 {
			s.commands[i].accepted = true
		}
		return
	}
	if i >= 0 {
		s.commands = slices.Delete(s.commands, i, i+1)
	}
	if !s.answered[id] {
		s.answered[id] = true
		at, _ := slices.BinarySearchFunc(s.answers, e.Answer.N, func(a *Entry, n int64) int { return cmp.Compare(a.Answer.N, n) })
		s.answers = slices.Insert(s.answers, at, e)
		if v := e.Answer.Command.Verb; v == Pause || v == Resume {
			s.pauses()
		}
	}
}

// pauses finds the pauses that are in force.
func (s *State) pauses() {
	s.paused, s.held, s.whole = s.inForce(), make(map[KeyID]*AnswerBody), nil
	for _, e := range s.paused {
		if e.Answer.Command.Whole {
			s.whole = e.Answer
		} else {
			s.held[ID(e.Key)] = e.Answer
		}
	}
}

// Pauses calls yield for each pause in force: of the key, or of the partition.
func (s *State) Pauses(yield func(key []byte, a *AnswerBody) bool) {
	for _, e := range s.paused {
		if !yield(e.Key, e.Answer) {
			return
		}
	}
}

// holdsAbove reports whether something is parked, or settled above a watermark.
func (s *State) holdsAbove(watermark int64) bool {
	if s.parkedKeys > 0 {
		return true
	}
	for _, k := range s.keys {
		if k.upTo > watermark {
			return true
		}
	}
	return false
}

// forget drops what the commit of a watermark has made useless: keys without
// parked records, all of whose settled records lie below it.
func (s *State) forget(watermark int64) {
	for id, k := range s.keys {
		if len(k.recs) == 0 && k.upTo <= watermark {
			delete(s.keys, id)
		}
	}
}

// forgetAnswers drops final answers given before a time, except to pauses in
// force. A repeat of a command that old is refused for its age.
func (s *State) forgetAnswers(before int64) {
	s.answers = slices.DeleteFunc(s.answers, func(e *Entry) bool {
		id := e.Answer.Command.ID
		gone := e.Answer.At < before && !slices.ContainsFunc(s.paused, func(p *Entry) bool { return p.Answer.Command.ID == id })
		if gone {
			delete(s.answered, id)
		}
		return gone
	})
}

// inForce returns the answers to pauses that no resume has ended which was sent later.
// They may have been answered in another order, by several owners of which each knew only
// some of the answers.
func (s *State) inForce() (out []*Entry) {
	var all []*Entry
	for _, e := range s.answers {
		if a := e.Answer; a.State == Done && (a.Command.Verb == Pause || a.Command.Verb == Resume) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *Entry) int { return cmp.Compare(a.Answer.Command.N, b.Answer.Command.N) })
	for _, e := range all {
		a := e.Answer
		out = slices.DeleteFunc(out, func(p *Entry) bool {
			return p.Answer.Command.Whole == a.Command.Whole && (a.Command.Whole || sameKey(p.Key, e.Key))
		})
		if a.Command.Verb == Pause {
			out = append(out, e)
		}
	}
	return out
}

// dueBy returns the parked keys whose time has come, the longest parked first.
func (s *State) dueBy(now int64) (out []KeyID) {
	if now < s.soonest {
		return nil
	}
	s.soonest = never
	for id, k := range s.keys {
		if len(k.recs) > 0 {
			s.soonest = min(s.soonest, k.due)
			if k.due <= now {
				out = append(out, id)
			}
		}
	}
	slices.SortFunc(out, func(a, b KeyID) int { return cmp.Compare(s.keys[a].recs[0].offset, s.keys[b].recs[0].offset) })
	return out
}

// A ParkedKey is a key with parked records.
type ParkedKey struct {
	ID       KeyID
	Offset   int64 // of its head, in the source partition
	Pos      int64 // of its head, in the parking topic: key, cause and times stand there
	Records  int
	Releases int   // that failed at the head
	Last     int64 // when the head failed last, in milliseconds
	Due      int64 // in milliseconds; Waits when only an operator releases it
}

// A Place is where a parked record stands.
type Place struct {
	Offset, Pos int64
	Releases    int   // that failed at it
	Last        int64 // when it failed last, in milliseconds
}

// Places returns where the parked records of a key stand, the oldest first, limit at the
// most.
func (s *State) Places(id KeyID, limit int) (out []Place) {
	if k := s.keys[id]; k != nil {
		for _, r := range k.recs[:min(limit, len(k.recs))] {
			out = append(out, Place{r.offset, r.pos, int(r.tries), r.last})
		}
	}
	return out
}

// Oldest returns since when the key has failed that was parked first, in milliseconds;
// 0: nothing is parked. It looks at all keys.
func (s *State) Oldest() (at int64) {
	for _, k := range s.keys {
		if len(k.recs) > 0 && (at == 0 || k.from < at) {
			at = k.from
		}
	}
	return at
}

// DueUnder is when the owner whose marker is the last releases a key, as far as that
// says its schedule.
func (s *State) DueUnder(k ParkedKey, r Rules) int64 {
	if s.last != nil && s.last.First > 0 {
		r.First, r.Max = time.Duration(s.last.First)*time.Millisecond, time.Duration(s.last.Longest)*time.Millisecond
	}
	if k.Due == never || k.Due == 0 {
		return k.Due
	}
	return r.due(&Failure{Last: k.Last, Releases: k.Releases})
}

// Waits is the Due of a key that waits for an operator.
const Waits = never

// Parked calls yield for each parked key, in no order.
func (s *State) Parked(yield func(ParkedKey) bool) {
	for id, k := range s.keys {
		if len(k.recs) > 0 && !yield(ParkedKey{id, k.recs[0].offset, k.recs[0].pos, len(k.recs), int(k.recs[0].tries), k.recs[0].last, k.due}) {
			return
		}
	}
}

// Counts returns how much is parked, and how many entries did not count.
func (s *State) Counts() (keys, records int, bytes, void int64) {
	return s.parkedKeys, s.records, s.bytes, s.void
}

// Settled reports whether the record of the key at an offset is known to be
// parked or done, and whether the key has parked records.
func (s *State) Settled(id KeyID, offset int64) (settled, parked bool) {
	k := s.keys[id]
	return k != nil && offset < k.upTo, k != nil && len(k.recs) > 0
}

// Holds reports whether anything here would be missed.
func (s *State) Holds() bool { return len(s.keys) > 0 || len(s.commands) > 0 || len(s.answers) > 0 }
