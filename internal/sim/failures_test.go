//go:build synctests

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A failurePlan is the part of a plan that is about records that fail.
type failurePlan struct {
	on           bool
	policy       orderly.Policy
	writeFailure orderly.Policy
	attempts     int
	large        bool // some records are too large for a dead letter at times
	parking      orderly.Parking
	vandal       string // what becomes of the parking topic at last
	*outcomes
}

func newFailurePlan(r *rand.Rand, seed uint64) failurePlan {
	f := failurePlan{
		on:       r.IntN(6) > 0,
		policy:   pick(r, orderly.PolicyBlock, orderly.PolicyDeadLetter, orderly.PolicyDeadLetter, orderly.PolicySkip, orderly.PolicyStop, orderly.PolicyPark, orderly.PolicyPark, orderly.PolicyPark),
		attempts: pick(r, 2, 3, 10),
		outcomes: &outcomes{
			seed: seed, poison: pick(r, 0, 0.005, 0.02), hopeless: pick(r, 0, 0.005, 0.02), killer: pick(r, 0, 0, 0.005),
			dep: &dependency{style: pick(r, stylePlain, stylePlain, styleMarked, styleMixed, styleAsked)},
		},
	}
	if !f.on {
		f.policy = orderly.PolicyBlock
		return f
	}
	f.lives.Store(int64(pick(r, 1, 3, f.attempts+3)))
	if f.policy == orderly.PolicyDeadLetter {
		f.large = r.IntN(3) > 0
		f.writeFailure = pick(r, orderly.PolicyBlock, orderly.PolicyBlock, orderly.PolicyStop)
	}
	if f.policy == orderly.PolicyPark {
		f.parking = parkingConfig(r)
		f.vandal = pick(r, vandalNone, vandalNone, vandalNone, vandalNone, vandalNone, vandalNone, vandalDelete, vandalRecreate, vandalShorten)
	}
	switch r.IntN(4) {
	case 0:
		f.calm = time.Hour * 1000 // always fast
	case 1:
		f.calm = between(r, time.Second, 20*time.Second)
	}
	return f
}

// configure sets up how a member treats failures. The policy is one for all members.
func (f *failurePlan) configure(r *rand.Rand, c *memberConfig) {
	if !f.on {
		return
	}
	c.act = f.around(c.act)
	if c.AttemptTimeout > 0 {
		c.AttemptTimeout = max(c.AttemptTimeout, time.Second) // or most attempts fail: that is an outage of its own
	}
	c.OnExhausted, c.OnWriteFailure, c.Retry.MaxAttempts, c.Retry.MaxBackoff = f.policy, f.writeFailure, f.attempts, 4*time.Second
	c.Retry.Classify = f.dep.classify
	if f.policy == orderly.PolicyDeadLetter {
		c.DeadLetter.Profile = pick(r, orderly.HeadersOrderly, orderly.HeadersSpring)
		c.DeadLetter.Create = r.IntN(3) == 0
		c.DeadLetter.AnyPartition = r.IntN(4) == 0
		// So that what is written can be read on its way.
		c.KafkaOpts = append(c.KafkaOpts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	if f.policy == orderly.PolicyPark {
		c.Parking = f.parking
		c.KafkaOpts = append(c.KafkaOpts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	b := &c.Breaker
	if r.IntN(5) == 0 {
		b.Disabled = true
		return
	}
	if r.IntN(2) == 0 {
		b.Probe = f.dep.probe
		b.ProbeTimeout = pick(r, 100*time.Millisecond, time.Second)
	}
	b.ProbeInterval = pick(r, 300*time.Millisecond, time.Second, 5*time.Second)
	b.MaxInterval = pick(r, 5*time.Second, 20*time.Second)
	b.Successes = pick(r, 1, 3)
}

// newStep draws a failure of what the handlers or the dead letters need.
func (f *failurePlan) newStep(r *rand.Rand, session time.Duration) step {
	lasts := between(r, 100*time.Millisecond, pick(r, 2*time.Second, 15*time.Second, session*2))
	who, lose := r.IntN(100), r.IntN(2) == 0
	switch n := r.IntN(10); {
	case n < 4:
		return step{name: "outage for " + lasts.String(), do: func(w *run) {
			w.ledger.count("outage")
			w.during(lasts, f.dep.outage())
		}}
	case n < 5:
		after := between(r, 100*time.Millisecond, 5*time.Second)
		return step{name: "kill in an outage", do: func(w *run) {
			end := f.dep.outage()
			w.during(after, func() { w.with(who, func(m *member) { m.kill(lose) }) })
			w.during(after+lasts, end)
			w.later(func() { w.revive() })
		}}
	case n < 9 && f.policy == orderly.PolicyDeadLetter:
		return newLetterFault(r, lasts)
	case n < 9 && f.policy == orderly.PolicyPark:
		return newParkingStep(r, lasts)
	}
	records := 50 + r.IntN(400)
	return step{name: "burst", do: func(w *run) { w.produce(w.records(records)) }}
}

// prepareFailures sets up what failures need, before anybody comes.
func (w *run) prepareFailures() {
	f := w.failures
	f.dep.began = time.Now()
	f.died = func(*member) { w.later(w.revive) }
	if f.policy == orderly.PolicyPark {
		w.prepareParking()
		if f.seed%3 == 0 {
			w.limitMetadata(260) // then less is recorded, and the rest in notes
		}
	}
	if f.policy == orderly.PolicyDeadLetter {
		w.letters.source = w.c.TopicInfo(topicName).TopicID
		w.makeLetterTopic()
		if f.large && f.seed%2 == 0 {
			w.limitLetters(smallLetters)
			w.lasting = append(w.lasting, func() { w.limitLetters("") })
		}
	}
}

// revivals bounds the processes that come in the place of those that ended.
const revivals = 12

// revive brings a process in the place of one that ended, as a supervisor does.
func (w *run) revive() {
	time.Sleep(time.Second)
	w.lock.Lock()
	defer w.lock.Unlock()
	select {
	case <-w.over:
		return
	default:
	}
	if !w.ending && w.revived < revivals && w.alive() < 3 {
		w.revived++
		w.again()
	}
}

// again starts a member with a configuration that was there before, under another name.
func (w *run) again() {
	w.born++
	c := w.cast[w.born%len(w.cast)]
	c.InstanceID = "" // the one that it was may still be there
	w.start(fmt.Sprintf("r%d", w.born), c)
}

// mend waits, after all faults have ended, until only what cannot be done is left,
// and looks at that. Then it is mended.
func (w *run) mend() {
	f := w.failures
	w.settle()
	w.breakersClose("before")
	w.vandalize()
	f.lives.Store(0)
	f.mended.Store(true)
	w.log.Info("step", "do", "all records can be done")
	w.resetByHand()
	w.supervise()
	w.unpark()
	w.breakersClose("after")
}

// resetByHand is what an operator does under stop when all is mended: what a record
// has used up is forgotten with the metadata of the commit. Without that members go on
// to stop, when owners have ended uncleanly, at a record that they do not try.
func (w *run) resetByHand() {
	if w.failures.policy != orderly.PolicyStop {
		return
	}
	w.noneAlive()
	w.commitByHand(func(stored) string { return "" })
}

// commitByHand commits the group's offsets again, with other metadata.
func (w *run) commitByHand(text func(stored) string) {
	w.mu.Lock()
	partitions := len(w.ends)
	w.mu.Unlock()
	offsets := make(kadm.Offsets)
	for p := range int32(partitions) {
		if st, ok := w.h.committed(topicName, p); ok {
			offsets.Add(kadm.Offset{Topic: topicName, Partition: p, At: st.offset, LeaderEpoch: -1, Metadata: text(st)})
		}
	}
	if err := w.adm.CommitAllOffsets(context.Background(), groupName, offsets); err != nil {
		w.t.Errorf("resetting offsets: %v", err)
	}
}

// mostBorn bounds the processes of a seed that goes wrong.
const mostBorn = 200

// supervise keeps two members alive: under stop some end although all is mended, by
// what has failed before.
func (w *run) supervise() {
	look := func() {
		w.lock.Lock()
		defer w.lock.Unlock()
		for !w.ending && w.alive() < 2 && w.born < mostBorn {
			w.again()
		}
	}
	look()
	w.later(func() {
		every := time.NewTicker(time.Second)
		defer every.Stop()
		for {
			select {
			case <-w.over:
				return
			case <-every.C:
				look()
			}
		}
	})
}

// end says that nobody follows those who end from now on.
func (w *run) end() {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.ending = true
}

// settle waits until each record is done, or in a key that is blocked by a named
// reason; members that stop by policy are followed by others, some times. It waits for
// each in turn: a partition that is one sequence may have many whose attempts take a
// minute each.
func (w *run) settle() {
	const limit = 30 * time.Minute
	until, last := time.Now().Add(24*time.Hour), time.Now()
	var left []string
	for stops := 0; time.Now().Before(until); time.Sleep(2 * time.Second) {
		if w.alive() == 0 {
			if stops++; stops > 2 {
				for _, m := range w.all() {
					if m.err == nil && !m.isKilled() {
						continue
					}
					w.ledger.count("all have stopped")
				}
				return
			}
			w.again()
		}
		now := w.unexplained()
		if len(now) == 0 {
			return
		}
		if len(left) == 0 || now[0] != left[0] {
			last = time.Now()
		}
		if left = now; time.Since(last) > limit {
			break
		}
		if len(w.openBreakers()) > 0 {
			w.trickle()
		}
	}
	w.t.Errorf("after %v without a fault, %d records are neither done nor blocked by a named reason: %v", limit, len(left), left[:min(5, len(left))])
	for _, m := range w.all() {
		if m.running() {
			w.t.Logf("%s: %+v", m.name, m.c.State())
		}
	}
}

// unexplained are the records that are not done, and not in a key that is blocked for
// a reason that nothing but mending ends.
func (w *run) unexplained() (left []string) {
	type seq struct {
		at  place
		key history.Key
	}
	name := func(at place, key history.Key) seq {
		if w.scope == orderly.ScopePartition {
			return seq{at: at}
		}
		return seq{at, key}
	}
	parked := w.waitsParked()
	blocked := make(map[seq]int64)
	full, open := make(map[place]bool), make(map[place]bool)
	for _, m := range w.all() {
		if !m.running() || m.isKilled() {
			continue
		}
		st := m.c.Blocked(1 << 20)
		for _, p := range st.Partitions {
			at := place{p.Topic, p.Partition}
			open[at] = st.Breaker.State != "" && st.Breaker.State != orderly.BreakerClosed
			for _, b := range p.Oldest {
				if b.State == "exhausted" || b.State == "permanent" || b.State == "parking-refused" || open[at] {
					blocked[name(at, history.BytesKey(b.Key))] = b.Offset
				}
			}
			if p.Blocked > 0 && (slices.Contains(p.Reasons, "window-full") || slices.Contains(p.Reasons, "buffer-full")) {
				full[at] = true
			}
		}
	}
	done, first := make(map[record]bool), make(map[seq]int64)
	events := w.h.events()
	for _, e := range events {
		if e.Kind == history.Done || e.Kind == history.End && e.OK && !e.Cancelled {
			done[record{place{e.Topic, e.Partition}, e.Offset}] = true
		}
	}
	for _, e := range events {
		at := place{e.Topic, e.Partition}
		if e.Kind != history.Log || done[record{at, e.Offset}] {
			continue
		}
		s := name(at, e.Key)
		if _, ok := first[s]; !ok {
			first[s] = e.Offset
		}
		head, ok := blocked[s]
		switch {
		case w.parkedAndWaits(parked[at], e.Key, record{at, first[s]}):
			continue
		case w.failures.policy != orderly.PolicyBlock && w.failures.policy != orderly.PolicyPark && !(open[at] && (full[at] || w.scope == orderly.ScopePartition)):
			// Only a breaker that finds nothing to try but such records can hold it up.
		case full[at] && !ok, ok && head <= first[s] && w.hopelessAt(record{at, head}, e.Key):
			// What was done with a head before the first one was not committed: it came again.
			continue
		}
		left = append(left, fmt.Sprintf("%d/%d", e.Partition, e.Offset))
	}
	return left
}

// parkedAndWaits says whether a key's first record that is not done is parked, and
// waits for mending. What stands before it in the parking topic was done by an owner
// that died before it could commit that: such a record waits for an operator.
func (w *run) parkedAndWaits(keys map[history.Key]orderly.ParkedKey, key history.Key, first record) bool {
	if w.scope == orderly.ScopePartition {
		key = history.BytesKey(nil)
	}
	k, ok := keys[key]
	return ok && (k.FirstOffset == first.offset && w.hopelessAt(first, key) || k.FirstOffset <= first.offset && k.Permanent)
}

// hopelessAt says whether a record fails until all is mended.
func (w *run) hopelessAt(r record, key history.Key) bool {
	w.mu.Lock()
	large := w.large[r]
	w.mu.Unlock()
	n := w.failures.natureOf(r, large)
	return n == naturePoison || n == natureHopeless
}

// closeWithin is how long a breaker may stay open when the dependency is up and there
// are records to try.
const closeWithin = 5 * time.Minute

// breakersClose waits until all breakers are closed, while records of new keys come.
func (w *run) breakersClose(when string) {
	until := time.Now().Add(closeWithin)
	for {
		open := w.openBreakers()
		if len(open) == 0 {
			return
		}
		if time.Now().After(until) {
			w.t.Errorf("%s all records could be done, %s after the last fault, breakers are not closed: %s", when, closeWithin, open)
			return
		}
		w.trickle()
		time.Sleep(500 * time.Millisecond)
	}
}

// trickle produces records of new keys that do not fail.
func (w *run) trickle() {
	w.trickled++
	var recs []keyed
	w.mu.Lock()
	for p := range w.ends {
		recs = append(recs, keyed{partition: int32(p), key: fmt.Appendf(nil, "%c%d", healthyKey, w.trickled), value: "healthy"})
	}
	w.mu.Unlock()
	w.produce(recs)
}

// openBreakers are those of members that have a partition in which something can run.
func (w *run) openBreakers() (open []string) {
	for _, m := range w.all() {
		if !m.running() || m.isKilled() {
			continue
		}
		st := m.c.State()
		if s := st.Breaker.State; s == "" || s == orderly.BreakerClosed {
			continue
		}
		for _, p := range st.Partitions {
			if slices.Contains(p.Reasons, "window-full") || slices.Contains(p.Reasons, "buffer-full") || w.scope == orderly.ScopePartition && (p.Blocked > 0 || p.Parking.Records > 0) {
				continue
			}
			open = append(open, fmt.Sprintf("%s: %+v", m.name, st))
			break
		}
	}
	return open
}
