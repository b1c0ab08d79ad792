//go:build synctests

package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A plan is what a seed makes: all of it is drawn before anything runs, so that a
// seed replays its inputs and faults.
type plan struct {
	brokers, partitions int
	scope               orderly.Scope
	rebalance           time.Duration
	balancer            orderly.Balancer
	mix                 mixture
	failures            failurePlan
	first               int // records that are there at the beginning
	keys                int
	cast                []memberConfig // in the order in which they come
	begin               int            // of these, those that are there at the beginning
	steps               []step
}

type step struct {
	after time.Duration
	name  string
	do    func(*run)
}

// A run is a plan being carried out.
type run struct {
	*world
	plan
	came     int
	lock     sync.Mutex // of those that are revived
	ending   bool
	revived  int
	born     int
	trickled int
	commands int      // of operators
	lasting  []func() // ends of faults that last
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// between is a random time of at least lo and below hi.
func between(r *rand.Rand, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.Int64N(int64(hi-lo)))
}

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{
		brokers: 1 + r.IntN(3), partitions: 2 + r.IntN(5),
		scope:    pick(r, orderly.ScopeKey, orderly.ScopeKey, orderly.ScopeKey, orderly.ScopePartition),
		balancer: pick(r, orderly.CooperativeSticky, orderly.CooperativeSticky, orderly.CooperativeSticky, orderly.Range, orderly.Sticky),
		first:    100 + r.IntN(500),
		keys:     pick(r, 3, 10, 50, 400),
		begin:    2,
	}
	session := pick(r, 3*time.Second, 6*time.Second, 12*time.Second, 45*time.Second)
	p.rebalance = pick(r, session, 2*session, 60*time.Second)
	p.mix = mixture{
		seed: seed, typical: pick(r, 5*time.Millisecond, 50*time.Millisecond, 400*time.Millisecond),
		failing: pick(r, 0, 0.02, 0.1), panicing: pick(r, 0, 0.3),
		long: pick(r, 0, 0.01, 0.03), deaf: pick(r, 0, 0, 0.3), longest: session * 3 / 2,
	}
	p.failures = newFailurePlan(rand.New(rand.NewPCG(seed, 1)), seed)
	p.mix.mended = &p.failures.mended
	for i := range 8 {
		p.cast = append(p.cast, newMemberConfig(r, p, session, i))
	}
	n := 4 + r.IntN(10)
	for range n {
		s := newStep(r, session)
		if p.failures.on && r.IntN(2) == 0 {
			s = p.failures.newStep(r, session)
		}
		s.after = between(r, 0, pick(r, time.Second, 5*time.Second, session))
		p.steps = append(p.steps, s)
	}
	return p
}

func newMemberConfig(r *rand.Rand, p plan, session time.Duration, i int) memberConfig {
	if r.IntN(4) == 0 {
		session = pick(r, 3*time.Second, 6*time.Second, 12*time.Second, 45*time.Second)
	}
	c := memberConfig{act: p.mix.act}
	c.Scope, c.Balancer = p.scope, p.balancer
	c.SessionTimeout = session
	// One for all: kfake begins the longest of them anew with each join, and a
	// member with a shorter one gives up and joins again.
	c.RebalanceTimeout = p.rebalance
	c.Concurrency = pick(r, 1, 2, 8, 64, 256)
	c.CommitInterval = pick(r, 100*time.Millisecond, time.Second, 3*time.Second)
	c.Retry = orderly.Retry{Backoff: pick(r, 5*time.Millisecond, 100*time.Millisecond), MaxBackoff: time.Second}
	if r.IntN(3) == 0 {
		c.Buffer = orderly.Buffer{Records: 16 + r.IntN(100), Window: 16 + r.IntN(100)}
	}
	if r.IntN(3) == 0 {
		c.max = 1 + r.IntN(20)
		c.Lanes = pick(r, 1, 4, 64)
		c.Batch.Wait = pick(r, 0, 20*time.Millisecond)
	}
	if r.IntN(3) == 0 {
		c.DrainTimeout = between(r, 50*time.Millisecond, min(session, p.rebalance)*2/3)
	}
	if r.IntN(6) == 0 {
		c.AttemptTimeout = between(r, 20*time.Millisecond, session)
	}
	if r.IntN(5) == 0 {
		c.InstanceID = fmt.Sprintf("static-%d", i)
	}
	p.failures.configure(r, &c)
	return c
}

// newStep draws one thing to happen.
func newStep(r *rand.Rand, session time.Duration) step {
	who := r.IntN(100)
	lasts := between(r, 100*time.Millisecond, session*2)
	lose := r.IntN(2) == 0
	switch n := r.IntN(100); {
	case n < 14:
		return step{name: "join", do: func(w *run) { w.join() }}
	case n < 20:
		return step{name: "leave", do: func(w *run) { w.with(who, (*member).end) }}
	case n < 28:
		return step{name: "kill", do: func(w *run) { w.with(who, func(m *member) { m.kill(lose) }) }}
	case n < 31:
		return step{name: "abort", do: func(w *run) { w.with(who, func(m *member) { m.c.Abort() }) }}
	case n < 45:
		return step{name: "freeze for " + lasts.String(), do: func(w *run) {
			w.with(who, func(m *member) { w.during(lasts, m.freeze()) })
		}}
	case n < 50:
		return step{name: "reset", do: func(w *run) { w.with(who, func(m *member) { m.host.reset(lose) }) }}
	case n < 60:
		return newHold(r, who, lasts)
	case n < 70:
		return step{name: "rebalance", do: func(w *run) { w.with(who, func(m *member) { m.c.Rebalance() }) }}
	case n < 74:
		return step{name: "move coordinator", do: func(w *run) {
			w.c.RehashCoordinators()
			w.sessionsAnew()
		}}
	case n < 78:
		return step{name: "move leaders", do: func(w *run) { w.c.ShufflePartitionLeaders() }}
	case n < 80:
		return step{name: "add a partition", do: func(w *run) {
			w.grow()
			w.during(lasts, w.growLetterTopic)
		}}
	case n < 84:
		commit, records := r.IntN(2) == 0, 1+r.IntN(20)
		return step{name: "transaction", do: func(w *run) { w.transaction(w.records(records), commit) }}
	case n < 88:
		records := 1 + r.IntN(200)
		return step{name: "produce", do: func(w *run) { w.produce(w.records(records)) }}
	}
	return newFault(r)
}

// newHold holds a request or an answer: it arrives late, or never.
func newHold(r *rand.Rand, who int, lasts time.Duration) step {
	key := pick(r, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.Fetch, kmsg.OffsetFetch)
	answer, lose := r.IntN(2) == 0, r.IntN(4) == 0
	return step{name: fmt.Sprintf("hold %s for %s", key.Name(), lasts), do: func(w *run) {
		w.with(who, func(m *member) {
			until := make(chan struct{})
			m.host.add(hold{key: key, until: until, answer: answer, lose: lose})
			w.during(lasts, func() { close(until) })
		})
	}}
}

// newFault lets brokers answer with an error that they may give.
func newFault(r *rand.Rand) step {
	group := []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable}
	kinds := []struct {
		key  kmsg.Key
		errs []*kerr.Error
	}{
		{kmsg.Heartbeat, append(group, kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration)},
		{kmsg.JoinGroup, append(group, kerr.UnknownMemberID, kerr.RebalanceInProgress)},
		{kmsg.SyncGroup, append(group, kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration)},
		{kmsg.OffsetCommit, append(group, kerr.RequestTimedOut, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID)},
		{kmsg.OffsetFetch, append(group, kerr.UnstableOffsetCommit)},
		{kmsg.FindCoordinator, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress}},
		{kmsg.Fetch, []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownLeaderEpoch, kerr.KafkaStorageError}},
		{kmsg.ListOffsets, []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable}},
	}
	k := kinds[r.IntN(len(kinds))]
	err, count := pick(r, k.errs...), 1+r.IntN(3)
	return step{name: fmt.Sprintf("%s answered %d times with %s", k.key.Name(), count, err.Message), do: func(w *run) {
		h := w.c.Fault(kfake.Fault{Keys: []kmsg.Key{k.key}, Err: err, Count: count, When: func(r kmsg.Request) bool {
			if !concerns(r) {
				return false
			}
			if slices.Contains(group, err) {
				w.sessionsAnew()
			}
			return true
		}})
		w.lasting = append(w.lasting, h.Remove)
	}}
}

// with does something to a member that is alive, if any is.
func (w *run) with(who int, do func(*member)) {
	var alive []*member
	for _, m := range w.all() {
		if m.running() && !m.isKilled() {
			alive = append(alive, m)
		}
	}
	if len(alive) == 0 {
		return
	}
	m := alive[who%len(alive)]
	w.log.Info("step", "concerns", m.name)
	do(m)
}

func (w *run) alive() (n int) {
	for _, m := range w.all() {
		if m.running() && !m.isKilled() {
			n++
		}
	}
	return n
}

func (w *run) join() {
	if w.alive() < 4 && w.came < len(w.cast) {
		w.start(fmt.Sprintf("m%d", w.came), w.cast[w.came])
		w.came++
	}
}

// during ends a fault after a time, or when all faults end.
func (w *run) during(d time.Duration, end func()) {
	done := make(chan struct{})
	w.lasting = append(w.lasting, func() {
		select {
		case <-done:
		default:
			close(done)
		}
	})
	w.later(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-done:
		}
		end()
	})
}

// records makes n records of the seed's keys.
func (w *run) records(n int) []keyed {
	w.mu.Lock()
	partitions := len(w.ends)
	w.mu.Unlock()
	out := make([]keyed, 0, n)
	for i := range n {
		r := keyed{partition: int32(i % partitions), value: "later"}
		if k := i % w.keys; k > 0 {
			r.key = fmt.Appendf(nil, "k%d", k)
		}
		if w.failures.large && i%31 == 30 {
			r.value = strings.Repeat("x", largeValue)
		}
		out = append(out, r)
	}
	return out
}

// carryOut runs the plan to its end: everything is done.
func carryOut(t testing.TB, p plan, out **world) {
	w := &run{world: newWorld(t, worldConfig{brokers: p.brokers, partitions: p.partitions}), plan: p}
	*out = w.world
	defer w.world.close()
	defer w.end()
	w.prepareFailures()
	w.fill(p.first, p.keys, true)
	w.produce(w.records(40))
	for range p.begin {
		w.join()
	}
	for _, s := range p.steps {
		time.Sleep(s.after)
		w.log.Info("step", "do", s.name)
		s.do(w)
	}
	w.log.Info("step", "do", "all faults end")
	for _, end := range w.lasting {
		end()
	}
	for range 2 {
		w.join()
	}
	if p.failures.on {
		w.mend()
	}
	if w.alive() == 0 {
		t.Error("no member is left: the plan brings too few")
	}
	// So long because the breaker's own waits grow to five minutes by default, and where
	// first attempts fail for most keys it opens again and again.
	w.caughtUp(6 * time.Hour)
	if p.failures.policy == orderly.PolicyPark {
		w.nothingIsParked()
	}
	w.verdict(p.scope, true)
}
