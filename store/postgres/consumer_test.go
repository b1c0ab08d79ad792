package postgres

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
)

// site is a broker with a topic, and an empty database with a table of effects.
func site(t *testing.T, url string) (*orderlytest.Broker, *DB) {
	t.Helper()
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	return b, open(t, url)
}

func note(ctx context.Context, tx pgx.Tx, m *orderly.Message) error {
	_, err := tx.Exec(ctx, `INSERT INTO effect VALUES ($1, 1) ON CONFLICT (place) DO UPDATE SET n = effect.n + 1`, m.Offset)
	return err
}

// applied waits for n effects and fails when one came twice.
func applied(t *testing.T, b *orderlytest.Broker, db *DB, n int) {
	t.Helper()
	var times, most int
	b.Eventually("the effects", func() bool {
		err := db.Pool().QueryRow(t.Context(), `SELECT count(*), coalesce(max(n), 0) FROM effect`).Scan(&times, &most)
		return err == nil && times >= n
	})
	if times != n || most > 1 {
		t.Errorf("%d effects, one %d times; want %d", times, most, n)
	}
}

// The database goes while records come, and comes back: nothing is given up, no
// attempt is spent.
func TestDatabaseDownAndBack(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	s := postgrestest.Start(t)
	b, db := site(t, s.URL())
	var opened atomic.Bool
	var blamed atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, OnExhausted: orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: 1},
		Breaker: orderly.Breaker{ProbeInterval: 100 * time.Millisecond, MaxInterval: 100 * time.Millisecond},
		Events: orderly.Events{
			Breaker: func(e orderly.BreakerEvent) { opened.Store(opened.Load() || e.State == orderly.BreakerOpen) },
			Attempt: func(e orderly.AttemptEvent) {
				if e.Class != orderly.ClassUnavailable {
					blamed.Add(1)
				}
			}},
		Effects: db.Effects(note)})
	put := func(n int) {
		for i := range n {
			b.Produce("orders", orderlytest.Msg("k"+string(rune('a'+i%26)), "v"))
		}
	}
	put(50)
	m := g.Start()
	applied(t, b, db, 50)
	s.StopNow(t)
	put(50)
	b.Eventually("the breaker to open", opened.Load)
	s.Restart(t)
	applied(t, b, db, 100)
	if blamed.Load() > 0 {
		t.Errorf("%d attempts were spent", blamed.Load())
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}

// A handler that ends its transaction ends Run, and is told what to do: nothing that
// it did is there when the method was refused.
func TestHandlerThatCommits(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	url := server(t)
	for name, end := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"Commit":   func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"Rollback": func(ctx context.Context, tx pgx.Tx) error { _ = tx.Rollback(ctx); return nil },
		"COMMIT":   func(ctx context.Context, tx pgx.Tx) error { _, err := tx.Exec(ctx, "COMMIT"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			b, db := site(t, url)
			var calls atomic.Int64
			g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, Effects: db.Effects(func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error {
				calls.Add(1)
				if err := note(ctx, tx, m); err != nil {
					return err
				}
				return end(ctx, tx)
			})})
			b.Produce("orders", orderlytest.Msg("k", "v"))
			err := g.Start().Wait()
			var stop *orderly.StopError
			if !errors.As(err, &stop) || !errors.Is(err, store.ErrEnded) || !strings.Contains(err.Error(), "return nil to commit") {
				t.Errorf("Run: %v", err)
			}
			if calls.Load() != 1 {
				t.Errorf("it was called %d times: each repeats its effect", calls.Load())
			}
		})
	}
}

// What the database does to a transaction is not the record's fault: deadlocks and
// serialization failures are tried again, at no attempt.
func TestDeadlocksSpendNoAttempt(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	b, db := site(t, server(t))
	if _, err := db.Pool().Exec(t.Context(), `INSERT INTO effect VALUES (-1, 0), (-2, 0)`); err != nil {
		t.Fatal(err)
	}
	var attempts, deadlocks atomic.Int64
	both := make(chan struct{}, 2)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, Lanes: 64, Events: orderly.Events{Attempt: func(orderly.AttemptEvent) { attempts.Add(1) }},
		Effects: db.Effects(func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error {
			first, second := -1, -2
			if string(m.Key) == "b" {
				first, second = second, first
			}
			add := func(place int) error {
				_, err := tx.Exec(ctx, `UPDATE effect SET n = n + 1 WHERE place = $1`, place)
				return err
			}
			if err := add(first); err != nil {
				return err
			}
			// Each waits until both have their first row.
			both <- struct{}{}
			if deadlocks.Load() == 0 {
				for len(both) < 2 && ctx.Err() == nil && deadlocks.Load() == 0 {
					if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.005)`); err != nil {
						return err
					}
				}
			}
			err := add(second)
			if err != nil {
				deadlocks.Add(1)
				for len(both) > 0 {
					<-both
				}
			}
			return err
		})})
	b.Produce("orders", orderlytest.Msg("a", "1"), orderlytest.Msg("b", "1"))
	g.Start()
	b.Eventually("both effects", func() bool {
		var n int
		err := db.Pool().QueryRow(t.Context(), `SELECT sum(n) FROM effect`).Scan(&n)
		return err == nil && n == 4
	})
	if deadlocks.Load() == 0 || attempts.Load() > 0 {
		t.Errorf("%d deadlocks, %d attempts spent", deadlocks.Load(), attempts.Load())
	}
}
