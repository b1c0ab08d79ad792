package orderly_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
)

// A lateBook answers the next takeover that is armed for only when it is told to, and so
// it parks.
type lateBook struct {
	*effectBook
	armed atomic.Bool
	taken chan int64 // the token of the takeover that waits
	goOn  chan struct{}

	slow         atomic.Bool
	parks, lands chan struct{}
}

func newLateBook() *lateBook {
	return &lateBook{effectBook: newEffectBook(), taken: make(chan int64, 1), goOn: make(chan struct{}), parks: make(chan struct{}), lands: make(chan struct{})}
}

func (b *lateBook) Apply(ctx context.Context, s store.Step, effects func(context.Context, any) error) error {
	if s.Park != nil && b.slow.CompareAndSwap(true, false) {
		close(b.parks)
		<-b.lands
	}
	return b.Memory.Apply(ctx, s, effects)
}

func (b *lateBook) Begin(ctx context.Context, p store.Part, l store.Layout, token, low int64) (store.State, error) {
	st, err := b.Memory.Begin(ctx, p, l, token, low)
	if err == nil && b.armed.CompareAndSwap(true, false) {
		b.taken <- token
		<-b.goOn
	}
	return st, err
}

// foreign takes the partition over in the store, past the group.
func (b *lateBook) foreign(t *testing.T, part store.Part, lanes int, token int64) {
	t.Helper()
	if _, err := b.Memory.Begin(t.Context(), part, store.Layout{Lanes: lanes, Hash: lane.HashVersion}, token, 0); err != nil {
		t.Fatal(err)
	}
}

// A token of which the store has answered only when the group had moved on, or when the
// ownership had come into doubt, is not used: the whole step is taken again, under a higher
// one. What happened in between is not known to the token. A partition that is being given
// up by then is not begun again.
func TestEffectsTokenGrantedTooLate(t *testing.T) {
	t.Parallel()
	for _, meanwhile := range []string{"a new generation", "a doubt", "a release"} {
		t.Run(meanwhile, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newLateBook()
			const lanes = 16
			other := "b" // a key of another lane
			laneOf := func(key string) int { return int(lane.Hash([]byte(key)) % lanes) }
			for n := 0; laneOf(other) == laneOf("a"); n++ {
				other = fmt.Sprint("b", n)
			}
			var looks atomic.Int64 // what is still done under this token finds out about others
			book.Fault = func(s store.Step) (error, bool) {
				if s.Token == looks.Load() && (meanwhile == "a doubt" || s.Advance.Lane != laneOf("a")) {
					return store.ErrUnknown, false
				}
				return nil, false
			}
			var busy atomic.Bool
			inHandler, goOn := make(chan struct{}), make(chan struct{})
			var assigned seen[orderly.AssignedEvent]
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: lanes, Events: orderly.Events{Assigned: assigned.add},
				Effects: orderly.Effects{Store: book, Handler: func(_ context.Context, tx any, m *orderly.Message) error {
					if string(m.Key) == "a" && busy.CompareAndSwap(true, false) {
						close(inHandler)
						<-goOn
					}
					book.apply(tx, m)
					return nil
				}}})
			b.Produce(topic, keyed(1, "a", other)...)
			m := g.Start()
			book.require(t, b, 2)
			p, _ := stateOf(m, topic, 0)
			first := p.FencingToken
			md, err := b.Admin().Metadata(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			part := store.Part{Group: g.Name(), Handler: "default", Topic: topic, TopicID: md.Topics[topic].ID}
			looks.Store(first)
			busy.Store(true)
			b.Produce(topic, keyed(1, "a")...)
			<-inHandler
			book.foreign(t, part, lanes, first+100)
			book.armed.Store(true)
			b.Produce(topic, keyed(1, other)...) // finds the foreign token
			late := <-book.taken
			above := late
			var stopped chan error
			switch meanwhile {
			case "a doubt":
				above += 100
				book.foreign(t, part, lanes, above)
				close(goOn) // and so does the handler's transaction, of this
				b.Eventually("the handler's result to be refused", func() bool {
					p, ok := stateOf(m, topic, 0)
					return ok && p.Running == 0
				})
			case "a release":
				stopped = make(chan error, 1)
				go func() { stopped <- m.Stop() }()
				b.Eventually("the partition to be given up", func() bool {
					p, ok := stateOf(m, topic, 0)
					return ok && slices.Contains(p.Reasons, "draining")
				})
			default:
				g.Start()
				b.Eventually("a generation of both", func() bool { return stable(t, b, g.Name(), 2) })
			}
			close(book.goOn)
			if meanwhile == "a release" {
				close(goOn)
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				g.Start()
			}
			b.Eventually("another token", func() bool {
				return assigned.any(func(e orderly.AssignedEvent) bool { return e.FencingToken > above })
			})
			if assigned.any(func(e orderly.AssignedEvent) bool { return e.FencingToken == late }) {
				t.Errorf("the partition went on under the late token %d", late)
			}
			if meanwhile == "a new generation" {
				close(goOn)
			}
			book.require(t, b, 4)
		})
	}
}

// A record that is parked under the token before, when the partition was taken over under
// a higher one already, is found: otherwise its key would be released by the next owner
// only.
func TestEffectsParkedDuringATakeover(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newLateBook()
	book.slow.Store(true)
	var looks atomic.Int64 // a run under this token finds out about others
	book.Fault = func(s store.Step) (error, bool) {
		if s.Token == looks.Load() && s.Advance != nil {
			return store.ErrUnknown, false
		}
		return nil, false
	}
	var mended atomic.Bool
	var assigned seen[orderly.AssignedEvent]
	const lanes = 16
	effects := book.failing(badKey("bad"), &mended)
	effects.Store = book
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: lanes, Breaker: orderly.Breaker{Disabled: true}, Events: orderly.Events{Assigned: assigned.add},
		Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond}, Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 20 * time.Millisecond},
		Effects: effects})
	b.Produce(topic, keyed(1, "good", "bad")...)
	m := g.Start()
	book.require(t, b, 1)
	<-book.parks
	p, _ := stateOf(m, topic, 0)
	looks.Store(p.FencingToken)
	md, err := b.Admin().Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	foreign := p.FencingToken + 100
	book.foreign(t, store.Part{Group: g.Name(), Handler: "default", Topic: topic, TopicID: md.Topics[topic].ID}, lanes, foreign)
	b.Produce(topic, keyed(1, "good")...)
	b.Eventually("a token above the other one's", func() bool {
		return assigned.any(func(e orderly.AssignedEvent) bool { return e.Regranted && e.FencingToken > foreign })
	})
	close(book.lands)
	mended.Store(true)
	book.require(t, b, 3)
	b.Eventually("nothing to be parked", func() bool { return book.Exceptions() == 0 })
	stopAll(t, m)
}

// stable says that the group has so many members, and its partitions are assigned.
func stable(t *testing.T, b *orderlytest.Broker, group string, members int) bool {
	t.Helper()
	groups, err := b.Admin().DescribeGroups(t.Context(), group)
	g := groups[group]
	return err == nil && g.Err == nil && g.State == "Stable" && len(g.Members) == members
}
