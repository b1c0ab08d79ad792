package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
)

func TestMain(m *testing.M) {
	if effectstest.Member(openHistory) {
		return
	}
	if os.Getenv(poisonEnv) != "" {
		poisoned()
		return
	}
	os.Exit(m.Run())
}

func openHistory(_ context.Context, file string) (*effectstest.DB, error) {
	db, err := Open(file)
	if err != nil {
		return nil, err
	}
	return &effectstest.DB{
		Effects: func(apply func(ctx context.Context, tx any, m *orderly.Message) error) orderly.Effects {
			return Apply(db, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error { return apply(ctx, tx, m) })
		},
		Exec: func(ctx context.Context, tx any, statement string, args ...any) (int64, error) {
			do := db.SQL().ExecContext
			if tx != nil {
				do = tx.(*sql.Tx).ExecContext
			}
			res, err := do(ctx, statement, args...)
			if err != nil {
				return 0, err
			}
			return res.RowsAffected()
		},
		Query: func(ctx context.Context, query string, row func(scan func(...any) error) error) error {
			rows, err := db.SQL().QueryContext(ctx, query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				if err := row(rows.Scan); err != nil {
					return err
				}
			}
			return rows.Err()
		},
		Close: func() { _ = db.Close() },
	}, nil
}

// migratedFile is a new database with the tables.
func migratedFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "files.db")
	db, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	return file
}

// A real change history, applied by processes that are killed: each change once, and
// the end is the known truth.
func TestChangeHistory(t *testing.T) {
	file := migratedFile(t)
	s := effectstest.Scene{DSN: file, Open: openHistory, Kills: 4}
	if os.Getenv("ORDERLY_SOAK") == "1" {
		s.Kills = 20
	}
	s.Run(t)
}

// site is a broker with a topic, and an empty database with a table of effects.
func site(t *testing.T) (*orderlytest.Broker, *DB) {
	t.Helper()
	b := orderlytest.NewBroker(t, "orders")
	db, err := Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.SQL().Exec(`CREATE TABLE effect (place INTEGER PRIMARY KEY, n INTEGER NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return b, db
}

func note(ctx context.Context, tx *sql.Tx, m *orderly.Message) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO effect VALUES (?, 1) ON CONFLICT (place) DO UPDATE SET n = n + 1`, int64(m.Partition)<<32|m.Offset)
	return err
}

// A handler that ends its transaction ends Run, and is told what to do.
func TestHandlerThatCommits(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, tx *sql.Tx) error{
		"Commit":   func(_ context.Context, tx *sql.Tx) error { return tx.Commit() },
		"Rollback": func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() },
		"COMMIT":   func(ctx context.Context, tx *sql.Tx) error { _, err := tx.ExecContext(ctx, "COMMIT"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			b, db := site(t)
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			var calls atomic.Int64
			g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, Effects: Apply(db, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error {
				calls.Add(1)
				if err := note(ctx, tx, m); err != nil {
					return err
				}
				return end(ctx, tx)
			})})
			b.Produce("orders", orderlytest.Msg("k", "v"))
			err := g.Start().Wait()
			var stop *orderly.StopError
			if !errors.As(err, &stop) || !errors.Is(err, store.ErrEnded) || stop.Offset != 0 || string(stop.Key) != "k" {
				t.Errorf("Run: %v", err)
			}
			if calls.Load() != 1 {
				t.Errorf("it was called %d times: each repeats its effect", calls.Load())
			}
		})
	}
}

// Without its tables Run ends and names the command; with a newer release's too.
func TestSchemaIsNamed(t *testing.T) {
	b, db := site(t)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, Effects: Apply(db, note)})
	b.Produce("orders", orderlytest.Msg("k", "v"))
	wrong := func(have int) {
		t.Helper()
		err := g.Start().Wait()
		var schema *store.SchemaError
		var st *orderly.StoreError
		if !errors.As(err, &schema) || schema.Have != have || !errors.As(err, &st) || st.Topic != "orders" {
			t.Errorf("Run: %v, want a SchemaError that has %d", err, have)
		}
	}
	wrong(0)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().Exec(`UPDATE orderly_schema SET version = 9`); err != nil {
		t.Fatal(err)
	}
	wrong(9)
}
