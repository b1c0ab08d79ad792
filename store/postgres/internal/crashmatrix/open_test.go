package crashmatrix

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/postgres"
)

// overSQL=1 in the environment: the consumers use database/sql.
const overSQL = "ORDERLY_TEST_OVER_SQL"

// dollars turns the parameters ?1 into $1.
var dollars = strings.NewReplacer("?", "$")

// openHistory opens a database that has orderly's tables.
func openHistory(ctx context.Context, dsn string) (*effectstest.DB, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, err
	}
	backend := postgres.New(pool, postgres.Options{})
	db := &effectstest.DB{
		Effects: func(apply func(ctx context.Context, tx any, m *orderly.Message) error) orderly.Effects {
			return postgres.Apply(pool, func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error { return apply(ctx, tx, m) })
		},
		Exec: func(ctx context.Context, tx any, statement string, args ...any) (int64, error) {
			do := pool.Exec
			switch tx := tx.(type) {
			case pgx.Tx:
				do = tx.Exec
			case *sql.Tx:
				res, err := tx.ExecContext(ctx, dollars.Replace(statement), args...)
				if err != nil {
					return 0, err
				}
				return res.RowsAffected()
			}
			tag, err := do(ctx, dollars.Replace(statement), args...)
			return tag.RowsAffected(), err
		},
		Query: func(ctx context.Context, query string, row func(scan func(...any) error) error) error {
			for {
				rows, err := pool.Query(ctx, query)
				if err == nil {
					for err = nil; err == nil && rows.Next(); {
						err = row(rows.Scan)
					}
					rows.Close()
					err = errors.Join(err, rows.Err())
				}
				if err == nil || ctx.Err() != nil || backend.Classify(err) != store.Down {
					return err // while the server is down the test waits for it
				}
			}
		},
		Close: pool.Close,
	}
	if os.Getenv(overSQL) != "" {
		std := stdlib.OpenDBFromPool(pool)
		db.Effects = func(apply func(ctx context.Context, tx any, m *orderly.Message) error) orderly.Effects {
			return postgres.ApplySQL(std, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error { return apply(ctx, tx, m) })
		}
	}
	return db, nil
}
