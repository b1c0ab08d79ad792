package parking

import "slices"

// none is no offset.
const none = -1

// An Item is a record of the source partition that has come to the head of its
// key.
type Item struct {
	Key    []byte
	Offset int64
	Body   *ParkedBody  // needed when it comes to be parked
	Skip   *CommandBody // an operator's: it counts as done
	run    *RunBody     // of those that came together
	at     int32        // its place among them
	behind bool         // it came together with the one before it
	Failed bool         // its attempts are used up, or it is Permanent
}

// record is what would be parked.
func (it *Item) record() *Record {
	if it.run != nil {
		return &it.run.Records[it.at].Record
	}
	return &it.Body.Record
}

// entry is that of the item, alone.
func (it *Item) entry(key []byte, after int64) *Entry {
	body := it.Body
	if it.run != nil {
		f := &it.run.Records[it.at]
		body = &ParkedBody{Record: f.Record, Topic: it.run.Topic, Partition: it.run.Partition, Timestamp: f.Timestamp}
	}
	return &Entry{Kind: KindParked, Key: key, Offset: it.Offset, After: after, Parked: body}
}

// work is a key that something happens to: live records wait for a decision, or
// parked ones are released. One thing is written at a time: parked records, or
// a resolution.
type work struct {
	n     int64
	key   []byte
	queue []Item // in order; the first written of them are on their way

	written   int
	inflight  int   // writes that are not read back; a run counts as one for each of its records
	first     bool  // one of them parks the key
	resolving int64 // the resolution under way goes up to here
	tooLarge  int64 // the record here cannot be parked
	singly    bool  // a run was too large

	releasing bool
	running   int64    // with a handler
	pos       int64    // where it stands
	done      int64    // what was handled in this release, up to here
	last      int64    // what was parked when it began, up to here
	failed    *Entry   // the failure that ends it, until it is read back
	retries   []*Entry // commands that wait for its end
	skips     []*Entry // commands
}

// working returns what is known of a key at work. Its key is not known while it
// is released on schedule, until its first record was read.
func (o *Owner) working(id KeyID) *work {
	w := o.work[id]
	if w == nil {
		o.count++
		w = &work{n: o.count, resolving: none, tooLarge: none, running: none, done: none, last: none}
		o.work[id] = w
	}
	return w
}

// Arrive takes a record that has come to the head of its key, failed or not yet
// handled. Settle, Live or Block follows, now or later; those of a key in order.
func (o *Owner) Arrive(it Item) []Action {
	id := ID(it.Key)
	w := o.working(id)
	w.key, w.queue = it.Key, append(w.queue, it)
	o.pump(id, w)
	o.look()
	return o.take()
}

// Follow is Arrive for records of a key that have come to its head together, in order,
// and have not failed.
func (o *Owner) Follow(key []byte, run RunBody) []Action {
	id := ID(key)
	w := o.working(id)
	w.key, w.queue = key, slices.Grow(w.queue, len(run.Records))
	for i := range run.Records {
		w.queue = append(w.queue, Item{Key: key, Offset: run.Records[i].Offset, behind: i > 0, run: &run, at: int32(i)})
	}
	o.pump(id, w)
	o.look()
	return o.take()
}

// Concerns reports whether a record that has come to the head of its key goes to
// Arrive; otherwise nothing speaks against handing it to its handler.
func (o *Owner) Concerns(key []byte, offset int64) bool {
	id := ID(key)
	k := o.state.keys[id]
	return k != nil && (len(k.recs) > 0 || offset < k.upTo) || o.work[id] != nil || o.Paused(id)
}

// Joins reports whether records of a key that Arrive now are written at once, since it is
// parked and not released, and up to which offset they are settled already.
func (o *Owner) Joins(key []byte) (upTo int64, ok bool) {
	id := ID(key)
	k := o.state.keys[id]
	if k == nil || len(k.recs) == 0 || len(k.recs) >= o.rules.MaxPerKey || !o.open() {
		return 0, false
	}
	w := o.work[id]
	return k.upTo, w == nil || !w.releasing && len(w.queue) == 0 && len(w.skips) == 0
}

// Waiting reports whether something of a record, or a note, was written that is not read back:
// a handover that waits for it repeats less.
func (o *Owner) Waiting() bool {
	if !o.marked || o.stale {
		return false
	}
	for _, w := range o.work {
		if w.inflight > 0 {
			return true
		}
	}
	return o.noting != 0
}

// pump does for a key what can be done now.
func (o *Owner) pump(id KeyID, w *work) {
	if w == nil {
		return
	}
	k := o.state.keys[id]
	if k == nil {
		k = &keyState{}
	}
	settled := 0
	for settled < len(w.queue) && w.queue[settled].Offset < k.upTo {
		settled++
	}
	if settled > 0 {
		together(w.queue[:settled], func(offset int64, n int) { o.emit(Settle{offset, n}) })
		for i := range w.queue[:settled] {
			o.anew(w.key, w.queue[i].Offset)
		}
		w.queue = w.queue[settled:]
		w.written = max(w.written-settled, 0)
	}
	if !o.open() {
		return
	}
	o.release(id, w, k)
	o.decide(id, w, k)
	if len(w.queue) == 0 && w.inflight == 0 && !w.releasing && len(w.skips) == 0 {
		delete(o.work, id)
	}
}

// decide says what becomes of the live records of a key that wait.
func (o *Owner) decide(id KeyID, w *work, k *keyState) {
	if len(w.queue) == 0 {
		return
	}
	handled := w.releasing && len(k.recs) > 0 && w.done >= k.recs[len(k.recs)-1].offset
	switch first := w.queue[0]; {
	case handled && o.rules.broken(ruleResolved) && !o.Paused(id):
	case w.inflight > 0 && w.resolving != none:
		return
	case w.releasing && (len(k.recs) <= o.rules.Join || w.done >= w.last):
		// The rest fits: they follow it to the handler. And where it does not, they wait
		// once all is done that was parked when the release began: it has to end, however
		// many come.
		return
	case len(k.recs) > 0 || w.inflight > 0:
		o.park(w, k)
		return
	case first.Skip != nil:
		o.skip(w, first)
		return
	case o.Paused(id) && !first.Failed:
		return // in memory
	case first.Failed:
		reason := "it is too large for the parking topic"
		if first.Offset != w.tooLarge {
			if reason = o.room(k, first.record().Size(), 0, true); reason == "" {
				o.park(w, k)
				return
			}
		}
		o.emit(Block{first.Offset, reason, first.Offset == w.tooLarge})
		if w.queue = w.queue[1:]; o.Paused(id) {
			return
		}
	}
	together(w.queue, func(offset int64, n int) { o.emit(Live{offset, n}) })
	w.queue, w.tooLarge, w.singly = nil, none, false
}

// together calls f for records of a key that came together, as far as they are still
// here.
func together(queue []Item, f func(offset int64, n int)) {
	for len(queue) > 0 {
		n := 1
		for n < len(queue) && queue[n].behind {
			n++
		}
		f(queue[0].Offset, n)
		queue = queue[n:]
	}
}

// skip writes that a record which is not parked counts as done: all of its key below are
// settled, since it is at the head.
func (o *Owner) skip(w *work, it Item) {
	o.skipped[it.Skip.ID] = true
	o.write(&Entry{Kind: KindResolved, Key: w.key, Offset: it.Offset,
		Resolved: &ResolvedBody{Last: it.Offset, Skipped: true, By: it.Skip.ID, Reason: it.Skip.Reason}}, -1)
	w.inflight, w.resolving = 1, it.Offset
}

// park writes what waits, each record resting on the one before it: those that have
// not failed in runs.
func (o *Owner) park(w *work, k *keyState) {
	if w.inflight > 0 && w.inflight < w.written {
		return // one of them did not make it: what rests on it goes first
	}
	for i := w.written; i < len(w.queue); i = w.written {
		after := int64(0)
		switch {
		case i > 0:
			after = w.queue[i-1].Offset + 1
		case len(k.recs) > 0:
			after = k.upTo
		}
		n, bytes, first := o.fits(w, k, i)
		if n == 0 {
			return // it waits in memory until the key is released
		}
		if it := &w.queue[i]; n == 1 {
			o.write(it.entry(w.key, after), -1)
		} else {
			o.write(&Entry{Kind: KindRun, Key: w.key, Offset: it.Offset, After: after,
				Run: &RunBody{Topic: it.run.Topic, Partition: it.run.Partition, N: n, Records: it.run.Records[it.at : int(it.at)+n : int(it.at)+n]}}, -1)
		}
		w.written += n
		w.inflight += n
		o.newBytes += bytes
		if first {
			w.first = true
			o.newKeys++
		}
	}
}

// fits returns how many records of a key, from a place in its queue on, are written as
// one entry, and what they take up; first: they park the key.
func (o *Owner) fits(w *work, k *keyState, from int) (n int, bytes int64, first bool) {
	first = len(k.recs) == 0 && !w.first
	for i := from; i < len(w.queue); i++ {
		it := &w.queue[i]
		size := it.record().Size()
		if n > 0 && (!it.behind || w.singly || n >= o.rules.Run || bytes+size > runBytes) {
			break
		}
		if it.Offset == w.tooLarge || o.room(k, bytes+size, i, first) != "" {
			break
		}
		n, bytes = n+1, bytes+size
	}
	return n, bytes, first
}

// unreserve takes a write of a key out of what the caps hold for.
func (o *Owner) unreserve(w *work, e *Entry) {
	switch {
	case e.Parked != nil:
		o.newBytes -= e.Parked.Record.Size()
	case e.Run != nil:
		for i := range e.Run.Records {
			o.newBytes -= e.Run.Records[i].Record.Size()
		}
	}
}

// unreserveKey takes the key out of what the caps hold for, when it is parked or nothing
// that could park it is on its way. Writes may land in another order: one that rests on
// the first of its key and comes before it parks nothing.
func (o *Owner) unreserveKey(id KeyID, w *work) {
	if k := o.state.keys[id]; w.first && (w.inflight == 0 || k != nil && len(k.recs) > 0) {
		w.first = false
		o.newKeys--
	}
}

// room says which cap so many bytes more of a key would break, behind so many records of
// it that wait or are on their way; first: it is not parked yet.
func (o *Owner) room(k *keyState, bytes int64, before int, first bool) string {
	s, r := o.state, o.rules
	switch {
	case len(k.recs)+before >= r.MaxPerKey:
		return "the key has as many parked records as Parking.Caps allows"
	case first && s.parkedKeys+o.newKeys >= r.MaxKeys && !r.broken(ruleCaps):
		return "the partition has as many parked keys as Parking.Caps allows"
	case s.bytes+o.newBytes+bytes > r.MaxBytes && !r.broken(ruleCaps):
		return "the partition has as many parked bytes as Parking.Caps allows"
	}
	return ""
}

// releaseDue begins the releases whose time has come, as many as may run at a time.
func (o *Owner) releaseDue() {
	if len(o.due) == 0 || o.now < o.looked || o.now-o.looked >= LookAgain {
		o.due, o.looked = o.state.dueBy(o.now), o.now
	}
	for o.busy < o.rules.Releases && o.beginNext() {
	}
}

// LookAgain is how long, in milliseconds, keys that are due are released in the order in
// which they were found, before those that are due meanwhile take their place among them.
const LookAgain = 10_000

// beginNext begins the release of one of the keys that were due when it was looked for
// them; false: of none.
func (o *Owner) beginNext() bool {
	if o.now < o.notBefore {
		return false
	}
	for len(o.due) > 0 {
		id := o.due[0]
		o.due = o.due[1:]
		k, w := o.state.keys[id], o.work[id]
		if k != nil && len(k.recs) > 0 && k.due <= o.now && !o.Paused(id) && (w == nil || !w.releasing) {
			o.begin(id)
			return true
		}
	}
	o.due = nil
	return false
}

// releaseMore begins a release for each that has ended well. After one that failed nothing
// begins before the next Tick: what a handler needs may be gone.
func (o *Owner) releaseMore() {
	for ; o.freed > 0 && o.open(); o.freed-- {
		if o.busy < o.rules.Releases {
			o.beginNext()
		}
	}
}

func (o *Owner) begin(id KeyID) {
	w := o.working(id)
	if !w.releasing {
		w.releasing, w.done, w.last = true, none, none
		if k := o.state.keys[id]; k != nil && len(k.recs) > 0 {
			w.last = k.recs[len(k.recs)-1].offset
		}
		o.busy++
	}
	o.pump(id, w)
}

// release goes on with a key's release: handlers run ahead of the resolutions,
// of which one at a time is written, for all that is done by then.
func (o *Owner) release(id KeyID, w *work, k *keyState) {
	if w.inflight > 0 && w.resolving == none {
		return // live records are being parked
	}
	if w.inflight == 0 {
		o.record(w, k)
	}
	if w.releasing && w.inflight == 0 && w.running == none && w.failed == nil && len(w.retries)+len(w.skips) == 0 && o.Paused(id) {
		o.end(w, "") // its place is for others; resumed it is due
		o.freed++
	}
	if !w.releasing || w.running != none || w.failed != nil || len(w.skips) > 0 || o.Paused(id) {
		return
	}
	for _, r := range k.recs {
		if r.offset > w.done {
			w.running, w.pos = r.offset, r.pos
			o.emit(Run{id, r.offset, r.pos, int(r.tries)})
			return
		}
	}
}

// record writes the next thing that has to be known of a release, or ends it.
func (o *Owner) record(w *work, k *keyState) {
	write := func(e *Entry, upTo, from int64) {
		e.Key = w.key
		o.write(e, from)
		w.inflight, w.resolving = 1, upTo
	}
	switch f := w.failed; {
	case len(k.recs) > 0 && w.done >= k.recs[0].offset:
		write(&Entry{Kind: KindResolved, Offset: k.recs[0].offset, Resolved: &ResolvedBody{Last: w.done}}, w.done, -1)
	case f != nil && len(k.recs) > 0 && k.recs[0].offset == f.Offset && int(k.recs[0].tries) < f.Tried.Failure.Releases:
		write(&Entry{Kind: KindTried, Offset: f.Offset, Tried: f.Tried}, f.Offset, -1)
	case f != nil:
		w.failed = nil
		o.end(w, "failed again: "+f.Tried.Failure.Cause)
	case w.running == none && len(w.skips) > 0:
		c := w.skips[0]
		if i, parked := k.find(c.Offset); parked {
			o.skipped[c.Command.ID] = true
			write(&Entry{Kind: KindResolved, Offset: c.Offset,
				Resolved: &ResolvedBody{Last: c.Offset, Skipped: true, By: c.Command.ID, Reason: c.Command.Reason}}, c.Offset, k.recs[i].pos)
			return
		}
		result := "it was settled before"
		if o.skipped[c.Command.ID] {
			result = "skipped"
		}
		w.skips = w.skips[1:]
		o.answer(c, Done, result)
		o.record(w, k)
	case w.releasing && w.running == none && len(k.recs) == 0:
		o.end(w, "released")
		o.freed++
	}
}

// end ends a release and answers who asked for it.
func (o *Owner) end(w *work, result string) {
	w.releasing = false
	o.busy--
	for _, c := range w.retries {
		o.answer(c, Done, result)
	}
	w.retries = nil
}

// Ended takes the return of the handler of a parked record, handed over by Run.
// A nil failure is a success. The failure's Releases is counted here.
func (o *Owner) Ended(key []byte, offset int64, failure *Failure) []Action {
	id := ID(key)
	w := o.work[id]
	if w == nil || w.running != offset {
		return nil
	}
	w.key, w.running = key, none
	o.deleteOn()
	if failure == nil {
		w.done = offset
	} else {
		o.failedAgain(id, w, offset, *failure)
	}
	o.pump(id, w)
	o.releaseMore()
	return o.take()
}

// Unread takes back a Run whose record could not be read: it comes again.
func (o *Owner) Unread(r Run) {
	if w := o.work[r.ID]; w != nil && w.running == r.Offset {
		w.running = none
	}
}

func (o *Owner) failedAgain(id KeyID, w *work, offset int64, f Failure) {
	k := o.state.keys[id]
	if k == nil {
		return
	}
	for i := range k.recs {
		if r := &k.recs[i]; r.offset == offset {
			f.Releases = int(r.tries) + 1
		}
	}
	w.failed = &Entry{Kind: KindTried, Key: w.key, Offset: offset, Tried: &TriedBody{Failure: f}}
}
