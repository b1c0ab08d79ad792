package sqlite

import (
	"context"
	"database/sql"

	"github.com/orderly-go/orderly"
)

// Apply makes the Effects of a consumer: handle applies the effects of a record in tx,
// which is committed together with the record's position. It must not end tx, and must
// not write to the same file otherwise: SQLite has one writer.
func Apply(db *DB, handle func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error) orderly.Effects {
	e := orderly.Effects{Store: db}
	if handle != nil {
		e.Handler = func(ctx context.Context, tx any, m *orderly.Message) error { return handle(ctx, tx.(*sql.Tx), m) }
	}
	return e
}
