package postgres

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

var (
	_ store.Backend = (*DB)(nil)
	_ store.Bounded = (*DB)(nil)
	_ store.Backend = (*SQL)(nil)
	_ store.Bounded = (*SQL)(nil)
)

// server is the address of a server of the test's, or the environment's.
func server(t *testing.T) string {
	if url := os.Getenv(postgrestest.URLEnv); url != "" {
		return url
	}
	return postgrestest.Start(t).URL()
}

func exec(url, statement string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// open makes an empty database with orderly's tables and one for effects.
func open(t *testing.T, url string) *DB {
	pool, err := pgxpool.New(t.Context(), postgrestest.Database(t, url, exec))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	db := New(pool, Options{})
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `CREATE TABLE effect (place BIGINT PRIMARY KEY, n INTEGER NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestConformance(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	url := server(t)
	storetest.Run(t, func(t *testing.T) storetest.Target {
		db := open(t, url)
		return storetest.Target{
			Backend: db,
			Effect: func(ctx context.Context, tx any, place int64) error {
				_, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO effect VALUES ($1, 1) ON CONFLICT (place) DO UPDATE SET n = effect.n + 1`, place)
				return err
			},
			Effects: func(ctx context.Context) (map[int64]int, error) {
				rows, err := db.Pool().Query(ctx, `SELECT place, n FROM effect`)
				if err != nil {
					return nil, err
				}
				out := map[int64]int{}
				var place int64
				var n int
				_, err = pgx.ForEachRow(rows, []any{&place, &n}, func() error { out[place] = n; return nil })
				return out, err
			},
			End: func(tx any) error { return tx.(pgx.Tx).Commit(context.Background()) },
			EndBySQL: func(ctx context.Context, tx any) error {
				_, err := tx.(pgx.Tx).Exec(ctx, "COMMIT")
				return err
			},
		}
	})
}

func TestConformanceOfDatabaseSQL(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	url := server(t)
	storetest.Run(t, func(t *testing.T) storetest.Target {
		pool := open(t, url).Pool()
		std := stdlib.OpenDBFromPool(pool)
		t.Cleanup(func() { _ = std.Close() })
		return storetest.Target{
			Backend: NewSQL(std, Options{}),
			Effect: func(ctx context.Context, tx any, place int64) error {
				_, err := tx.(*sql.Tx).ExecContext(ctx, `INSERT INTO effect VALUES ($1, 1) ON CONFLICT (place) DO UPDATE SET n = effect.n + 1`, place)
				return err
			},
			Effects: func(ctx context.Context) (map[int64]int, error) {
				rows, err := std.QueryContext(ctx, `SELECT place, n FROM effect`)
				if err != nil {
					return nil, err
				}
				defer rows.Close()
				out := map[int64]int{}
				for rows.Next() {
					var place int64
					var n int
					if err := rows.Scan(&place, &n); err != nil {
						return nil, err
					}
					out[place] = n
				}
				return out, rows.Err()
			},
			End: func(tx any) error { return tx.(*sql.Tx).Commit() },
			EndBySQL: func(ctx context.Context, tx any) error {
				_, err := tx.(*sql.Tx).ExecContext(ctx, "COMMIT")
				return err
			},
		}
	})
}
