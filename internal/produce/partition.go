package produce

import "time"

// An Outcome is what became of a record.
type Outcome uint8

const (
	Written      Outcome = iota // acknowledged
	NotWritten                  // surely not in the log
	MaybeWritten                // in the log or not: nobody can tell
)

// An Item is one record on its way. There are as many as the buffer allows, and
// memory is what a producer waits for most: what only failures need is in Fate.
type Item struct {
	Key     []byte        // nil: no key, which is a sequence of its own
	Due     time.Duration // on the caller's clock: it fails when it is not answered by then
	Payload any
	Size    int32 // counted against the budget
	Wire    int32 // at most so many bytes of a batch

	Outcome Outcome // when it is told
	told    bool    // it is in out, or beyond
	Fate    *Fate   // of one that failed
}

// A Fate is why a record failed.
type Fate struct {
	Err error
	Why *Closed // the closed key; nil when the record failed for itself
	// Refused: it was never handed over, because of an earlier record of its key.
	Refused bool

	then []*Item // refused ones of its key, to be told right after it
}

// Closed is a key of which a record failed.
type Closed struct {
	Key   []byte
	First *Item // its first failed record, in the key's order
	Cause error
	Note  string // of the producer, about First

	last *Item // of the key's records before First, the last that is not told
}

// A Partition is the state of the records of one partition. Live records are in
// the queue or in the run; decided ones go to out, in the order in which their
// caller is to be told.
type Partition struct {
	queue   deque
	run     []*Item // handed to the client and undecided
	out     []*Item
	after   int  // live items that others are to be told after
	busy    bool // the client has not answered all of the last run
	closed  map[string]*Closed
	null    *Closed // the key nil
	stopped error
}

// Add takes a record in, or refuses it because its key is closed.
func (p *Partition) Add(it *Item) {
	switch c := p.Why(it.Key); {
	case p.stopped != nil:
		p.queue.push(it)
		p.drainStopped()
	case c != nil:
		p.refuse(it, c)
	default:
		p.queue.push(it)
	}
}

// Reject takes in a record that has failed already, and closes its key.
// Records of the key before it are not affected.
func (p *Partition) Reject(it *Item, cause error) {
	if p.stopped != nil {
		p.Add(it)
		return
	}
	if c := p.Why(it.Key); c != nil {
		p.refuse(it, c)
		return
	}
	c := &Closed{Key: it.Key, First: it, Cause: cause, last: p.lastLive(it.Key)}
	p.setClosed(c)
	p.refuse(it, c)
}

// Refuse takes in a record that is not to be sent; its key is not affected.
func (p *Partition) Refuse(it *Item, cause error) {
	it.Outcome = NotWritten
	it.fate().Err = cause
	p.tellAfter(it, p.lastLive(it.Key))
}

// Take hands over the next run: the oldest records, up to the limits and at
// least one; nil when there is none, or when the last run is not answered.
func (p *Partition) Take(items, wire int) []*Item {
	if p.busy || p.stopped != nil {
		return nil
	}
	if p.queue.len() == 0 {
		return nil
	}
	n, sum := p.queue.len(), p.queue.wire
	if n > items || sum > wire {
		n, sum = 0, 0
		for n < p.queue.len() && n < items {
			w := int(p.queue.at(n).Wire)
			if n > 0 && sum+w > wire {
				break
			}
			n, sum = n+1, sum+w
		}
	}
	p.run = p.queue.take(n, sum)
	p.busy = true
	return p.run
}

// Return puts the run's records from index n on back where they came from: the
// client did not take them in.
func (p *Partition) Return(n int) {
	if n >= len(p.run) {
		return
	}
	p.queue.putBack(p.run[n:])
	p.run = p.run[:n]
}

// Finish decides the run's records. The next run is not taken before Release.
func (p *Partition) Finish(result func(*Item) (Outcome, error)) {
	run := p.run
	p.run = nil
	failed := false
	for _, it := range run {
		outcome, err := result(it)
		it.Outcome = outcome
		if outcome != Written {
			failed = true
			f := it.fate()
			f.Err, f.Why = err, p.fail(it, err)
		}
		p.tell(it)
	}
	if failed {
		p.refuseQueued()
	}
	p.drainStopped()
}

// Written decides all of the run's records at once.
func (p *Partition) Written() {
	run := p.run
	p.run = nil
	if len(p.out) == 0 && p.after == 0 {
		p.out = run // as nearly always; the items need not be touched
	} else {
		for _, it := range run {
			p.tell(it)
		}
	}
	p.drainStopped()
}

// Release says that the client holds none of the last run's records any more.
func (p *Partition) Release() { p.busy = false }

// Expire fails the queue's records that are due: they were never handed over.
func (p *Partition) Expire(now time.Duration, cause error) (n int) {
	for n < p.queue.len() && p.queue.at(n).Due <= now {
		n++
	}
	if n == 0 {
		return 0
	}
	closed := make(map[*Closed]bool)
	wire := 0
	for i := range n {
		wire += int(p.queue.at(i).Wire)
	}
	for _, it := range p.queue.take(n, wire) {
		c := p.Why(it.Key)
		if c == nil || !closed[c] {
			// Also when a later record had closed the key: this one is the
			// first that failed, in the key's order.
			c = &Closed{Key: it.Key, First: it, Cause: cause, last: p.lastInRun(it.Key)}
			closed[c] = true
			p.setClosed(c)
		}
		p.refuse(it, c)
	}
	p.queue.filter(func(it *Item) bool {
		c := p.Why(it.Key)
		if c == nil || !closed[c] {
			return true
		}
		p.refuse(it, c)
		return false
	})
	return n
}

// Due is when the oldest record of the queue is due.
func (p *Partition) Due() (time.Duration, bool) {
	if p.queue.len() == 0 {
		return 0, false
	}
	return p.queue.at(0).Due, true
}

// Stop fails all records that were not handed over, and all later ones.
func (p *Partition) Stop(cause error) {
	if p.stopped == nil {
		p.stopped = cause
	}
	p.drainStopped()
}

// Clear opens a key again, for records added from now on.
func (p *Partition) Clear(key []byte) bool {
	c := p.Why(key)
	switch {
	case c == nil:
		return false
	case key == nil:
		p.null = nil
	default:
		delete(p.closed, string(key))
	}
	return true
}

// ClearAll opens all keys again.
func (p *Partition) ClearAll() int {
	n := len(p.closed)
	if p.null != nil {
		n++
	}
	p.closed, p.null = nil, nil
	return n
}

// Why returns the closed key, or nil when it is open.
func (p *Partition) Why(key []byte) *Closed {
	if key == nil {
		return p.null
	}
	if len(p.closed) == 0 {
		return nil
	}
	return p.closed[string(key)]
}

// Closed returns all closed keys.
func (p *Partition) Closed() []*Closed {
	var cs []*Closed
	for _, c := range p.closed {
		cs = append(cs, c)
	}
	if p.null != nil {
		cs = append(cs, p.null)
	}
	return cs
}

// Close closes a key as another partition closed it.
func (p *Partition) Close(c *Closed) {
	if p.Why(c.Key) == nil {
		p.setClosed(&Closed{Key: c.Key, First: c.First, Cause: c.Cause, Note: c.Note})
	}
}

// Out returns what was decided since the last call, in the order in which
// callers are to be told.
func (p *Partition) Out() []*Item {
	out := p.out
	p.out = nil
	return out
}

// Told reports that Out has something.
func (p *Partition) Told() bool { return len(p.out) > 0 }

// Queued returns how many records wait, and how many bytes of a batch they need
// at most.
func (p *Partition) Queued() (items, wire int) { return p.queue.len(), p.queue.wire }

// Idle reports that nothing waits, runs or is to be told.
func (p *Partition) Idle() bool { return p.queue.len() == 0 && !p.busy && len(p.out) == 0 }

// fail closes the key of a record that was live until now.
func (p *Partition) fail(it *Item, cause error) *Closed {
	c := p.Why(it.Key)
	if c == nil {
		c = &Closed{Key: it.Key, First: it, Cause: cause}
		p.setClosed(c)
		return c
	}
	if c.last != nil {
		// A later record had closed the key, when this one was live.
		c.First, c.Cause, c.Note, c.last = it, cause, "", nil
	}
	return c
}

func (p *Partition) setClosed(c *Closed) {
	if c.Key == nil {
		p.null = c
		return
	}
	if p.closed == nil {
		p.closed = make(map[string]*Closed)
	}
	p.closed[string(c.Key)] = c
}

// refuse decides a record whose key is closed: its caller is told after those
// of the key's records before it.
func (p *Partition) refuse(it *Item, c *Closed) {
	it.Outcome = NotWritten
	f := it.fate()
	f.Err, f.Why, f.Refused = c.Cause, c, c.First != it
	p.tellAfter(it, c.last)
}

// tellAfter has a record told after another of its key, if that is not told yet.
func (p *Partition) tellAfter(it, last *Item) {
	if last == nil || last.told {
		p.tell(it)
		return
	}
	f := last.fate()
	if f.then == nil {
		p.after++
	}
	f.then = append(f.then, it)
}

func (it *Item) fate() *Fate {
	if it.Fate == nil {
		it.Fate = &Fate{}
	}
	return it.Fate
}

// refuseQueued refuses the queue's records whose keys are closed.
func (p *Partition) refuseQueued() {
	p.queue.filter(func(it *Item) bool {
		c := p.Why(it.Key)
		if c == nil || c.last != nil && !c.last.told {
			return true // open, or before the record that closed the key
		}
		p.refuse(it, c)
		return false
	})
}

func (p *Partition) tell(it *Item) {
	it.told = true
	p.out = append(p.out, it)
	if it.Fate == nil || it.Fate.then == nil {
		return
	}
	then := it.Fate.then
	it.Fate.then = nil
	p.after--
	for _, t := range then {
		p.tell(t)
	}
}

// drainStopped fails what waits, once what was handed over before it is decided.
func (p *Partition) drainStopped() {
	if p.stopped == nil || len(p.run) > 0 {
		return
	}
	for _, it := range p.queue.take(p.queue.len(), p.queue.wire) {
		it.Outcome = NotWritten
		it.fate().Err = p.stopped
		p.tell(it)
	}
}

func (p *Partition) lastLive(key []byte) *Item {
	for i := p.queue.len() - 1; i >= 0; i-- {
		if it := p.queue.at(i); same(it.Key, key) {
			return it
		}
	}
	return p.lastInRun(key)
}

func (p *Partition) lastInRun(key []byte) *Item {
	for i := len(p.run) - 1; i >= 0; i-- {
		if same(p.run[i].Key, key) {
			return p.run[i]
		}
	}
	return nil
}

func same(a, b []byte) bool {
	return (a == nil) == (b == nil) && string(a) == string(b)
}
