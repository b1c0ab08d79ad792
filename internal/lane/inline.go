package lane

// A stream is where the records of a partition of keys wait for a worker, in offset
// order. A unit is made of a record when it comes to the head: then few units exist
// at a time, and those are in the processor's cache; made on arrival there is one for
// each key of the whole buffer.
//
// While handlers are fast even that costs more than they do. Then records run inline:
// one worker at a time takes a bunch from the head and runs it without any unit.
// Offset order is the order of every key, as long as
//
//   - a record leaves the stream only at its head, and what arrives joins its end;
//   - a record whose key has a unit joins that unit when it comes to the head. It is
//     younger than all that the unit has, and older than all that is in the stream;
//   - the worker ends the bunch at the first record that is not done. That record
//     gets a unit of its key then, and what is behind it goes back to the head;
//   - a worker that is stuck in a record loses the rest of the bunch in the same way;
//   - nothing else leaves the stream while a worker has a bunch of it.
//
// So nothing else needs to know: retries, ghosts, stuck handlers and whatever else
// befalls a record happens to a unit, and its key's later records come to it.
type stream struct {
	unit           // of it only the queue
	holder *worker // has a bunch of it
	on     bool    // handlers were fast at the last look
	turn   bool    // it was served last, not the ready units
	cut    int     // by how much the next inline bunch is shorter than it may be
}

const (
	// inlineBelow is the handler's average below which records run inline,
	// inlineUntil the one above which they no longer do: a single preemption
	// must not change the way of all that waits.
	inlineBelow = 2e3 // ns
	inlineUntil = 8e3
)

// waiting says that a worker can take something from the stream's head.
func (s *stream) waiting() bool { return s.n > 0 && s.holder == nil }

// inline reports whether handlers are fast enough, and remembers it.
func (p *Partition) inline() bool {
	s := &p.stream
	most := int64(inlineBelow)
	if s.on {
		most = inlineUntil
	}
	a := p.pool.average.Load()
	s.on = a > 0 && a < most || p.pool.inlineAlways.Load()
	return s.on
}

// streams says whether the partition has a stream: it has units of keys. A lane
// gathers its batch on arrival, and a partition that is one unit needs no other queue.
func (p *Partition) streams() bool {
	return !p.cfg.Whole && p.cfg.Lanes == 0 && p.cfg.BatchMax == 0 && !p.serial.on
}

// drainGated makes units of all that is in the stream while the gate is shut: heads
// are let through it one by one, whatever stands before them. What a worker has a
// bunch of comes first: what is behind follows when that worker is back, and its
// results are taken.
func (p *Partition) drainGated() {
	for s := &p.stream; p.gated() && s.holder == nil && s.n > 0; {
		p.enqueue(s.shift())
	}
}

// takeStream gives the worker an inline bunch from the stream's head, in runs of one
// record, when handlers are fast. Else it makes as many units ready as the worker
// can take, and no more: a bunch that was preempted looks slow too, and what stays in
// the stream runs inline again afterwards.
func (p *Partition) takeStream(w *worker, budget int) {
	s := &p.stream
	inline, ready := p.inline(), p.ready.n
	if inline {
		budget = max(budget-s.cut, 1)
	}
	for left := lockChunk; left > 0 && s.n > 0 && len(w.runs)+p.ready.n-ready < budget; left-- {
		it := s.shift()
		if !inline || p.units.n > 0 && p.units.get(it.Hash) != nil {
			p.enqueue(it)
			continue
		}
		if p.debts > 0 {
			p.collect(it)
		}
		n := len(w.items)
		w.items = append(w.items, it)
		w.runs = append(w.runs, Run{Part: p, Lane: -1, Items: w.items[n : n+1 : n+1]})
	}
	if w.inline = len(w.runs) > 0; w.inline {
		s.holder = w
	}
}

// unfinished says that nothing more of an inline bunch may start: the next record
// may be of the same key as the last, which is not done.
func (w *worker) unfinished() bool {
	return w.inline && w.executed > 0 && w.runs[w.executed-1].err != nil
}

// adopt gives the record of an inline run a unit, from which nothing else can
// start until the run has returned. There is none of that key: it would have gone
// there.
func (p *Partition) adopt(r *Run) *unit {
	u := p.newUnit(r.Items[0].Hash)
	u.state = unitRunning
	u.inFlight = 1
	if p.units.add(u) {
		p.tidyLater()
	}
	r.unit = u
	return u
}

// putBack returns runs that were not begun to where they came from.
func (p *Partition) putBack(runs []Run) {
	for i := len(runs) - 1; i >= 0; i-- {
		r := &runs[i]
		if r.unit == nil {
			p.stream.prepend(r.Items)
			continue
		}
		r.unit.prepend(r.Items)
		r.unit.inFlight = 0
		p.makeReady(r.unit)
	}
}

// shorten makes the next bunches shorter while bunches end before their last record,
// since one was not done: all that they leave is put back, and taken again. Where every
// record waits behind parked ones of its key, they would leave nearly all.
func (s *stream) shorten(executed, back int) {
	if back > 0 {
		s.cut = maxRun - min(executed, maxRun)
		return
	}
	s.cut = max(0, s.cut-executed)
}

// leave ends the worker's hold of the stream.
func (p *Partition) leave(w *worker) {
	if p.stream.holder != w {
		return
	}
	p.stream.holder = nil
	back := w.runs[w.executed:]
	p.ran(len(back))
	p.putBack(back)
	p.stream.shorten(w.executed, len(back))
}
