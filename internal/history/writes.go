package history

import "slices"

// The half of the checker that judges what producers wrote: the outcomes that
// their clients told, against what a reader of the log found. It keeps numbers,
// not records: see spans.

// maxGaps bounds the ranges that are kept of one key's numbers, and of one
// partition's offsets. What is forgotten is not judged, and counted.
const (
	maxKeyGaps  = 1 << 10
	maxPartGaps = 1 << 16
	maxFloors   = 64
)

// logState is what is known of one topic.
type logState struct {
	keys  map[Key]*keyState
	parts map[int32]*logPart
}

// logPart is one partition as the reader of the log and the application see it.
type logPart struct {
	at      place
	read    spans // offsets that the reader of the log found
	readTop int64 // the last of them, -1 without one
	sure    int64 // below it gaps are forgotten
	values  values
	ackMax  int64 // highest acknowledged offset, -1 without one
	ackMaxN int64
	app     *appPart // nil until an application takes part
}

// keyState is what is known of one key of a topic.
type keyState struct {
	key     Key
	parts   []int32   // where it was found; one, unless it is split
	streams []*stream // the one used last is the first
	checked bool
	did     *didMark
}

// stream is the records of one key that one writer wrote under one epoch.
type stream struct {
	writer              string
	epoch               int64
	sent                int64
	acked, read, failed spans
	part                int32 // of the last record read
	high, highOff       int64 // highest number read there
	highN               int64
	ackHigh, ackOff     int64 // highest number acknowledged with an offset
	ackPart             int32
	ackN                int64
	forgot              int64 // numbers up to here are not judged any more
	floors              []floor
}

// floor is the highest offset that was acknowledged when a number was sent: it
// and later ones belong above it.
type floor struct {
	from, off, n int64
	part         int32
}

// Record names one record: by its number, by its place, or both.
type Record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"` // -1: not known
	Offset    int64  `json:"offset"`    // -1: not known
	Key       Key    `json:"key"`
	Writer    string `json:"writer,omitempty"`
	Epoch     int64  `json:"epoch,omitempty"`
	Number    int64  `json:"number,omitempty"` // 0: it has none
}

func (e *Event) record() Record {
	return Record{e.Topic, e.Partition, e.Offset, e.Key, e.Writer, e.Epoch, e.Number}
}

func (c *Checker) topic(name string) *logState {
	t := c.topics[name]
	if t == nil {
		t = &logState{keys: map[Key]*keyState{}, parts: map[int32]*logPart{}}
		c.topics[name] = t
	}
	return t
}

func (c *Checker) logPart(topic string, id int32) *logPart {
	t := c.topic(topic)
	p := t.parts[id]
	if p == nil {
		p = &logPart{at: place{topic, id}, readTop: -1, ackMax: -1}
		t.parts[id] = p
	}
	return p
}

func (c *Checker) keyState(e *Event) *keyState {
	t := c.topic(e.Topic)
	k := t.keys[e.Key]
	if k == nil {
		k = &keyState{key: e.Key}
		t.keys[e.Key] = k
		c.keys++
	}
	return k
}

func (k *keyState) stream(e *Event) *stream {
	for i, s := range k.streams {
		if s.epoch == e.Epoch && s.writer == e.Writer {
			if i > 0 {
				k.streams[0], k.streams[i] = s, k.streams[0]
			}
			return s
		}
	}
	s := &stream{writer: e.Writer, epoch: e.Epoch, part: -1, ackPart: -1, ackOff: -1}
	k.streams = append(k.streams, s)
	last := len(k.streams) - 1
	k.streams[0], k.streams[last] = s, k.streams[0]
	return s
}

// see counts a key in which an order could be seen.
func (c *Checker) see(k *keyState) {
	if !k.checked {
		k.checked = true
		c.checkedKeys++
	}
}

func (c *Checker) send(e *Event) {
	c.rep.Sends++
	k := c.keyState(e)
	s := k.stream(e)
	if e.Number <= s.sent {
		c.rep.Resends++
		s.failed.remove(e.Number) // it may be written now
		return
	}
	s.sent = e.Number
	if len(k.parts) == 0 {
		return
	}
	p := c.logPart(e.Topic, k.parts[len(k.parts)-1])
	if p.ackMax < 0 {
		return
	}
	if n := len(s.floors); n > 0 && s.floors[n-1].n == p.ackMaxN {
		return
	}
	if len(s.floors) == maxFloors {
		s.floors = slices.Delete(s.floors, 0, 1)
		c.rep.Uncompared++
	}
	s.floors = append(s.floors, floor{e.Number, p.ackMax, p.ackMaxN, p.at.id})
}

// placed judges a record's place when it is first told, by what had been
// acknowledged before it was sent.
func (c *Checker) placed(e *Event, s *stream) {
	if s.acked.has(e.Number) || s.read.has(e.Number) {
		return
	}
	i := len(s.floors) - 1
	for i >= 0 && s.floors[i].from > e.Number {
		i--
	}
	if i < 0 {
		return
	}
	if f := s.floors[i]; f.part == e.Partition && e.Offset < f.off {
		c.found(RealtimeOrder, e, []int64{f.n}, []Record{e.record(), {Topic: e.Topic, Partition: f.part, Offset: f.off}},
			"%s was sent after offset %d had been acknowledged, and stands before it", e.name(), f.off)
	}
	// Records before it were sent before it; few of them have no place yet.
	s.floors = slices.Delete(s.floors, 0, i)
}

func (c *Checker) ack(e *Event) {
	k := c.keyState(e)
	s := k.stream(e)
	if !s.acked.has(e.Number) {
		c.rep.Acked++
	}
	if e.located() {
		p := c.logPart(e.Topic, e.Partition)
		c.observe(p, e)
		c.placed(e, s)
		if e.Offset > p.ackMax {
			p.ackMax, p.ackMaxN = e.Offset, e.N
		}
		if e.Number >= s.ackHigh {
			s.ackHigh, s.ackPart, s.ackOff, s.ackN = e.Number, e.Partition, e.Offset, e.N
		}
		k.add(e.Partition)
	}
	s.failed.remove(e.Number)
	s.acked.add(e.Number)
	c.bound(s)
}

// add notes where the key is without judging it: only the log tells for sure.
func (k *keyState) add(part int32) {
	if len(k.parts) == 0 {
		k.parts = append(k.parts, part)
	}
}

func (c *Checker) fail(e *Event) {
	c.rep.Failed++
	s := c.keyState(e).stream(e)
	s.acked.remove(e.Number) // a transaction took it back
	if s.read.has(e.Number) && e.Number > s.forgot {
		r := e.record()
		r.Partition, r.Offset = -1, -1
		c.found(AbortedRead, e, nil, []Record{r}, "%s is in the log, but its write failed for sure%s", e.name(), because(e.Why))
		return
	}
	s.failed.add(e.Number)
	c.bound(s)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (c *Checker) logRead(e *Event) {
	c.rep.Reads++
	p := c.logPart(e.Topic, e.Partition)
	c.observe(p, e)
	if e.Offset <= p.readTop {
		return // the log was read again: only its values are compared
	}
	c.jumped(p, e)
	p.readTop = e.Offset
	p.read.add(e.Offset)
	if len(p.read) > 2*maxPartGaps {
		c.rep.Uncompared += p.read.shrink(maxPartGaps)
		p.sure = p.read[0].hi + 1
	}
	k := c.keyState(e)
	c.split(k, e)
	if e.Number == 0 {
		c.rep.Unnumbered++
		return
	}
	c.written(k, k.stream(e), e)
}

// split judges the partition of a key's record. The null key has no partition.
func (c *Checker) split(k *keyState, e *Event) {
	if slices.Contains(k.parts, e.Partition) {
		return
	}
	if len(k.parts) > 0 && !e.Key.IsNull() {
		c.found(KeySplit, e, nil, []Record{e.record(), {Topic: e.Topic, Partition: k.parts[0], Offset: -1, Key: e.Key}},
			"%s: the key was in partition %d before", e.name(), k.parts[0])
	}
	k.parts = append(k.parts, e.Partition)
}

// written judges a numbered record of the log by those before it.
func (c *Checker) written(k *keyState, s *stream, e *Event) {
	for _, o := range k.streams {
		if o.writer == s.writer && o.epoch > s.epoch && len(o.read) > 0 {
			c.found(ZombieWrite, e, []int64{o.highN}, []Record{e.record(), o.highest(e)},
				"%s was written by %s under epoch %d behind its records of epoch %d", e.name(), writerName(e.Writer), e.Epoch, o.epoch)
			break
		}
	}
	if s.read.has(e.Number) {
		if e.Number <= s.forgot {
			c.rep.Uncompared++
			return
		}
		var first []int64
		if e.Number == s.high {
			first = []int64{s.highN}
		}
		c.found(DuplicateWrite, e, first, []Record{e.record()}, "%s is in the log for the second time", e.name())
		return
	}
	if s.part == e.Partition && e.Number < s.high {
		c.found(NonmonotonicSend, e, []int64{s.highN}, []Record{e.record(), s.highest(e)},
			"%s was sent before number %d, which stands before it at offset %d", e.name(), s.high, s.highOff)
	} else {
		s.part, s.high, s.highOff, s.highN = e.Partition, e.Number, e.Offset, e.N
	}
	if s.failed.has(e.Number) {
		c.found(AbortedRead, e, nil, []Record{e.record()}, "%s is in the log, but its write failed for sure", e.name())
	}
	c.placed(e, s)
	if len(s.read) > 0 {
		c.see(k)
	}
	s.read.add(e.Number)
	c.bound(s)
}

func (s *stream) highest(e *Event) Record {
	return Record{e.Topic, s.part, s.highOff, e.Key, s.writer, s.epoch, s.high}
}

// bound keeps what one key costs within limits.
func (c *Checker) bound(s *stream) {
	for _, set := range []*spans{&s.acked, &s.read, &s.failed} {
		if len(*set) > 2*maxKeyGaps {
			c.rep.Uncompared += set.shrink(maxKeyGaps)
			s.forgot = max(s.forgot, (*set)[0].hi)
		}
	}
}

func writerName(w string) string {
	if w == "" {
		return "the writer"
	}
	return w
}
