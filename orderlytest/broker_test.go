package orderlytest_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGroupThroughKillAndRebalance(t *testing.T) {
	b := orderlytest.NewBroker(t, "orders")
	var calls atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, SessionTimeout: time.Second,
		Handler: func(ctx context.Context, m *orderly.Message) error {
			if calls.Add(1)%11 == 0 {
				return errBusy
			}
			return nil
		}})
	g.Start()
	b.Produce("orders", keyed(50, "a", "b", "c", "d", "e", "f", "g")...)
	g.WaitDone()
	g.Start()
	b.Produce("orders", keyed(50, "a", "b", "c", "d", "e", "f", "g")...)
	dead := g.KillOwner("orders", 0)
	b.Produce("orders", keyed(50, "a", "b", "c", "d", "e", "f", "g")...)
	g.WaitDone()
	g.Rebalance()
	b.Produce("orders", keyed(50, "a", "b", "c", "d", "e", "f", "g")...)
	g.WaitDone()
	g.RequireComplete(t)
	if o := g.Owner("orders", 0); o == dead {
		t.Error("the dead own it")
	}
	if c := g.Counts(); c.Records != 4*50*7 || c.Handled != c.Records || c.Attempts <= c.Records {
		t.Errorf("%+v", c)
	}
	for _, m := range g.Members() {
		if m != dead {
			if err := m.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	began := time.Now()
	t.Logf("end of the dead: %v after %s", dead.Wait(), time.Since(began))
}

// A member that was cut off finds out by its own clock.
func TestCutAndHeal(t *testing.T) {
	b := orderlytest.NewBroker(t, "orders")
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, SessionTimeout: time.Second,
		Handler: func(ctx context.Context, m *orderly.Message) error { return nil }})
	m := g.Start()
	b.Produce("orders", keyed(5, "a", "b", "c")...)
	g.WaitDone()
	m.Cut()
	b.Eventually("the member to notice", func() bool { return m.Consumer().State().Silent })
	b.Produce("orders", keyed(5, "a", "b", "c")...)
	if g.Left() == 0 {
		t.Error("records passed a cut network")
	}
	m.Heal()
	g.WaitDone()
	g.RequireComplete(t)
}
