package orderly_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

// failover is a backend whose database is exchanged for another one.
type failover struct {
	atomic.Pointer[storetest.Memory]
}

func (f *failover) Begin(ctx context.Context, p store.Part, l store.Layout, token, low int64) (store.State, error) {
	return f.Load().Begin(ctx, p, l, token, low)
}
func (f *failover) Look(ctx context.Context, p store.Part, lane int) (store.State, error) {
	return f.Load().Look(ctx, p, lane)
}
func (f *failover) Token(ctx context.Context, p store.Part) (int64, error) {
	return f.Load().Token(ctx, p)
}
func (f *failover) Apply(ctx context.Context, s store.Step, effects func(context.Context, any) error) error {
	return f.Load().Apply(ctx, s, effects)
}
func (f *failover) Low(ctx context.Context, p store.Part, token, low int64, check func(store.State) error) (bool, error) {
	return f.Load().Low(ctx, p, token, low, check)
}
func (f *failover) Payload(ctx context.Context, p store.Part, offset int64) ([]byte, error) {
	return f.Load().Payload(ctx, p, offset)
}
func (f *failover) Classify(err error) store.Class { return f.Load().Classify(err) }

// A failoverScene is a group whose database can fail over to a standby that lags behind.
type failoverScene struct {
	b              *orderlytest.Broker
	topic          string // one partition
	lanes          int
	db             failover
	first, standby *effectBook
	g              *orderlytest.Group
}

func newFailoverScene(t *testing.T, lanes int) *failoverScene {
	b := engine(t)
	s := &failoverScene{b: b, topic: newTopic(t, b, 1), lanes: lanes, first: newEffectBook(), standby: newEffectBook()}
	s.db.Store(s.first.Memory)
	s.g = b.Group(orderly.ConsumerConfig{Topics: []string{s.topic}, Lanes: lanes, Effects: orderly.Effects{Store: &s.db,
		Handler: func(_ context.Context, tx any, m *orderly.Message) error {
			if s.db.Load() == s.first.Memory {
				s.first.apply(tx, m)
			} else {
				s.standby.apply(tx, m)
			}
			return nil
		}}})
	return s
}

// fail puts the standby in the place of the database; it knows of the token, and each lane
// up to an offset.
func (s *failoverScene) fail(t *testing.T, token int64, upTo ...int64) {
	t.Helper()
	md, err := s.b.Admin().Metadata(t.Context(), s.topic)
	if err != nil {
		t.Fatal(err)
	}
	part := store.Part{Group: s.g.Name(), Handler: "default", Topic: s.topic, TopicID: md.Topics[s.topic].ID}
	if _, err := s.standby.Begin(t.Context(), part, store.Layout{Lanes: s.lanes, Hash: 1}, token, 0); err != nil {
		t.Fatal(err)
	}
	for l, to := range upTo {
		step := store.Step{Part: part, Token: token, Advance: &store.Advance{Lane: l, From: store.Unknown, To: to}}
		if err := s.standby.Memory.Apply(t.Context(), step, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.db.Store(s.standby.Memory)
}

// After a failover the database may not have what it had acknowledged: the owner notices,
// and what is missing is applied again, whether the standby knows its token or not.
func TestEffectsDatabaseLosesCommits(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("token known %v", known), func(t *testing.T) {
			t.Parallel()
			s := newFailoverScene(t, 1)
			s.b.Produce(s.topic, keyed(10, "a")...)
			m := s.g.Start()
			s.first.require(t, s.b, 10)
			caughtUp(t, s.b, m, s.topic, 0)
			p, _ := stateOf(m, s.topic, 0)
			token := p.FencingToken
			if !known {
				token--
			}
			s.fail(t, token, 4)
			s.b.Produce(s.topic, keyed(2, "a")...)
			s.standby.require(t, s.b, 8) // 4 to 11
			caughtUp(t, s.b, m, s.topic, 0)
		})
	}
}

// Also where no record comes any more for what is lost: reading must not begin behind it
// from then on.
func TestEffectsDatabaseLosesCommitsOfAQuietLane(t *testing.T) {
	t.Parallel()
	s := newFailoverScene(t, 2)
	keys := [2]string{} // one for each lane
	for n := 0; keys[0] == "" || keys[1] == ""; n++ {
		keys[lane.Hash(fmt.Append(nil, n))%2] = fmt.Sprint(n)
	}
	s.b.Produce(s.topic, keyed(10, keys[0])...)
	s.b.Produce(s.topic, keyed(10, keys[1])...)
	m := s.g.Start()
	s.first.require(t, s.b, 20)
	caughtUp(t, s.b, m, s.topic, 0)
	p, _ := stateOf(m, s.topic, 0)
	s.fail(t, p.FencingToken, 4, 20)
	s.b.Produce(s.topic, keyed(2, keys[1])...)
	s.standby.require(t, s.b, 8) // 4 to 9, 20 and 21
	caughtUp(t, s.b, m, s.topic, 0)
	stopAll(t, m)
	s.g.Start()
	s.b.Produce(s.topic, keyed(1, keys[0])...)
	s.standby.require(t, s.b, 9)
}
