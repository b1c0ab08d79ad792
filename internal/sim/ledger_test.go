//go:build synctests

package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/breaker"
	"github.com/orderly-go/orderly/internal/history"
)

// A ledger is what is known of failed records: which attempts they have spent, by
// what handlers answered and what the breakers said, and not by what the consumer
// says of it. What it cannot know for sure it counts in favour of the consumer.
type ledger struct {
	w *world

	mu      sync.Mutex
	records map[record]*account
	tenures map[holding]*tenure
	shut    map[*member]bool // its breaker is not closed
	unsure  map[*member][]unsure
	blanks  map[place]int  // ends of an ownership at which no handler of it ran
	tally   map[string]int // what has happened, for coverage
	broken  []string
}

type record struct {
	place
	offset int64
}

type holding struct {
	member *member
	at     place
}

// An account is one record's.
type account struct {
	charged map[*member]*charge
	deaths  int // handlers that were cut short while they ran alone in their partition
	failed  int // attempts
	stints  []*stint
}

// spent is how many attempts handlers may have spent.
func (a *account) spent() (n int) {
	for _, c := range a.charged {
		n += c.n
	}
	return n
}

// unsure is an attempt of which it is not known whether it counted: the breaker was not
// closed, as far as it had said.
type unsure struct {
	of *account
	at time.Time
}

// A charge is what a member may have counted of a record.
type charge struct {
	n     int
	first time.Time
	fresh bool // it had not failed before, and never for good: a breaker gives that back
}

// A tenure is one ownership of a partition. A stint is that of one record.
type tenure struct {
	recorded map[int64]int // attempts that the commit named when it began
	stints   map[int64]*stint
	running  map[int64]int // handlers
}

type stint struct {
	sure     int // attempts that were surely spent, since the breaker was opened last
	letters  int // acknowledged
	unsent   int // writes that failed
	gaveUp   int // of these: the last one of several
	recorded int
	astride  bool // its breaker was opened while the attempt was under way: that is not spent
}

func newLedger(w *world) *ledger {
	return &ledger{
		w: w, records: make(map[record]*account), tenures: make(map[holding]*tenure), shut: make(map[*member]bool), unsure: make(map[*member][]unsure),
		blanks: make(map[place]int), tally: make(map[string]int),
	}
}

func (l *ledger) blame(format string, args ...any) {
	l.broken = append(l.broken, fmt.Sprintf(format, args...))
}

func (l *ledger) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally[what]++
}

func (l *ledger) account(r record) *account {
	a := l.records[r]
	if a == nil {
		a = &account{charged: make(map[*member]*charge)}
		l.records[r] = a
	}
	return a
}

func (l *ledger) tenure(m *member, at place) *tenure {
	t := l.tenures[holding{m, at}]
	if t == nil {
		t = &tenure{stints: make(map[int64]*stint), running: make(map[int64]int)}
		l.tenures[holding{m, at}] = t
	}
	return t
}

// stint gives that of a record under the present ownership.
func (l *ledger) stint(m *member, r record) *stint {
	t := l.tenure(m, r.place)
	s := t.stints[r.offset]
	if s == nil {
		s = &stint{recorded: t.recorded[r.offset]}
		t.stints[r.offset] = s
		a := l.account(r)
		a.stints = append(a.stints, s)
	}
	return s
}

func recordOf(m *orderly.Message) record {
	return record{place{m.Topic, m.Partition}, m.Offset}
}

// watch has the member's events entered. A killed one says nothing any more.
func (l *ledger) watch(m *member, ev *orderly.Events) {
	own := *ev
	enter := func(f func()) {
		if m.isKilled() {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		f()
	}
	ev.Assigned = func(e orderly.AssignedEvent) {
		enter(func() { l.assigned(m, e) })
		own.Assigned(e)
	}
	ev.Revoked = func(e orderly.RevokedEvent) {
		enter(func() { l.ended(m, place{e.Topic, e.Partition}) })
		own.Revoked(e)
	}
	ev.Lost = func(e orderly.LostEvent) {
		enter(func() { l.ended(m, place{e.Topic, e.Partition}) })
		own.Lost(e)
	}
	ev.Attempt = func(e orderly.AttemptEvent) {
		enter(func() { l.attempt(m, e) })
		if own.Attempt != nil {
			own.Attempt(e)
		}
	}
	ev.Blocked = func(e orderly.BlockedEvent) {
		enter(func() { l.blocked(m, e) })
		if own.Blocked != nil {
			own.Blocked(e)
		}
	}
	ev.DeadLettered = func(e orderly.DeadLetteredEvent) {
		enter(func() { l.deadLettered(m, e) })
		m.passed(e.Topic, e.Partition, e.Offset, "dead letter")
		if own.DeadLettered != nil {
			own.DeadLettered(e)
		}
	}
	ev.Skipped = func(e orderly.SkippedEvent) {
		if e.Reason == "operator" {
			enter(func() { l.tally["skipped by an operator"]++ }) // known by its entry: parkings
			if own.Skipped != nil {
				own.Skipped(e)
			}
			return
		}
		enter(func() {
			l.tally["skipped"]++
			if m.policy != orderly.PolicySkip {
				l.blame("%s skipped offset %d of partition %d under policy %s", m.name, e.Offset, e.Partition, m.policy)
			}
			l.given(m, record{place{e.Topic, e.Partition}, e.Offset}, e.Reason, e.Attempts, e.Err)
		})
		m.passed(e.Topic, e.Partition, e.Offset, "skipped")
		if own.Skipped != nil {
			own.Skipped(e)
		}
	}
	ev.Parked = func(e orderly.ParkedEvent) {
		enter(func() { l.parked(m, e) })
		m.w.h.add(history.Event{Kind: history.Park, Member: m.name, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Token: e.FencingToken})
		if own.Parked != nil {
			own.Parked(e)
		}
	}
	ev.WriteFailed = func(e orderly.WriteFailedEvent) {
		enter(func() { l.writeFailed(m, e) })
		if own.WriteFailed != nil {
			own.WriteFailed(e)
		}
	}
	ev.Dropped = func(e orderly.DroppedEvent) {
		enter(func() { l.tally["dropped "+e.Reason]++ })
		if own.Dropped != nil {
			own.Dropped(e)
		}
	}
	ev.OrderViolation = func(e orderly.OrderViolationEvent) {
		enter(func() { l.blame("%s saw an order violation itself: %+v", m.name, e) })
	}
	ev.Breaker = func(e orderly.BreakerEvent) {
		enter(func() { l.breaker(m, e) })
		if own.Breaker != nil {
			own.Breaker(e)
		}
	}
}

// assigned begins an ownership, with the attempts that the commit names.
func (l *ledger) assigned(m *member, e orderly.AssignedEvent) {
	if e.Regranted {
		return
	}
	at := place{e.Topic, e.Partition}
	delete(l.tenures, holding{m, at})
	l.settle(m, at)
	t := l.tenure(m, at)
	st, ok := l.w.h.committed(e.Topic, e.Partition)
	if !ok {
		return
	}
	t.recorded = make(map[int64]int)
	for _, a := range l.w.parkings.noted(e.Partition, st.meta) {
		t.recorded[a.Offset] = a.Count
		l.tally["attempts taken over from a note"]++
	}
	for _, a := range st.meta.Attempts { // younger
		t.recorded[a.Offset] = a.Count
		l.tally["attempts taken over"]++
	}
}

// ended is the end of an ownership: an attempt that was announced may not have begun.
func (l *ledger) ended(m *member, at place) {
	if t := l.tenures[holding{m, at}]; t != nil && len(t.running) == 0 {
		l.blanks[at]++
	}
	l.settle(m, at)
}

// settle says that what an ownership has spent is not given back any more.
func (l *ledger) settle(m *member, at place) {
	for r, a := range l.records {
		if c := a.charged[m]; c != nil && r.place == at {
			c.fresh = false
		}
	}
}

// killed is the end of a process: who ran alone then has spent an attempt.
func (l *ledger) killed(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally["killed"]++
	if l.shut[m] {
		l.tally["killed while its breaker was open"]++
	}
	serial := m.oneAtATime.Load()
	for h, t := range l.tenures {
		if h.member != m {
			continue
		}
		l.ended(m, h.at)
		if len(t.running) == 1 {
			if serial {
				l.tally["killed with one record alone, one at a time"]++
			}
			for offset := range t.running {
				l.account(record{h.at, offset}).deaths++
			}
		}
	}
}

// started is called when a handler begins.
func (l *ledger) started(m *member, msg *orderly.Message) {
	if m.isKilled() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := recordOf(msg)
	t := l.tenure(m, r.place)
	known := t.stints[r.offset] != nil
	s := l.stint(m, r)
	if !known && msg.Attempt != s.recorded+1 && !l.w.parkings.wasParked(r) {
		l.blame("%s began offset %d of partition %d as attempt %d, the first of this ownership: %d were recorded", m.name, r.offset, r.partition, msg.Attempt, s.recorded)
	}
	t.running[r.offset]++
	s.astride = false
}

// returned is called when it ends; cut says that its context had.
func (l *ledger) returned(m *member, msg *orderly.Message, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.isKilled() {
		return
	}
	r := recordOf(msg)
	t := l.tenure(m, r.place)
	if cut && len(t.running) == 1 {
		l.account(r).deaths++
	}
	if t.running[r.offset]--; t.running[r.offset] <= 0 {
		delete(t.running, r.offset)
	}
}

// attempt is a failed one.
func (l *ledger) attempt(m *member, e orderly.AttemptEvent) {
	r := recordOf(e.Message)
	a := l.account(r)
	a.failed++
	l.tally["failed "+[]string{"for retry", "permanent", "unavailable"}[e.Class]]++
	if e.Panic {
		l.tally["panicked"]++
	}
	if errors.Is(e.Err, orderly.ErrProcessEnded) {
		l.stint(m, r) // no handler was called; the next attempt has another number
		return
	}
	if e.Class == orderly.ClassUnavailable {
		return
	}
	if l.shut[m] {
		l.unsure[m] = append(l.unsure[m], unsure{a, time.Now()})
		return
	}
	c := a.charged[m]
	if c == nil || e.Message.Attempt == 1 {
		c = &charge{first: time.Now(), fresh: e.Message.Attempt == 1, n: zeroOr(c)}
		a.charged[m] = c
	}
	c.n++
	if e.Class != orderly.ClassRetry {
		c.fresh = false
		return
	}
	s := l.stint(m, r)
	if s.astride {
		l.tally["failed astride an opening"]++
		return
	}
	s.sure++
	if most := max(1, m.attempts-s.recorded) + s.gaveUp; m.policy != orderly.PolicyBlock && m.policy != orderly.PolicyPark && s.sure > most {
		l.blame("%s: offset %d of partition %d has spent %d attempts under one ownership; %d were recorded, %d are allowed, and its dead letter was given up %d times",
			m.name, r.offset, r.partition, s.sure, s.recorded, m.attempts, s.gaveUp)
	}
}

// charge is what the member may have counted.
func (a *account) charge(m *member) *charge {
	if a.charged[m] == nil {
		a.charged[m] = &charge{first: time.Now()}
	}
	return a.charged[m]
}

func zeroOr(c *charge) int {
	if c == nil {
		return 0
	}
	return c.n
}

// breaker takes in that a breaker has another state.
func (l *ledger) breaker(m *member, e orderly.BreakerEvent) {
	opened := e.State != orderly.BreakerClosed && !l.shut[m]
	l.shut[m] = e.State != orderly.BreakerClosed
	l.tally["breaker "+e.State]++
	if e.State == orderly.BreakerClosed {
		for _, u := range l.unsure[m] {
			if u.at.Equal(time.Now()) { // it may have closed before
				u.of.charge(m).n++
			}
		}
		delete(l.unsure, m)
	}
	if !opened {
		return
	}
	if e.GivenBack > 0 {
		l.tally["attempts given back"] += e.GivenBack
	}
	// What was spent while it opened does not count any more.
	since := time.Now().Add(-breaker.Window)
	for _, a := range l.records {
		// One whose dead letter is on its way, or of which Run ends, was given up before.
		decided := m.policy != orderly.PolicyBlock && a.spent() >= m.attempts
		if c := a.charged[m]; c != nil && c.fresh && c.first.After(since) && !decided {
			delete(a.charged, m)
		}
	}
	for h, t := range l.tenures {
		if h.member == m {
			for _, s := range t.stints {
				s.sure, s.astride = 0, true
			}
		}
	}
}

func (l *ledger) blocked(m *member, e orderly.BlockedEvent) {
	l.tally["blocked "+e.State]++
	passes := m.policy == orderly.PolicySkip || m.policy == orderly.PolicyDeadLetter
	if passes && (e.State == "exhausted" || e.State == "permanent") || e.State == "backoff" && e.Attempts > m.attempts && passes && l.stint(m, record{place{e.Topic, e.Partition}, e.Offset}).recorded < m.attempts &&
		l.stint(m, record{place{e.Topic, e.Partition}, e.Offset}).gaveUp == 0 {
		l.blame("%s: offset %d of partition %d is blocked as %s after %d attempts under policy %s, which allows %d", m.name, e.Offset, e.Partition, e.State, e.Attempts, m.policy, m.attempts)
	}
	if m.policy == orderly.PolicyBlock && (e.State == "exhausted" || e.State == "permanent") {
		l.tally["given up and blocked"]++
	}
}

// parked judges that a record was parked.
func (l *ledger) parked(m *member, e orderly.ParkedEvent) {
	r := record{place{e.Topic, e.Partition}, e.Offset}
	if m.policy != orderly.PolicyPark {
		l.blame("%s parked offset %d of partition %d under policy %s", m.name, e.Offset, e.Partition, m.policy)
	}
	switch {
	case e.Before:
		l.tally["parked before"]++
	case e.Reason == "":
		l.tally["parked behind another"]++
	default:
		l.tally["parked"]++
		l.given(m, r, e.Reason, e.Attempts, e.Err)
	}
}

func (l *ledger) deadLettered(m *member, e orderly.DeadLetteredEvent) {
	l.tally["dead-lettered"]++
	r := record{place{e.Topic, e.Partition}, e.Offset}
	if m.policy != orderly.PolicyDeadLetter {
		l.blame("%s dead-lettered offset %d of partition %d under policy %s", m.name, e.Offset, e.Partition, m.policy)
	}
	if e.DeadLetterTopic != letterTopic || !l.w.letters.has(r, e.DeadLetterPartition, e.DeadLetterOffset) {
		l.blame("%s says that the dead letter of offset %d of partition %d is at %s/%d/%d: no broker has acknowledged it", m.name,
			e.Offset, e.Partition, e.DeadLetterTopic, e.DeadLetterPartition, e.DeadLetterOffset)
	}
	if s := l.stint(m, r); s.letters > 0 {
		l.blame("%s dead-lettered offset %d of partition %d twice under one ownership", m.name, e.Offset, e.Partition)
	} else {
		s.letters++
	}
	l.given(m, r, e.Reason, e.Attempts, e.Err)
}

func (l *ledger) writeFailed(m *member, e orderly.WriteFailedEvent) {
	if e.ParkingTopic != "" { // no attempt is made between two tries of it
		l.tally["a parking write failed"]++
		return
	}
	l.tally["a write failed"]++
	s := l.stint(m, record{place{e.Topic, e.Partition}, e.Offset})
	s.unsent++
	if e.GaveUp {
		s.gaveUp++
		l.tally["a write was given up"]++
	}
}

// stopped is the end of Run by a record.
func (l *ledger) stopped(m *member, e *orderly.StopError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally["stopped"]++
	reason := "exhausted"
	if errors.Is(e.Err, errPermanent) || errors.Is(e.Err, orderly.ErrProcessEnded) {
		reason = "permanent"
	}
	if m.policy != orderly.PolicyStop && m.writeFailure != orderly.PolicyStop {
		l.blame("%s stopped under policy %s: %v", m.name, m.policy, e)
	}
	l.given(m, record{place{e.Topic, e.Partition}, e.Offset}, reason, e.Attempts, e.Err)
}

// given judges that a record was given up.
func (l *ledger) given(m *member, r record, reason string, attempts int, err error) {
	a := l.account(r)
	total := a.deaths + l.blanks[r.place]
	switch {
	case errors.Is(err, orderly.ErrProcessEnded):
		l.tally["given up because the process ended"]++
		// As below: a breaker that opened just before the end gave back what the commit before names.
		total += max(a.spent(), l.stint(m, r).recorded)
		if total < m.attempts {
			l.blame("%s gave offset %d of partition %d up because the process ended with it; with those of handlers it has spent %d attempts, and %d are allowed", m.name, r.offset, r.partition, total, m.attempts)
		}
		return
	case reason == "permanent":
		if !errors.Is(err, errPermanent) {
			l.blame("%s gave offset %d of partition %d up as permanent: %v", m.name, r.offset, r.partition, err)
		}
		return
	}
	total += a.spent()
	if c := a.charged[m]; c != nil {
		// What was given back may have been taken over all the same, when the commit that
		// says so was not.
		total = max(total, l.stint(m, r).recorded+c.n)
	}
	if attempts < m.attempts || total < attempts {
		l.blame("%s gave offset %d of partition %d up after %d attempts; %d have to be spent, and no more than %d were", m.name, r.offset, r.partition, attempts, m.attempts, total)
	}
}

// judge is called at the end.
func (l *ledger) judge() (broken []string) {
	copies := l.w.letters.copies()
	l.mu.Lock()
	defer l.mu.Unlock()
	broken = l.broken
	for _, r := range slices.SortedFunc(maps.Keys(copies), func(a, b record) int { return int(a.offset - b.offset) }) {
		a, most, acknowledged := l.account(r), 0, 0
		for _, s := range a.stints {
			// Each write that failed may have been written, and at the end of an
			// ownership one more may be on its way.
			most += s.unsent + 1
			acknowledged += s.letters
		}
		if a.failed == 0 {
			broken = append(broken, fmt.Sprintf("offset %d of partition %d has %d dead letters, and never failed", r.offset, r.partition, copies[r]))
		}
		if copies[r] > most {
			broken = append(broken, fmt.Sprintf("offset %d of partition %d has %d dead letters; %d were acknowledged, and at the most %d were sent", r.offset, r.partition, copies[r], acknowledged, most))
		}
		if copies[r] > 1 {
			l.tally["dead-lettered more than once"]++
		}
	}
	return broken
}
