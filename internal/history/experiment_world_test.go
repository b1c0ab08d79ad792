package history

import (
	"fmt"
	"slices"
)

// trial is an experiment in which all goes well, whatever befalls it: producers
// keep order, the log keeps what it acknowledged, members hand over in order.
// What it writes down must have no violation. It shares no code with the checker.
type trial struct {
	draw      func(below int) int
	compacted bool
	events    []Event
	parts     []*tPart
	writers   []*tWriter
	members   []*tMember
	keys      int
	sent      int
	index     map[witness]int // of events, when all has ended
	epochs    map[witness]int64
}

type tPart struct {
	id        int32
	log       []*tRec // and entries that nobody sees
	next      int64
	reader    int // index of the next entry for the reader of the log
	pos       int // and for the owner
	owner     *tMember
	queue     []*tRec // polled by the owner, not done
	done      map[*tRec]bool
	committed int // index
	polled    int // index behind the last entry ever polled
}

type tRec struct {
	part    *tPart
	key     Key
	writer  *tWriter
	epoch   int64
	number  int64
	offset  int64
	pending bool // of an open transaction
	aborted bool
	gone    bool // compacted away, for whoever comes later
}

type tWriter struct {
	name    string
	epoch   int64
	txn     bool
	open    []*tRec
	numbers map[Key]int64
	flight  map[*tPart][]*tRec // sent, not appended
	acks    []*tRec            // appended, not answered
}

type tMember struct {
	name   string
	frozen bool
	dead   bool
	zombie map[*tPart][]*tRec // polled, not done, when it was superseded
}

func (r *tRec) event(kind Kind, m string) Event {
	e := Event{Kind: kind, Member: m, Topic: topic, Key: r.key, Writer: r.writer.name, Epoch: r.epoch, Number: r.number}
	switch kind {
	case Ack, LogRead, Poll, Did:
		e.Partition, e.Offset = r.part.id, r.offset
	}
	return e
}

func (w *trial) emit(e Event) { w.events = append(w.events, e) }

func newTrial(draw func(int) int, keys int) *trial {
	w := &trial{draw: draw, keys: keys}
	for i := range 1 + draw(4) {
		w.parts = append(w.parts, &tPart{id: int32(i), done: map[*tRec]bool{}})
	}
	for i := range 1 + draw(3) {
		wr := &tWriter{name: fmt.Sprintf("w%d", i), numbers: map[Key]int64{}, flight: map[*tPart][]*tRec{}, txn: draw(3) == 0}
		w.writers = append(w.writers, wr)
	}
	for range 1 + draw(2) {
		w.join()
	}
	for _, p := range w.parts {
		w.give(p)
	}
	return w
}

func (w *trial) join() *tMember {
	m := &tMember{name: fmt.Sprintf("m%d", len(w.members)), zombie: map[*tPart][]*tRec{}}
	w.members = append(w.members, m)
	return m
}

func (w *trial) give(p *tPart) {
	var can []*tMember
	for _, m := range w.members {
		if !m.dead && !m.frozen && m != p.owner {
			can = append(can, m)
		}
	}
	m := p.owner
	if len(can) > 0 {
		m = can[w.draw(len(can))]
	} else if m == nil || m.dead || m.frozen {
		m = w.join()
	}
	p.owner, p.pos, p.queue = m, p.committed, nil
	delete(m.zombie, p) // it knows now
	w.emit(Event{Kind: Assign, Member: m.name, Topic: topic, Partition: p.id})
}

func (w *trial) send(wr *tWriter) {
	n := w.draw(w.keys)
	key := StringKey(fmt.Sprint("k", n))
	p := w.parts[n%len(w.parts)]
	wr.numbers[key]++
	r := &tRec{part: p, key: key, writer: wr, epoch: wr.epoch, number: wr.numbers[key]}
	wr.flight[p] = append(wr.flight[p], r)
	w.sent++
	w.emit(r.event(Send, ""))
}

// write lets the broker take the oldest record of a writer and partition.
func (w *trial) write(wr *tWriter, p *tPart) {
	if len(wr.flight[p]) == 0 {
		return
	}
	r := wr.flight[p][0]
	wr.flight[p] = wr.flight[p][1:]
	switch w.draw(40) {
	case 0: // refused for sure
		w.emit(r.event(Fail, ""))
		return
	case 1: // cut before the append, and given up
		w.emit(r.event(Unclear, ""))
		return
	}
	if w.draw(10) == 0 {
		p.next += int64(1 + w.draw(3)) // markers, compaction
	}
	r.offset = p.next
	p.next++
	p.log = append(p.log, r)
	if w.compacted {
		for _, o := range p.log[:len(p.log)-1] {
			if o.key == r.key && !r.writer.txn && w.draw(3) == 0 {
				o.gone = true
			}
		}
	}
	if wr.txn {
		r.pending = true
		wr.open = append(wr.open, r)
	}
	if w.draw(20) == 0 && !wr.txn {
		w.emit(r.event(Unclear, "")) // written, and the answer is lost
		return
	}
	wr.acks = append(wr.acks, r)
}

func (w *trial) answer(wr *tWriter) {
	if len(wr.acks) == 0 {
		return
	}
	r := wr.acks[0]
	wr.acks = wr.acks[1:]
	e := r.event(Ack, "")
	if w.draw(20) == 0 {
		e.Partition, e.Offset = -1, -1 // as after DUPLICATE_SEQUENCE_NUMBER
	}
	w.emit(e)
}

// endTxn commits or aborts what the writer has open.
func (w *trial) endTxn(wr *tWriter, abort bool) {
	for len(wr.acks) > 0 {
		w.answer(wr)
	}
	for _, r := range wr.open {
		r.pending, r.aborted = false, abort
		if abort {
			w.emit(r.event(Fail, ""))
		}
	}
	for _, p := range w.parts {
		p.next++ // the marker
	}
	wr.open = nil
}

// newEpoch fences what the writer has not written yet.
func (w *trial) newEpoch(wr *tWriter) {
	w.endTxn(wr, true)
	for _, p := range w.parts {
		for _, r := range wr.flight[p] {
			w.emit(r.event(Unclear, ""))
		}
	}
	clear(wr.flight)
	clear(wr.numbers)
	wr.epoch++
}

// visible moves on to the next entry that a committed reader gets.
func (w *trial) visible(p *tPart, i int) (*tRec, int) {
	for ; i < len(p.log); i++ {
		switch r := p.log[i]; {
		case r.pending:
			return nil, i
		case r.aborted, r.gone:
		default:
			return r, i + 1
		}
	}
	return nil, i
}

func (w *trial) read(p *tPart) bool {
	var r *tRec
	if r, p.reader = w.visible(p, p.reader); r == nil {
		return false
	}
	w.emit(r.event(LogRead, ""))
	return true
}

func (w *trial) poll(p *tPart) bool {
	if p.owner.frozen {
		return false
	}
	var r *tRec
	if r, p.pos = w.visible(p, p.pos); r == nil {
		return false
	}
	p.polled = max(p.polled, p.pos)
	p.queue = append(p.queue, r)
	w.emit(r.event(Poll, p.owner.name))
	return true
}

// finish ends the processing of some key's oldest record.
func (w *trial) finish(p *tPart) bool {
	if p.owner.frozen || len(p.queue) == 0 {
		return false
	}
	r := p.queue[w.draw(len(p.queue))]
	for _, o := range p.queue {
		if o.key == r.key {
			r = o
			break
		}
	}
	p.queue = slices.DeleteFunc(p.queue, func(o *tRec) bool { return o == r })
	e := r.event(Did, p.owner.name)
	e.Cancelled = w.draw(50) == 0 && !p.done[r]
	p.done[r] = true
	w.emit(e)
	return true
}

func (w *trial) commit(p *tPart) {
	if p.owner.frozen {
		return
	}
	to := p.pos
	for i := p.committed; i < p.pos; i++ {
		if slices.Contains(p.queue, p.log[i]) {
			to = i
			break
		}
	}
	p.committed = max(p.committed, to)
	offset := p.next
	if p.committed < len(p.log) {
		offset = p.log[p.committed].offset
	}
	w.emit(Event{Kind: Commit, Member: p.owner.name, Topic: topic, Partition: p.id, Offset: offset})
}

// handover is a clean one.
func (w *trial) handover(p *tPart) {
	if p.owner.frozen {
		return
	}
	for w.finish(p) {
	}
	w.commit(p)
	w.emit(Event{Kind: Revoke, Member: p.owner.name, Topic: topic, Partition: p.id})
	w.give(p)
}

func (w *trial) kill(m *tMember) {
	m.dead = true
	w.emit(Event{Kind: Kill, Member: m.name})
	for _, p := range w.parts {
		if p.owner == m {
			w.give(p)
		}
	}
}

func (w *trial) freeze(m *tMember) {
	m.frozen = true
	w.emit(Event{Kind: Freeze, Member: m.name})
	for _, p := range w.parts {
		if p.owner == m {
			m.zombie[p] = p.queue
			w.give(p)
		}
	}
}

// thaw lets a member go on for a moment with what it does not know it has lost.
func (w *trial) thaw(m *tMember) {
	m.frozen = false
	w.emit(Event{Kind: Thaw, Member: m.name})
	for _, p := range w.parts {
		if z := m.zombie[p]; len(z) > 0 && p.done[z[0]] {
			w.emit(z[0].event(Did, m.name))
		}
	}
	clear(m.zombie)
}

func (w *trial) step() {
	p := w.parts[w.draw(len(w.parts))]
	wr := w.writers[w.draw(len(w.writers))]
	switch n := w.draw(1000); {
	case n < 200:
		w.send(wr)
	case n < 400:
		w.write(wr, p)
	case n < 550:
		w.answer(wr)
	case n < 700:
		w.read(p)
	case n < 830:
		w.poll(p)
	case n < 960:
		w.finish(p)
	case n < 975:
		w.commit(p)
	case n < 982:
		if wr.txn {
			w.endTxn(wr, w.draw(3) == 0)
		}
	case n < 985:
		if w.draw(w.keys/5+1) == 0 {
			w.newEpoch(wr)
		}
	case n < 990:
		w.handover(p)
	case n < 993:
		w.kill(p.owner)
	case n < 995:
		if !p.owner.frozen {
			w.freeze(p.owner)
		}
	case n < 998:
		for _, m := range w.members {
			if m.frozen && !m.dead {
				w.thaw(m)
			}
		}
	default:
		w.emit(Event{Kind: Fault, Why: "lost-ack", Topic: topic, Partition: p.id})
	}
}

// end lets all be written, read and processed.
func (w *trial) end() []Event {
	for _, wr := range w.writers {
		for _, p := range w.parts {
			for len(wr.flight[p]) > 0 {
				w.write(wr, p)
			}
		}
		for len(wr.acks) > 0 {
			w.answer(wr)
		}
		w.endTxn(wr, false)
	}
	for _, p := range w.parts {
		for w.read(p) {
		}
		if p.owner.frozen {
			w.give(p)
		}
		for w.poll(p) {
		}
		for w.finish(p) {
		}
		w.commit(p)
	}
	return w.events
}
