package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
)

// exchanges counts how often a connection asks the database and waits.
type exchanges struct{ n atomic.Int64 }

func (e *exchanges) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	e.n.Add(1)
	return ctx
}
func (e *exchanges) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (e *exchanges) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	e.n.Add(1)
	return ctx
}
func (e *exchanges) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (e *exchanges) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// A transaction's BEGIN, position and first statement go together: with one effect it
// asks the database twice, and without bookkeeping it would three times.
func TestRoundTrips(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	owner := open(t, server(t))
	cfg := owner.Pool().Config()
	count := new(exchanges)
	cfg.ConnConfig.Tracer, cfg.MaxConns = count, 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	db := New(pool, Options{})
	if _, err := db.Begin(t.Context(), part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	from := store.Unknown
	for _, tc := range []struct{ effects, want int64 }{{1, 2}, {1, 2}, {2, 3}, {10, 11}, {0, 2}} {
		count.n.Store(0)
		to := max(from, 0) + max(tc.effects, 1)
		at := max(from, 0)
		a := &store.Advance{From: from, To: at + 1}
		err := db.Apply(t.Context(), store.Step{Part: part, Advance: a}, func(ctx context.Context, tx any) error {
			for i := range tc.effects {
				if _, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO effect VALUES ($1, 1)`, at+i); err != nil {
					return err
				}
			}
			a.To = to
			return nil
		})
		if err != nil || count.n.Load() != tc.want {
			t.Errorf("%d effects: %d exchanges, want %d; %v", tc.effects, count.n.Load(), tc.want, err)
		}
		if st, err := db.Look(t.Context(), part, 0); err != nil || st.Lanes[0].Position != to {
			t.Errorf("%+v, %v; want position %d", st, err, to)
		}
		from = to
	}
}

// Whatever a handler begins with is in the transaction of the position, and an error of
// it is the one that it would be in any transaction.
func TestFirstStatements(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	db := open(t, server(t))
	if _, err := db.Begin(t.Context(), part, store.Layout{Lanes: 100, Hash: 1}, 1, 0); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	place := int64(0)
	insert := `INSERT INTO effect VALUES ($1, 1)`
	for lane, tc := range []struct {
		name   string
		first  func(tx pgx.Tx) error
		failed bool // the transaction
	}{
		{"Exec", func(tx pgx.Tx) error { _, err := tx.Exec(ctx, insert, place); return err }, false},
		{"Exec without parameters", func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, fmt.Sprintf(`SELECT 1; INSERT INTO effect VALUES (%d, 1)`, place))
			return err
		}, false},
		{"Exec with an option", func(tx pgx.Tx) error { _, err := tx.Exec(ctx, insert, pgx.QueryExecModeExec, place); return err }, false},
		{"Exec with named parameters", func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO effect VALUES (@place, 1)`, pgx.NamedArgs{"place": place})
			return err
		}, false},
		{"Query", func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, insert+` RETURNING place`, place)
			if err != nil {
				return err
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			if !slices.Equal(got, []int64{place}) {
				return fmt.Errorf("rows %v, %v", got, err)
			}
			return err
		}, false},
		{"QueryRow", func(tx pgx.Tx) error {
			var got int64
			if err := tx.QueryRow(ctx, insert+` RETURNING place`, place).Scan(&got); err != nil || got != place {
				return fmt.Errorf("row %d, %v", got, err)
			}
			return nil
		}, false},
		{"QueryRow without a row", func(tx pgx.Tx) error {
			var got int64
			if err := tx.QueryRow(ctx, `SELECT 1 WHERE $1 = 0`, 1).Scan(&got); !errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("row %d, %v", got, err)
			}
			_, err := tx.Exec(ctx, insert, place)
			return err
		}, false},
		{"SendBatch", func(tx pgx.Tx) error {
			var b pgx.Batch
			b.Queue(insert, place)
			return tx.SendBatch(ctx, &b).Close()
		}, false},
		{"CopyFrom", func(tx pgx.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"effect"}, []string{"place", "n"}, pgx.CopyFromRows([][]any{{place, 1}}))
			return err
		}, false},
		{"a savepoint", func(tx pgx.Tx) error {
			return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, insert, place); return err })
		}, false},
		{"Conn", func(tx pgx.Tx) error { _, err := tx.Conn().Exec(ctx, insert, place); return err }, false},
		{"Prepare", func(tx pgx.Tx) error {
			if _, err := tx.Prepare(ctx, fmt.Sprint("p", place), insert); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprint("p", place), place)
			return err
		}, false},
		{"LargeObjects", func(tx pgx.Tx) error {
			lo := tx.LargeObjects()
			if _, err := lo.Create(ctx, 0); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, insert, place)
			return err
		}, false},
		{"a text that is refused", func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO no_such_table VALUES ($1)`, place); err == nil {
				return errors.New("no error")
			}
			_, err := tx.Exec(ctx, insert, place)
			if err == nil {
				return errors.New("the transaction went on after an error")
			}
			return nil
		}, true},
		{"a statement that fails", func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT 1 / $1::int`, 0); err == nil {
				return errors.New("no error")
			}
			return nil
		}, true},
		{"a query that fails", func(tx pgx.Tx) error {
			var got int
			if err := tx.QueryRow(ctx, `SELECT 1 / $1::int`, 0).Scan(&got); err == nil {
				return errors.New("no error")
			}
			return nil
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			place++
			apply := func(from int64) error {
				return db.Apply(ctx, store.Step{Part: part, Advance: &store.Advance{Lane: lane, From: from, To: 5}}, func(_ context.Context, tx any) error {
					return tc.first(tx.(pgx.Tx))
				})
			}
			err := apply(store.Unknown)
			if tc.failed {
				if !errors.Is(err, errSwallowed) {
					t.Errorf("%v, want that an error was swallowed", err)
				}
				return
			}
			var n int
			if err == nil {
				err = db.Pool().QueryRow(ctx, `SELECT n FROM effect WHERE place = $1`, place).Scan(&n)
			}
			if st, look := db.Look(ctx, part, lane); err != nil || look != nil || n != 1 || len(st.Lanes) != 1 {
				t.Errorf("%v, %v: effect %d, %+v", err, look, n, st)
			}
			// Another owner was faster: nothing of it is there, whatever it makes of its errors.
			place++
			swallowing := db.Apply(ctx, store.Step{Part: part, Advance: &store.Advance{Lane: lane, From: 3, To: 7}}, func(_ context.Context, tx any) error {
				if err := tc.first(tx.(pgx.Tx)); err == nil {
					t.Error("a statement without its transaction had no error")
				}
				return nil
			})
			if !errors.Is(swallowing, store.ErrStale) {
				t.Errorf("%v, want ErrStale", swallowing)
			}
			if err := db.Pool().QueryRow(ctx, `SELECT n FROM effect WHERE place = $1`, place).Scan(&n); !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("an effect of one that was stale: %d, %v", n, err)
			}
		})
	}
	if n := db.Pool().Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
}
