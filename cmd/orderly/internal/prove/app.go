package prove

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An app is the consuming application of a side: members of one group, of which
// some come and go.
type app struct {
	s *side
	trouble
	processes *processes // nil: the members are in this process

	mu     sync.Mutex
	done   map[place]bool
	failed map[place]int
	tokens map[string]map[int32]int64 // of members, by partition
	off    map[string]bool            // members that the coordinator does not hear of; true: they have lost what they had
	given  int                        // partitions that members gave up
	err    error

	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	leave   map[string]context.CancelFunc
}

type place struct {
	partition int32
	offset    int64
}

func newApp(s *side) *app {
	return &app{
		s: s, done: map[place]bool{}, failed: map[place]int{}, tokens: map[string]map[int32]int64{}, off: map[string]bool{},
		leave: map[string]context.CancelFunc{},
	}
}

// start begins with two members. A third joins when a third of the records is
// processed; at two thirds one leaves, and another takes its place, as a restart
// does.
func (a *app) start(ctx context.Context) error {
	a.ctx, a.end = context.WithCancel(ctx)
	if err := a.openLetters(ctx); err != nil {
		return err
	}
	if a.s.who.Parks {
		if err := a.s.world.parking(a.s.parkingPrefix(), a.s.group, a.s.topic); err != nil {
			return err
		}
	}
	if a.s.cfg.strike != "" {
		a.processes = newProcesses()
		a.join("a")
		a.join("b")
		return nil // nobody comes and goes beside the strike
	}
	a.running.Go(a.outage)
	a.join("a")
	a.join("b")
	total := int64(a.s.cfg.Keys * a.s.cfg.Records)
	a.running.Go(func() {
		if !a.reach(a.ctx, total/3) {
			return
		}
		a.note("a member joins")
		a.join("c")
		if !a.reach(a.ctx, total*2/3) {
			return
		}
		a.note("a member leaves, another joins")
		a.mu.Lock()
		leave := a.leave["a"]
		a.mu.Unlock()
		leave()
		a.join("d")
	})
	return nil
}

func (a *app) note(why string) {
	a.s.book.add(history.Event{Kind: history.Fault, Why: why, Partition: -1, Offset: -1})
}

// join starts a member.
func (a *app) join(name string) {
	ctx, leave := context.WithCancel(a.ctx)
	a.mu.Lock()
	a.leave[name] = leave
	a.mu.Unlock()
	run := a.runOurs
	if a.s.who.Kind != Orderly {
		run = a.runFranz
	}
	if a.processes != nil {
		run = a.runProcess
	}
	a.running.Go(func() {
		defer leave()
		if err := run(ctx, name); err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.err = errors.Join(a.err, fmt.Errorf("member %s of the %s: %w", name, a.s.role, err))
		}
	})
}

// reach waits until so many records are processed.
func (a *app) reach(ctx context.Context, n int64) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for a.count() < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// awaitOwners waits until each partition is somebody's: what strikes members while
// the records are written finds them at work.
func (a *app) awaitOwners(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(a.s.cfg.Limit)
	defer late.Stop()
	for !a.owned() && !a.broken() {
		select {
		case <-tick.C:
		case <-late.C: // close tells of their trouble, or the records that nobody processed
			return
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// owned says that each partition has an owner.
func (a *app) owned() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[int32]bool{}
	for _, of := range a.tokens {
		for p := range of {
			all[p] = true
		}
	}
	return len(all) == int(a.s.cfg.Partitions)
}

func (a *app) count() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.done))
}

// stall is how long nothing may be processed before a side is taken for stuck. A
// control may well be: what it lost it will not process.
const stall = 5 * time.Second

// await waits until so many records are processed, or no more come.
func (a *app) await(ctx context.Context, stop <-chan struct{}, want int64) {
	if a.s.cfg.Workload != Consumer {
		stop = nil // what was written is still processed
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for a.count() < want {
		if a.broken() {
			return // close tells why
		}
		if a.processes.through(a.s.ends) {
			return // what was lost with the member nobody processes
		}
		if idle := a.s.book.idle(); idle > stall && (a.impatient() || idle > a.s.cfg.Limit) {
			a.s.doubt("the %s processed %d of %d records, and then nothing for %s", a.s.role, a.count(), want, idle.Round(time.Second))
			return
		}
		select {
		case <-tick.C:
		case <-stop:
			a.s.cut = true
			return
		case <-ctx.Done():
			return
		}
	}
}

// broken says that a member has ended with an error.
func (a *app) broken() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err != nil
}

// impatient says that who does nothing now will do nothing: not before the group has
// given it something, and not while a member that was struck has yet to be missed.
func (a *app) impatient() bool {
	return a.s.who.Kind != Orderly && a.processes == nil && a.count() > 0
}

func (a *app) close() error {
	a.end()
	a.running.Wait()
	if a.letters != nil {
		a.letters.Close()
	}
	return a.err
}

// event is one about a record.
func (a *app) event(kind history.Kind, member string, r *kgo.Record) history.Event {
	e := history.Event{Kind: kind, Member: member, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: history.BytesKey(r.Key)}
	if n, ok := a.s.numberOf(r); ok {
		e.Number = n
	}
	return e
}

// strict says that the history is of the stricter kind, in which the log is known
// before anyone is handed a record of it.
func (a *app) strict() bool {
	return a.s.cfg.Workload == Consumer && (!a.s.cfg.effects || a.s.book.remote != nil)
}

// owns says that a member has a partition, under a token; begins, that it has it
// anew, and not only the token.
func (a *app) owns(member string, partition int32, token int64, begins bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tokens[member]
	if t == nil {
		t = map[int32]int64{}
		a.tokens[member] = t
	}
	// A handler may begin before the event of its token has come.
	known, again := t[partition]
	if again && token <= known {
		return
	}
	t[partition] = token
	a.back(member)
	e := history.Event{Kind: history.Own, Member: member, Topic: a.s.topic, Partition: partition, Token: token}
	if !a.strict() {
		if again && !begins {
			return
		}
		e.Kind, e.Token = history.Assign, 0
	}
	a.s.book.add(e)
}

// gives says that a member has a partition no more.
func (a *app) gives(member string, partition int32, token int64, lost bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// That it is lost may be told when it is back already.
	if a.tokens[member][partition] <= token {
		delete(a.tokens[member], partition)
	}
	a.given++
	e := history.Event{Kind: history.Release, Member: member, Topic: a.s.topic, Partition: partition, Token: token}
	switch {
	case !a.strict():
		e.Kind, e.Token = history.Revoke, 0
	case lost:
		e.Kind = history.Lost
	}
	a.s.book.add(e)
	if _, off := a.off[member]; off && lost {
		a.off[member] = true
	}
}

func (a *app) commits(member string, partition int32, offset, token int64) {
	e := history.Event{Kind: history.Commit, Member: member, Topic: a.s.topic, Partition: partition, Offset: offset}
	if a.strict() {
		e.Token = token
	}
	a.s.book.add(e)
}

func (a *app) polled(member string, r *kgo.Record) {
	if !a.strict() {
		a.s.book.add(a.event(history.Poll, member, r))
	}
}

// handles is a handler around its work.
func (a *app) handles(ctx context.Context, member string, r *kgo.Record, token int64, attempt int) error {
	if a.strict() {
		e := a.event(history.Start, member, r)
		e.Number, e.Token, e.Attempt = 0, token, attempt
		a.s.book.add(e)
	}
	err := a.work(ctx, r)
	if err == nil && a.s.cfg.effects {
		err = a.apply(member, r, token)
	}
	if err == nil {
		defer a.finished(place{r.Partition, r.Offset})
	}
	switch {
	case a.strict():
		e := a.event(history.End, member, r)
		e.Key, e.Number = history.Key{}, 0
		e.Token, e.Attempt, e.OK, e.Cancelled = token, attempt, err == nil, err != nil && ctx.Err() != nil
		a.s.book.add(e)
	case err == nil:
		a.s.book.add(a.event(history.Did, member, r))
	}
	return err
}

// apply has the store of the experiment apply the effect of a record.
func (a *app) apply(member string, r *kgo.Record, token int64) error {
	e := a.event(history.Effect, member, r)
	e.Number, e.Token = 0, token
	if !a.s.book.remote(e) {
		return errRefused
	}
	return nil
}

func (a *app) finished(at place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[at] = true
	a.s.book.processed.Store(int64(len(a.done)))
}

var errPlanned = errors.New("this record fails twice before it succeeds: the experiment wants it so")

// work is what the handler does: it takes a while for one of 16 records, and fails
// twice for one of 40, the same in each run.
func (a *app) work(ctx context.Context, r *kgo.Record) error {
	h := fnv.New64a()
	_, _ = h.Write(r.Key)
	_, _ = h.Write(r.Value)
	x := h.Sum64()
	pause := time.Duration(0)
	switch slow := a.s.cfg.slow; {
	case slow > 0 && x%2 == 0:
		pause = slow
	case slow == 0 && x%16 == 0:
		pause = 4 * time.Millisecond
	}
	if pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if a.down.Load() {
		a.refused()
		return errDown
	}
	if x/16%40 != 0 || a.s.cfg.outage > 0 {
		return nil
	}
	at := place{r.Partition, r.Offset}
	a.mu.Lock()
	a.failed[at]++
	n := a.failed[at]
	a.mu.Unlock()
	if n > 2 {
		return nil
	}
	e := history.Event{Kind: history.Fault, Why: "handler failed", Topic: r.Topic, Partition: r.Partition, Offset: -1}
	if number, ok := a.s.numberOf(r); ok && !a.strict() {
		e.Key, e.Number = history.BytesKey(r.Key), number
	}
	a.s.book.add(e)
	a.s.book.struck.Add(1)
	return errPlanned
}
