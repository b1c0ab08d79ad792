package main

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/store/postgres"
	"github.com/orderly-go/orderly/store/sqlite"
)

func postgresEffects(pool *pgxpool.Pool, db *postgres.DB, exec func(context.Context, string) error) *database {
	return &database{
		backend: db,
		exec:    exec,
		effect: func(ctx context.Context, tx any, worker, place int64) error {
			_, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO effect VALUES ($1, $2)`, worker, place)
			return err
		},
		bare: func(ctx context.Context, effects func(context.Context, any) error) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return effects(ctx, tx) })
		},
		bytes: func(ctx context.Context, table string) (n int64, err error) {
			err = pool.QueryRow(ctx, `SELECT pg_total_relation_size($1::text::regclass)`, table).Scan(&n)
			return n, err
		},
	}
}

// sqliteEffects: without bookkeeping the workers take turns as ours do, or SQLite lets
// them wait for each other by looking now and then.
func sqliteEffects(db *sqlite.DB) *database {
	turn := make(chan struct{}, 1)
	return &database{
		backend: db,
		exec: func(ctx context.Context, statement string) error {
			_, err := db.SQL().ExecContext(ctx, statement)
			return err
		},
		effect: func(ctx context.Context, tx any, worker, place int64) error {
			_, err := tx.(*sql.Tx).ExecContext(ctx, `INSERT INTO effect VALUES (?, ?)`, worker, place)
			return err
		},
		bare: func(ctx context.Context, effects func(context.Context, any) error) error {
			turn <- struct{}{}
			defer func() { <-turn }()
			tx, err := db.SQL().BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			if err := effects(ctx, tx); err != nil {
				_ = tx.Rollback()
				return err
			}
			return tx.Commit()
		},
	}
}
