package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An effectBook has the effects that were committed, and what was wrong with them.
type effectBook struct {
	*storetest.Memory

	mu    sync.Mutex
	times map[effectPlace]int
	last  map[string]int64
	wrong []string
}

type effectPlace struct {
	topic     string
	partition int32
	offset    int64
}

func newEffectBook() *effectBook {
	return &effectBook{Memory: storetest.NewMemory(), times: map[effectPlace]int{}, last: map[string]int64{}}
}

// apply adds the effect of a record to the transaction.
func (b *effectBook) apply(tx any, m *orderly.Message) {
	tx.(*storetest.MemoryTx).Do(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		p := effectPlace{m.Topic, m.Partition, m.Offset}
		if b.times[p]++; b.times[p] > 1 {
			b.wrong = append(b.wrong, fmt.Sprintf("%v had its effect %d times", p, b.times[p]))
		}
		key := fmt.Sprint(m.Topic, m.Partition, "/", string(m.Key))
		if last, ok := b.last[key]; ok && last > m.Offset {
			b.wrong = append(b.wrong, fmt.Sprintf("key %s: offset %d after %d", key, m.Offset, last))
		}
		b.last[key] = m.Offset
	})
}

func (b *effectBook) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.times)
}

// require waits for n effects, and fails when one came twice or too late.
func (b *effectBook) require(t *testing.T, br *orderlytest.Broker, n int) {
	t.Helper()
	br.Eventually(fmt.Sprintf("%d effects", n), func() bool { return b.count() >= n })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.times) != n {
		t.Errorf("%d effects, want %d", len(b.times), n)
	}
	for _, w := range b.wrong {
		t.Error(w)
	}
}

// effects is a handler that only notes.
func (b *effectBook) effects() orderly.Effects {
	return orderly.Effects{Store: b.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
		b.apply(tx, m)
		return nil
	}}
}

// commitFaults has one commit of twenty fail, one end unknown, and one chosen to lose.
func commitFaults(seed1, seed2 uint64) func(store.Step) (error, bool) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed1, seed2))
	return func(store.Step) (error, bool) {
		mu.Lock()
		defer mu.Unlock()
		switch rnd.IntN(20) {
		case 0:
			return store.ErrUnknown, false
		case 1:
			return nil, true
		case 2:
			return storetest.ErrAgain, false
		}
		return nil, false
	}
}

// throughChurn writes records of twelve keys in six rounds, and in each of them has a member
// join, waits for effects, and then kills the owner of one of the topic's three partitions or
// has the group rebalance. It returns how many effects there are to be.
func (b *effectBook) throughChurn(br *orderlytest.Broker, g *orderlytest.Group, topic string) int {
	const rounds, keys, each = 6, 12, 20
	g.Start()
	for i := range rounds {
		br.Produce(topic, keyed(each, names("k", keys)...)...)
		g.Start()
		at := b.count()
		br.Eventually("progress", func() bool { return b.count() > at+20 || b.count() == (i+1)*each*keys })
		if i%2 == 0 {
			g.KillOwner(topic, int32(i%3))
		} else {
			g.Rebalance()
		}
	}
	return rounds * keys * each
}

// Members come, go and die; commits fail, are unknown, or are chosen to lose: each
// effect happens once, those of a key in order.
func TestEffectsOnce(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 3)
	book := newEffectBook()
	book.Fault = commitFaults(1, 2)
	var n atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 4, CommitInterval: 20 * time.Millisecond,
		Effects: orderly.Effects{Store: book.Memory, MaxRecords: 7, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			if n.Add(1)%9 == 0 {
				return errBusy
			}
			book.apply(tx, m)
			return nil
		}}})
	book.require(t, b, book.throughChurn(b, g, topic))
	if book.Exceptions() != 0 {
		b.Eventually("no exception to be left", func() bool { return book.Exceptions() == 0 })
	}
}

// A record that fails in the middle of a transaction: it alone is blamed, at one
// attempt for each of its own failures; its key waits, the others of its lane go on.
func TestEffectsPoisonInTheMiddle(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var healed atomic.Bool
	var failed seen[orderly.AttemptEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Events: orderly.Events{Attempt: failed.add},
		Effects: orderly.Effects{Store: book.Memory, MaxAge: time.Second, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			book.apply(tx, m)
			if string(m.Key) == "bad" && !healed.Load() {
				return errBusy
			}
			return nil
		}}})
	b.Produce(topic, keyed(10, "a", "bad", "c")...)
	m := g.Start()
	book.require(t, b, 20)
	b.Eventually("the state", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Blocked == 1 && len(p.Oldest) == 1 && p.Oldest[0].Offset == 1 && p.Oldest[0].Waiting == 10
	})
	for i, e := range failed.get() {
		if e.Message.Offset != 1 || e.Message.Attempt != i+1 {
			t.Errorf("offset %d was blamed at attempt %d", e.Message.Offset, e.Message.Attempt)
		}
	}
	// The next owner has it so from the store.
	stopAll(t, m)
	b.Produce(topic, keyed(1, "bad", "c")...)
	m = g.Start()
	book.require(t, b, 21)
	if p, _ := stateOf(m, topic, 0); p.Committed > 1 {
		t.Errorf("offset %d was committed while offset 1 has failed", p.Committed)
	}
	healed.Store(true)
	book.require(t, b, 32)
	caughtUp(t, b, m, topic, 0)
}

// A key that waits for its next attempt does not hold its lane.
func TestEffectsFailedKeyHoldsNoOther(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Hour},
		Effects: orderly.Effects{Store: book.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			if string(m.Key) == "bad" {
				return orderly.RetryAfter(errBusy, time.Hour)
			}
			book.apply(tx, m)
			return nil
		}}})
	b.Produce(topic, keyed(10, "bad", "a", "c")...)
	g.Start()
	book.require(t, b, 20)
}

// A handler that ends its goroutine, panics or takes too long leaves nothing of its
// transaction; its record is tried again, and only that one is blamed.
func TestEffectsHandlerThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var calls atomic.Int64
	var failed seen[orderly.AttemptEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, AttemptTimeout: 20 * time.Millisecond, Events: orderly.Events{Attempt: failed.add},
		Effects: orderly.Effects{Store: book.Memory, MaxAge: time.Second, Handler: func(ctx context.Context, tx any, m *orderly.Message) error {
			book.apply(tx, m)
			if m.Offset == 4 {
				switch calls.Add(1) {
				case 1, 2: // in company, and alone
					runtime.Goexit()
				case 3:
					panic("it panics")
				case 4:
					<-ctx.Done()
					return ctx.Err()
				}
			}
			return nil
		}}})
	b.Produce(topic, keyed(5, "a", "b")...)
	m := g.Start()
	book.require(t, b, 10)
	caughtUp(t, b, m, topic, 0)
	for _, e := range failed.get() {
		if e.Message.Offset != 4 {
			t.Errorf("offset %d is blamed", e.Message.Offset)
		}
	}
	if n := failed.len(); n != 3 {
		t.Errorf("%d attempts failed", n)
	}
}

// A record whose policy passes it is passed in the store too: its key goes on, also
// at the next owner, and the decision is noted in the transaction.
func TestEffectsPoliciesThatPass(t *testing.T) {
	t.Parallel()
	for _, policy := range []orderly.Policy{orderly.PolicySkip, orderly.PolicyDeadLetter} {
		for _, scope := range []orderly.Scope{orderly.ScopeKey, orderly.ScopePartition} {
			t.Run(fmt.Sprint(policy, scope), func(t *testing.T) {
				t.Parallel()
				b := engine(t)
				topic := newTopic(t, b, 1)
				book := newEffectBook()
				var lost atomic.Int64
				book.Fault = func(s store.Step) (error, bool) { // the store does not take it at first
					if s.Audit != nil && lost.Add(1) < 3 {
						return storetest.ErrDown, false
					}
					return nil, false
				}
				cfg := orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Scope: scope, OnExhausted: policy,
					Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond},
					Effects: orderly.Effects{Store: book.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
						if string(m.Value) == "3" && string(m.Key) == "bad" {
							return errBusy
						}
						book.apply(tx, m)
						return nil
					}}}
				cfg.DeadLetter.Create = policy == orderly.PolicyDeadLetter
				g := b.Group(cfg)
				b.Produce(topic, keyed(8, "a", "bad")...)
				m := g.Start()
				book.require(t, b, 15)
				caughtUp(t, b, m, topic, 0)
				stopAll(t, m)
				b.Produce(topic, keyed(2, "bad")...)
				m = g.Start()
				book.require(t, b, 17)
				caughtUp(t, b, m, topic, 0)
				if a := book.Audits(); len(a) != 1 || a[0].Offset != 7 || a[0].Decision != string(policy) || string(a[0].Key) != map[orderly.Scope]string{orderly.ScopeKey: "bad"}[scope] || a[0].Why == "" {
					t.Errorf("audit: %+v", a)
				}
				if policy == orderly.PolicyDeadLetter && b.End(topic+"-dlt", 0) != 1 {
					t.Errorf("%d dead letters", b.End(topic+"-dlt", 0))
				}
				if book.Exceptions() != 0 {
					t.Errorf("%d exceptions are left", book.Exceptions())
				}
			})
		}
	}
}

// Policy stop: Run ends at the record, whoever gets the partition next stops at it.
func TestEffectsPolicyStop(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, OnExhausted: orderly.PolicyStop,
		Effects: orderly.Effects{Store: book.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			if m.Offset == 2 {
				return orderly.Permanent(errBusy)
			}
			book.apply(tx, m)
			return nil
		}}})
	b.Produce(topic, keyed(3, "a", "b")...)
	for range 2 {
		var stop *orderly.StopError
		if err := g.Start().Wait(); !errors.As(err, &stop) || stop.Offset != 2 {
			t.Fatalf("Run: %v", err)
		}
	}
	b.Eventually("the effects before it", func() bool { return book.count() >= 2 })
	book.mu.Lock()
	defer book.mu.Unlock()
	if book.times[effectPlace{topic, 0, 4}] != 0 || len(book.wrong) > 0 {
		t.Errorf("%v %v", book.times, book.wrong)
	}
}

// The database is down: the breaker opens, no attempt is spent and nothing is given
// up; when it is back everything goes on.
func TestEffectsDatabaseDown(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var attempts seen[orderly.AttemptEvent]
	var states seen[orderly.BreakerEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: 1},
		Events:  orderly.Events{Attempt: attempts.add, Breaker: states.add},
		Breaker: orderly.Breaker{ProbeInterval: 50 * time.Millisecond, MaxInterval: 50 * time.Millisecond},
		Effects: book.effects()})
	b.Produce(topic, keyed(1, names("k", 100)...)...)
	m := g.Start()
	book.require(t, b, 100)
	caughtUp(t, b, m, topic, 0)
	book.Down(true)
	b.Produce(topic, keyed(1, names("k", 100)...)...)
	b.Eventually("the breaker to open", func() bool {
		return states.any(func(e orderly.BreakerEvent) bool { return e.State == orderly.BreakerOpen })
	})
	for _, e := range attempts.get() {
		if e.Class != orderly.ClassUnavailable {
			t.Errorf("attempt: %+v", e)
		}
	}
	book.Down(false)
	book.require(t, b, 200)
	caughtUp(t, b, m, topic, 0)
	if book.Exceptions() != 0 {
		t.Errorf("%d keys were detached because the database was down", book.Exceptions())
	}
	// It is down at the start: the partitions wait for it.
	stopAll(t, m)
	book.Down(true)
	b.Produce(topic, keyed(1, names("k", 10)...)...)
	m = g.Start()
	b.Eventually("the member to join", func() bool { return m.Consumer().State().Generation > 0 })
	book.Down(false)
	book.require(t, b, 210)
}

// An owner that is frozen in the middle of a transaction, while another one has taken
// over and applied the same record: what it commits afterwards changes nothing, and it
// finds out that it is an owner no more.
func TestEffectsZombie(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var frozen, goOn = make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 2,
		SessionTimeout: time.Second, RebalanceTimeout: 2 * time.Second, HeartbeatInterval: 100 * time.Millisecond,
		Effects: orderly.Effects{Store: book.Memory, MaxRecords: 4, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			book.apply(tx, m)
			if m.Offset == 5 && first.CompareAndSwap(false, true) {
				close(frozen)
				<-goOn
			}
			return nil
		}}})
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	zombie := g.Start()
	<-frozen
	zombie.Cut()
	g.Start()
	book.require(t, b, 30)
	zombie.Heal()
	close(goOn)
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	book.require(t, b, 60)
	g.Rebalance()
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	book.require(t, b, 90)
}

// An owner that finds another one's token in the store, and another position, confirms
// that the partition is its own, takes a higher token, and goes on from what is there.
func TestEffectsForeignToken(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Effects: book.effects()})
	b.Produce(topic, keyed(3, "a")...)
	m := g.Start()
	book.require(t, b, 3)
	md, err := b.Admin().Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	part := store.Part{Group: g.Name(), Handler: "default", Topic: topic, TopicID: md.Topics[topic].ID}
	p, _ := stateOf(m, topic, 0)
	foreign := p.FencingToken + 100
	if _, err := book.Begin(t.Context(), part, store.Layout{Lanes: 1, Hash: 1}, foreign, 0); err != nil {
		t.Fatal(err)
	}
	err = book.Apply(t.Context(), store.Step{Part: part, Token: foreign, Advance: &store.Advance{From: 3, To: 4}}, func(_ context.Context, tx any) error {
		book.apply(tx, &orderly.Message{Record: &kgo.Record{Topic: topic, Offset: 3, Key: []byte("a")}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Produce(topic, keyed(2, "a")...)
	book.require(t, b, 5)
	b.Eventually("a token above the other one's", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.FencingToken > foreign && len(p.Reasons) == 0
	})
	caughtUp(t, b, m, topic, 0)
}

// Kafka's offsets are hints: ahead of the store, or gone, nothing is lost or repeated.
func TestEffectsResumeAtTheStore(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var broken atomic.Bool
	broken.Store(true)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 3,
		Effects: orderly.Effects{Store: book.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			if string(m.Key) == "a" && broken.Load() {
				return errBusy
			}
			book.apply(tx, m)
			return nil
		}}})
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	m := g.Start()
	book.require(t, b, 20)
	for _, to := range []int64{30, 25, -1} {
		stopAll(t, m)
		if to < 0 {
			if _, err := b.Admin().DeleteGroups(t.Context(), g.Name()); err != nil {
				t.Fatal(err)
			}
		} else {
			text, _, err := progress.Encode(to, progress.Meta{Token: 1, CompleteUpTo: to, Clean: true}, progress.DefaultLimit)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Admin().CommitAllOffsets(t.Context(), g.Name(), kadm.Offsets{topic: {0: {Topic: topic, At: to, LeaderEpoch: -1, Metadata: text}}}); err != nil {
				t.Fatal(err)
			}
		}
		m = g.Start()
		b.Eventually("the record that fails to be read again", func() bool {
			p, _ := stateOf(m, topic, 0)
			return p.Blocked == 1 && p.Oldest[0].Offset == 0 && p.Oldest[0].Waiting == 10
		})
		book.require(t, b, 20)
	}
	broken.Store(false)
	book.require(t, b, 30)
}

// What does not fit the store ends Run by name.
func TestEffectsRefusals(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 3, Effects: book.effects()})
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	m := g.Start()
	book.require(t, b, 30)
	caughtUp(t, b, m, topic, 0)
	stopAll(t, m)

	refused := func(what string, into any, change func(*orderly.ConsumerConfig)) {
		t.Helper()
		err := g.Start(change).Wait()
		var st *orderly.StoreError
		if !errors.As(err, &st) || st.Topic != topic || !errors.As(err, into) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another number of lanes", new(*store.LayoutError), func(c *orderly.ConsumerConfig) { c.Lanes = 4 })
	refused("another scope", new(*store.LayoutError), func(c *orderly.ConsumerConfig) { c.Scope = orderly.ScopePartition })
	refused("another ordering key", new(*store.LayoutError), func(c *orderly.ConsumerConfig) {
		c.OrderBy = orderly.OrderBy{Name: "value", Key: func(r *kgo.Record) []byte { return r.Value }}
	})

	trimmed := func(c *orderly.ConsumerConfig) { c.Effects.Name = "trimmed" }
	id, err := b.Admin().Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	part := store.Part{Group: g.Name(), Handler: "trimmed", Topic: topic, TopicID: id.Topics[topic].ID}
	layout := store.Layout{Lanes: 3, Hash: 1}
	begin := func(name string, low int64) {
		part.Handler = name
		if _, err := book.Begin(t.Context(), part, layout, 1, low); err != nil {
			t.Fatal(err)
		}
	}
	trim(t, b, topic)
	begin("trimmed", 3)
	refused("records that are needed are deleted", new(*orderly.StoreError), trimmed)
	begin("ahead", 31)
	refused("a database ahead of the log", new(*orderly.StoreError), func(c *orderly.ConsumerConfig) { c.Effects.Name = "ahead" })

	b.DeleteTopic(topic)
	b.CreateTopic(topic, 1)
	refused("a topic that was made again", new(*store.TopicError), func(*orderly.ConsumerConfig) {})
	g.Start(func(c *orderly.ConsumerConfig) { c.Effects.Name = "anew" })
	g.Owner(topic, 0)
}

// With another name a handler begins at the group's committed offset, and applies all
// from there: what the group's metadata says is done ahead, another handler has done.
func TestEffectsAnotherName(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var failing atomic.Bool
	failing.Store(true)
	first, second := newEffectBook(), newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: orderly.Effects{Store: first.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
		if m.Offset == 3 && failing.Load() {
			return errBusy
		}
		first.apply(tx, m)
		return nil
	}}})
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	m := g.Start()
	first.require(t, b, 21) // all but those of its key from it on
	b.Eventually("a commit that names what is done ahead", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Committed == 3 && p.DoneAhead == 18
	})
	stopAll(t, m)
	g.Start(func(c *orderly.ConsumerConfig) { c.Effects = second.effects(); c.Effects.Name = "second" })
	second.require(t, b, 27)
}

// Two groups in one database, and two handlers of one group one after the other, keep
// apart.
func TestEffectsGroupsKeepApart(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	one, two := newEffectBook(), newEffectBook()
	two.Memory = one.Memory
	b.Produce(topic, keyed(20, "a", "b", "c")...)
	for _, book := range []*effectBook{one, two} {
		b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: book.effects()}).Start()
	}
	one.require(t, b, 60)
	two.require(t, b, 60)
}

// Partition scope: one sequence, one lane; a record that fails holds all behind it.
func TestEffectsScopePartition(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: orderly.ScopePartition,
		Effects: orderly.Effects{Store: book.Memory, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			if m.Offset == 11 && !healed.Load() {
				return errBusy
			}
			book.apply(tx, m)
			return nil
		}}})
	b.Produce(topic, keyed(10, "a", "b", "c")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 11)
	b.Eventually("the record to fail", func() bool { p, _ := stateOf(m, topic, 0); return p.Blocked == 1 })
	book.require(t, b, 11)
	stopAll(t, m)
	g.Start()
	healed.Store(true)
	book.require(t, b, 30)
}

// What is wrong with the configuration is said before anything is connected to.
func TestEffectsConfig(t *testing.T) {
	t.Parallel()
	book := newEffectBook()
	_, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: []string{"x:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing,
		Reset:   orderly.ResetLatest,
		Effects: orderly.Effects{Store: book.Memory, Name: "A b", MaxRecords: -1, MaxAge: time.Hour}})
	for _, want := range []string{"Handler and Effects are set", "Effects.Handler", "Effects.Name", "Effects.MaxRecords", "Effects.MaxAge", "Reset"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: it does not name %s", err, want)
		}
	}
}
