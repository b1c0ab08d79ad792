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

// Types are the names of types that differ, and what else differs in texts.
type Types struct {
	Bytes, Serial, Now string
	// Roomy is a statement that leaves room in the pages of orderly_lane; empty: none.
	Roomy string
	// Limits is a condition that is always true. By being looked at it sets the limits
	// of its transaction, where the database has to be told; empty: it has not.
	Limits string
}

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

// An Opener is a Tx that can send the statement that decides about a step together
// with the first one of its effects, so that a step costs no more round trips than its
// effects alone.
type Opener interface {
	// Open has a statement run before all others. One that changes no row, or fails,
	// takes the transaction with it: whatever is done in it fails, with store.ErrStale
	// or the statement's error.
	Open(sql string, args ...any)
	// Opened runs it, if nothing has yet, and returns its error.
	Opened(ctx context.Context) error
}

// A Statement is one whose result decides nothing.
type Statement struct {
	Text string
	Args []any
}

// A Finisher is a Tx that can send its last statements together with the commit.
type Finisher interface {
	// Finish runs the statements and commits. With an error that is not
	// store.ErrUnknown nothing is committed.
	Finish(ctx context.Context, last []Statement) error
}

// Rows are a query's results.
type Rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
	Close()
}
