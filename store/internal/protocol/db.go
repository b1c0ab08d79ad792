// Package protocol is what a store.Backend does, in SQL that PostgreSQL and SQLite
// both understand. The databases differ in how a transaction begins and ends, and
// in what their errors mean: that is a DB.
package protocol

import (
	"context"

	"github.com/orderly-go/orderly/store"
)

// A DB is a database. Statements have the parameters ?1, ?2, ...
type DB interface {
	// Begin begins a transaction that will write.
	Begin(ctx context.Context) (Tx, error)
	// Query runs one statement outside of a transaction.
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	Classify(err error) store.Class
	// Types of the dialect.
	Types() Types
}

// Types are the names of types that differ.
type Types struct{ Bytes, Serial, Now string }

// A Tx is a transaction.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (rows int64, err error)
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	// Commit returns store.ErrUnknown, wrapped, when it may or may not have been
	// committed.
	Commit(ctx context.Context) error
	Rollback()
	// Handler is what effects get.
	Handler() any
	// Ended reports that effects ended the transaction.
	Ended() bool
}

// A Finisher is a Tx that can send its last statement together with the commit, so
// that a step costs no more round trips than its effects alone.
type Finisher interface {
	// Finish runs a statement that has no RETURNING and commits, if it changed a row.
	// With store.ErrStale, or another error but store.ErrUnknown, nothing is committed.
	Finish(ctx context.Context, sql string, args ...any) error
}

// Rows are a query's results.
type Rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
	Close()
}
