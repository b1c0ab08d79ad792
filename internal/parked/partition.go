package parked

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
)

// A Waiter is a record that waits at the head of its key for an answer: one of the first
// three is called once, or none when the ownership ends before. It may wait for many
// records of a key that came together: then Settled is called as often as it takes,
// unless Live is for the rest.
type Waiter interface {
	Settled(n int) // the next n are parked, or were done before
	Live()         // it goes to its handler
	// Blocked: it cannot be parked, for a cap or its size.
	Blocked(reason string, tooLarge bool)
	// Failing: it is not parked yet, for its write has failed, or failed again; the next
	// try is made in about that time. One of the others follows.
	Failing(err error, next time.Duration)
}

// A Partition is the parking side of one ownership.
type Partition struct {
	m         *Manager
	topic     string
	partition int32
	host      group.ParkingHost
	calm      atomic.Bool // every record may go to its handler unasked

	mu      sync.Mutex
	lane    *lane.Partition
	owner   *parking.Owner // nil: there is no topic, or it is not found yet
	log     *topicLog      // the owner's
	token   int64
	opened  bool  // the host was told so under this token
	next    int64 // position that is read next
	target  int64 // position before which something is known to stand
	reading bool
	ended   bool
	pages   pages

	fetching chan struct{} // has one while a page is fetched

	oldest, oldestAt time.Time // of the keys, and when it was looked for

	reason string // why the partition may not start
	cause  error
	doubts int // in a row, without having been open since
	probes int // in a row, that failed

	unwritten map[int64]struct{}       // records whose entries the topic does not take
	skipping  map[int64]*parking.Entry // records that are skipped, by offset, until that counts

	lastNote group.Noted // what was written last
	mostNote int         // entries of it that the topic takes; zero: any

	notBefore int64 // no release on schedule begins, in milliseconds: the owner before may have ended by one

	words map[int64]*word // by offset: about records that are not parked
	floor int64           // the last commit's watermark

	todo    []func() // in order; see do
	doing   bool
	waiters map[int64]waiting // by the offset of the first record that it waits for
	quiet   []chan struct{}   // closed when nothing of a record is on its way

	gathering gathering
}

// Granted is part of group.Parked.
func (p *Partition) Granted(part *lane.Partition, token, watermark int64, clean bool, extra []progress.Field, what any) bool {
	s := what.(*sight)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.token == 0 && !clean { // later commits are ours
		p.notBefore = now.Add(p.m.cfg.Rules.First).UnixMilli()
	}
	p.lane, p.token, p.opened, p.floor = part, token, false, max(p.floor, watermark)
	guard, err := parking.GuardOf(extra)
	switch {
	case s.err != nil && p.owner != nil && s.state != StateMismatch && err == nil:
		// It was found before; that it is not reached now its writes will tell.
	case s.err != nil:
		p.drop(s.state, s.err)
		return false
	case s.log == nil: // there is no topic, and nothing was parked in one
		p.drop("", nil)
		p.opened = true
		p.calm.Store(true)
		return true
	}
	p.reason, p.cause = StateAwaiting, nil
	if s.log != nil && (p.owner == nil || p.log.id != s.log.id) {
		p.drop(StateAwaiting, nil)
		self := p.m.cfg.Self
		self.SourceID = s.id
		p.owner, p.log = parking.NewOwner(&p.m.cfg.Rules, self), s.log
		p.next, p.target = s.from, s.end
	}
	g := parking.Grant{Token: token, Watermark: watermark, NotBefore: p.notBefore, Fresh: guard == nil || guard.TopicID != p.log.id}
	if g.Guard = (parking.Guard{TopicID: p.log.id}); !g.Fresh {
		g.Guard, g.Note = *guard, s.note
	}
	p.did(p.owner.Granted(g))
	p.did(p.owner.Tick(now.UnixMilli()))
	p.read()
	return false
}

// drop gives an owner up. Who waits for it is tried again: it finds out anew what is
// to become of it. Called with mu held.
func (p *Partition) drop(reason string, cause error) {
	p.forget()
	p.owner, p.log, p.reason, p.cause = nil, nil, reason, cause
	p.pages, p.words, p.unwritten, p.skipping = pages{}, nil, nil, nil
	p.calm.Store(false)
	for o, w := range p.waiters {
		delete(p.waiters, o)
		p.queue(w.Waiter.Live)
	}
	p.rest()
}

// forget lets go of what was written and is not read back. Called with mu held.
func (p *Partition) forget() {
	if p.log != nil && p.log.Log != nil {
		p.log.Forget(p.partition)
	}
}

// did takes what the owner wants done. Called with mu held, after each call of the
// owner.
func (p *Partition) did(actions []parking.Action) {
	o := p.owner
	for _, a := range actions {
		p.plan(o, a)
	}
	p.calm.Store(o.Idle() && len(p.words) == 0)
	if !o.Busy() {
		p.pages = pages{}
	}
	switch held := o.Held(); {
	case !o.Open():
	case held != nil && (p.opened || p.reason != StatePaused):
		if p.opened {
			p.queue(p.host.Shut)
		}
		p.opened, p.doubts = false, 0
		p.reason, p.cause = StatePaused, errors.New(pausedBy(held))
	case held == nil && !p.opened:
		p.opened, p.reason, p.cause, p.doubts = true, "", nil, 0
		token := p.token
		p.queue(func() { p.host.Open(token) })
	}
	p.rest()
}

// rest tells who waits for it that nothing of a record is on its way.
func (p *Partition) rest() {
	if len(p.quiet) > 0 && (p.ended || p.owner == nil || !p.owner.Waiting()) {
		for _, ch := range p.quiet {
			close(ch)
		}
		p.quiet = nil
	}
}

// queue has f done, after all that was queued before, without the lock. Called with
// mu held.
func (p *Partition) queue(f func()) {
	p.todo = append(p.todo, f)
	if !p.doing {
		p.doing = true
		p.m.run(p.do)
	}
}

func (p *Partition) do() {
	for {
		p.mu.Lock()
		todo := p.todo
		if p.todo = nil; len(todo) == 0 {
			p.doing = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for _, f := range todo {
			f()
		}
	}
}

// tell calls the owner, unless another one has taken its place.
func (p *Partition) tell(o *parking.Owner, what func() []parking.Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended && p.owner == o {
		p.did(what())
	}
}

// Extra is part of group.Parked.
func (p *Partition) Extra(of []progress.Field) []progress.Field {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil {
		return of
	}
	g, ok := p.owner.Guard()
	if !ok {
		return of
	}
	// The first field is the last that an encoder would leave out.
	out := []progress.Field{g.Field()}
	for _, f := range of {
		if f.Tag != parking.GuardTag {
			out = append(out, f)
		}
	}
	return out
}

// Committed is part of group.Parked.
func (p *Partition) Committed(token, watermark int64, extra []progress.Field) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil || p.token != token || p.ended {
		return
	}
	g, err := parking.GuardOf(extra)
	ok := err == nil && g != nil && g.TopicID == p.log.id
	if g == nil {
		g = new(parking.Guard)
	}
	p.floor = max(p.floor, watermark)
	p.did(p.owner.Committed(watermark, *g, ok))
}

// drainFor bounds how long a handover waits for the parking topic: what is not read
// back by then is done again by the next owner.
const drainFor = 5 * time.Second

// Drained is part of group.Parked.
func (p *Partition) Drained(until time.Time) {
	p.mu.Lock()
	if p.ended || p.owner == nil || !p.owner.Waiting() {
		p.mu.Unlock()
		return
	}
	ch := make(chan struct{})
	p.quiet = append(p.quiet, ch)
	p.mu.Unlock()
	t := time.NewTimer(max(0, min(drainFor, time.Until(until))))
	defer t.Stop()
	select {
	case <-ch:
		p.settleDone()
	case <-t.C:
	}
}

// settleDone returns when the answers that were due by now were given.
func (p *Partition) settleDone() {
	done := make(chan struct{})
	p.mu.Lock()
	p.queue(func() { close(done) })
	p.mu.Unlock()
	select {
	case <-done:
	case <-p.m.ctx.Done():
	}
}

// End is part of group.Parked.
func (p *Partition) End() {
	p.mu.Lock()
	p.forget()
	p.ended, p.owner = true, nil
	p.waiters, p.words = nil, nil
	p.rest()
	p.mu.Unlock()
	p.m.mu.Lock()
	delete(p.m.parts, p)
	p.m.mu.Unlock()
}

// Reason is part of group.Parked.
func (p *Partition) Reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// Calm reports that Concerns is false for every record.
func (p *Partition) Calm() bool { return p.calm.Load() }

// Concerns reports whether a record at the head of its key goes to Arrive, unless an
// operator's word is to be obeyed; failed as for Word.
func (p *Partition) Concerns(key []byte, offset int64, failed bool) (w *Word, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.word(key, offset, failed); w != nil {
		return w, true
	}
	return nil, p.owner != nil && p.owner.Concerns(key, offset)
}

// Knows reports whether a record was parked, or done after that, by an earlier owner
// whose commit did not say so.
func (p *Partition) Knows(key []byte, offset int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil {
		return false
	}
	before, _ := p.owner.State().Settled(parking.ID(key), offset)
	return before
}

// Joins reports whether records that come to the head of their key are written to the
// parking topic at once, and up to which offset they are settled already.
func (p *Partition) Joins(key []byte) (upTo int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.owner == nil || len(p.words) > 0 {
		return 0, false
	}
	return p.owner.Joins(key)
}

type waiting struct {
	Waiter
	offsets []int64 // that are not settled
}

// Arrive hands a record over that has come to the head of its key. It returns false
// when there is no parking topic: then the Waiter is not called.
func (p *Partition) Arrive(it parking.Item, w Waiter) bool {
	return p.hand(w, []int64{it.Offset}, func() []parking.Action { return p.owner.Arrive(it) })
}

// Follow is Arrive for records that have not failed.
func (p *Partition) Follow(key []byte, run parking.RunBody, w Waiter) bool {
	offsets := make([]int64, len(run.Records))
	for i := range offsets {
		offsets[i] = run.Records[i].Offset
	}
	return p.hand(w, offsets, func() []parking.Action {
		p.gathering.count(p.m.window(), len(offsets))
		return p.owner.Follow(key, run)
	})
}

func (p *Partition) hand(w Waiter, offsets []int64, arrive func() []parking.Action) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return true // nobody waits for an answer any more
	}
	if p.owner == nil {
		return false
	}
	p.waiters[offsets[0]] = waiting{w, offsets}
	p.did(arrive())
	return true
}

// A State is a moment of the parking side of a partition.
type State struct {
	Topic   string // the parking topic; empty: none is in use
	Reason  string // why the partition may not start; empty: it may
	Cause   string
	Keys    int
	Records int
	Bytes   int64
	Void    int64     // entries that do not count
	Oldest  time.Time // when the key failed that was parked first; zero: none. Up to oldestEvery old
	Pauses  []Pause
}

// oldestEvery is how long what was found by looking at all keys is told again.
const oldestEvery = 10 * time.Second

// State returns the partition's state.
func (p *Partition) State() (s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Reason = p.reason
	if p.cause != nil {
		s.Cause = p.cause.Error()
	}
	if p.owner != nil {
		s.Topic = p.log.name
		s.Keys, s.Records, s.Bytes, s.Void = p.owner.State().Counts()
		s.Pauses = pauses(p.owner.State())
		if now := time.Now(); now.Sub(p.oldestAt) >= oldestEvery || p.oldest.IsZero() {
			p.oldestAt, p.oldest = now, time.Time{}
			if at := p.owner.State().Oldest(); at > 0 {
				p.oldest = time.UnixMilli(at)
			}
		}
		if s.Keys > 0 {
			s.Oldest = p.oldest
		}
	}
	return s
}
