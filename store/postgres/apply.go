package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly"
)

// Apply makes the Effects of a consumer: handle applies the effects of a record in tx,
// which is committed together with the record's position. It must not end tx.
func Apply(pool *pgxpool.Pool, handle func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error) orderly.Effects {
	return New(pool, Options{}).Effects(handle)
}

// Effects is Apply, with the options of db.
func (db *DB) Effects(handle func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error) orderly.Effects {
	e := orderly.Effects{Store: db}
	if handle != nil {
		e.Handler = func(ctx context.Context, tx any, m *orderly.Message) error { return handle(ctx, tx.(pgx.Tx), m) }
	}
	return e
}

// ApplySQL is Apply for programs that use database/sql, with any driver for PostgreSQL
// whose errors have the method SQLState (pgx's stdlib and lib/pq have it). It costs
// four more round trips for each transaction than Apply.
func ApplySQL(db *sql.DB, handle func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error) orderly.Effects {
	return NewSQL(db, Options{}).Effects(handle)
}

// Effects is ApplySQL, with the options of db.
func (db *SQL) Effects(handle func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error) orderly.Effects {
	e := orderly.Effects{Store: db}
	if handle != nil {
		e.Handler = func(ctx context.Context, tx any, m *orderly.Message) error { return handle(ctx, tx.(*sql.Tx), m) }
	}
	return e
}
