package main

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/postgres"
)

// dollars turns the parameters ?1 into $1.
var dollars = strings.NewReplacer("?", "$")

// openPostgres opens a schema of a database. Connections have its name, so that an
// outage can cut them.
func openPostgres(ctx context.Context, dsn, schema string) (*books, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = schema
	cfg.ConnConfig.RuntimeParams["application_name"] = schema
	cfg.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	db := postgres.New(pool, postgres.Options{})
	in := func(tx pgx.Tx) execer {
		return func(ctx context.Context, statement string, args ...any) error {
			_, err := tx.Exec(ctx, dollars.Replace(statement), args...)
			return err
		}
	}
	return &books{
		effects: func(handle func(context.Context, execer, *orderly.Message) error) orderly.Effects {
			return db.Effects(func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error { return handle(ctx, in(tx), m) })
		},
		alone: func(ctx context.Context, do func(exec execer) error) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return do(in(tx)) })
		},
		query: func(ctx context.Context, query string, row func(func(...any) error) error) error {
			rows, err := pool.Query(ctx, query)
			for err != nil && db.Classify(err) == store.Down && ctx.Err() == nil {
				rows, err = pool.Query(ctx, query) // connections of before an outage
			}
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
		owners: func(ctx context.Context, group, topic string) (int64, error) { return owners(ctx, db, group, topic) },
		outage: func(ctx context.Context, d time.Duration) error { return cut(ctx, dsn, schema, d) },
		close:  pool.Close,
	}, nil
}

// owners adds up the fencing tokens of the topic's partitions.
func owners(ctx context.Context, db *postgres.DB, group, topic string) (sum int64, err error) {
	all, err := db.Standings(ctx, group, topic)
	for _, s := range all {
		sum += s.State.Token
	}
	return sum, err
}

// cut ends all connections of a schema, again and again.
func cut(ctx context.Context, dsn, schema string, d time.Duration) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for until := time.Now().Add(d); time.Now().Before(until); {
		if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()`, schema); err != nil {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// schema makes one and migrates it; drop removes it.
func schema(ctx context.Context, dsn, name string) (drop func(), err error) {
	do := func(ctx context.Context, statement string) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		return err
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if err := do(ctx, "CREATE SCHEMA "+quoted); err != nil {
		return nil, err
	}
	drop = func() { _ = do(context.WithoutCancel(ctx), "DROP SCHEMA "+quoted+" CASCADE") }
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return drop, err
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = name
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return drop, err
	}
	defer pool.Close()
	_, err = postgres.New(pool, postgres.Options{}).Migrate(ctx)
	return drop, err
}
