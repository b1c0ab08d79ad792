package fencing

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// An owner that is cut off in the middle of a record wakes up when another has handled
// that record and later ones: its write is refused, and nothing is added twice.
func TestLateWriterIsRefused(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("payments", 1)
	l := NewLedger()
	add := Handler(l)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"payments"}, SessionTimeout: time.Second, Handler: add, Events: orderly.Events{Assigned: Announcing(l)}})

	frozen, wake, woken := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var first atomic.Bool
	old := g.Start(func(cfg *orderly.ConsumerConfig) {
		cfg.Handler = func(ctx context.Context, m *orderly.Message) error {
			if string(m.Value) != "100" || !first.CompareAndSwap(false, true) {
				return add(ctx, m)
			}
			close(frozen)
			<-wake // it ignores that its context ends, as a frozen process does
			err := add(ctx, m)
			woken <- err
			return err
		}
	})
	b.Produce("payments", orderlytest.Msg("anna", "10"), orderlytest.Msg("anna", "100"), orderlytest.Msg("anna", "1000"))
	<-frozen
	old.Cut()
	g.Start()
	b.Eventually("the new owner to be through", func() bool { return l.Sum("anna") == 1110 })
	close(wake)
	var late *LateWriterError
	if err := <-woken; !errors.As(err, &late) || late.Token >= late.Current {
		t.Errorf("the late writer's answer: %v", err)
	}
	old.Heal()
	g.WaitDone()
	if sum := l.Sum("anna"); sum != 1110 {
		t.Errorf("anna has %d, want 1110", sum)
	}
}

// Announced, an owner is refused also where the new one has written nothing yet.
func TestAnnouncedTokenRefusesAtOnce(t *testing.T) {
	l := NewLedger()
	if err := l.Add(Place{"t", 0, 1, 7}, "anna", 5); err != nil {
		t.Fatal(err)
	}
	if err := l.Announce("t", 0, 8); err != nil {
		t.Fatal(err)
	}
	var late *LateWriterError
	if err := l.Add(Place{"t", 0, 2, 7}, "bert", 5); !errors.As(err, &late) || l.Sum("bert") != 0 {
		t.Errorf("%v, bert has %d", err, l.Sum("bert"))
	}
	if err := l.Add(Place{"t", 1, 2, 7}, "bert", 5); err != nil {
		t.Errorf("another partition: %v", err)
	}
	if err := l.Add(Place{"t", 0, 1, 8}, "anna", 5); err != nil || l.Sum("anna") != 5 {
		t.Errorf("a repeat: %v, anna has %d", err, l.Sum("anna"))
	}
	if err := l.Announce("t", 0, 7); !errors.As(err, &late) {
		t.Errorf("an old owner's token is taken: %v", err)
	}
}
