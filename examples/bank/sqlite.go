package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/store/sqlite"
)

// openSQLite opens a file.
func openSQLite(ctx context.Context, file string) (*books, error) {
	db, err := sqlite.Open(file)
	if err != nil {
		return nil, err
	}
	if _, err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	in := func(tx *sql.Tx) execer {
		return func(ctx context.Context, statement string, args ...any) error {
			_, err := tx.ExecContext(ctx, statement, args...)
			return err
		}
	}
	alone := func(ctx context.Context, do func(exec execer) error) error {
		tx, err := db.SQL().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := do(in(tx)); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
	return &books{
		effects: func(handle func(context.Context, execer, *orderly.Message) error) orderly.Effects {
			return sqlite.Apply(db, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error { return handle(ctx, in(tx), m) })
		},
		alone: alone,
		query: func(ctx context.Context, query string, row func(func(...any) error) error) error {
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
		// Another program holds the file's only right to write.
		outage: func(ctx context.Context, d time.Duration) error {
			return alone(ctx, func(execer) error { return pause(ctx, d) })
		},
		close: func() { _ = db.Close() },
	}, nil
}
