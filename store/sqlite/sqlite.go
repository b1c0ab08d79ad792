// Package sqlite keeps a consumer's effects and positions in a SQLite database
// (modernc.org/sqlite, no C compiler needed).
//
// SQLite has one writer at a time: transactions of different lanes run one after
// the other. A process that is frozen in the middle of a transaction keeps every
// other one waiting until it goes on or ends; SQLite cannot end it. For several
// processes on several machines use PostgreSQL.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/internal/protocol"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyLimit is how long a transaction waits for the writer before it.
const busyLimit = 10 * time.Second

// A DB is a database file with its Backend.
type DB struct {
	*protocol.Backend
	sql *sql.DB
	a   adapter
}

// Open opens a database file, or makes it. Its journal is put into WAL mode, so
// that reading does not wait for writing, and transactions begin as writers
// ("BEGIN IMMEDIATE"): one that begins as a reader can find that it cannot write.
func Open(path string) (*DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyLimit.Milliseconds()))
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("sqlite %s: %w", path, err)
	}
	if err := db.Ping(); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("sqlite %s: %w", path, err)
	}
	a := adapter{db, new(writer)}
	return &DB{Backend: protocol.New(a), sql: db, a: a}, nil
}

// SQL is the database, for the program's own tables and queries.
func (db *DB) SQL() *sql.DB { return db.sql }

// Close closes the database.
func (db *DB) Close() error { return db.sql.Close() }

// Migrate makes orderly's tables, or brings them to this release's version. It may
// be called by several processes at once, and any number of times. It returns the
// version that was there.
func (db *DB) Migrate(ctx context.Context) (from int, err error) {
	return protocol.Migrate(ctx, db.a)
}

// Schema is what Migrate does to a file without orderly's tables, as a script.
func Schema() string { return protocol.Script(adapter{}.Types()) }

type adapter struct {
	db     *sql.DB
	writer *writer
}

func (a adapter) Begin(ctx context.Context) (protocol.Tx, error) {
	if err := a.writer.take(ctx, protocol.TakesOver(ctx)); err != nil {
		return nil, err
	}
	// Not the caller's context: database/sql rolls back when it ends, and a commit
	// could not tell what became of it.
	tx, err := a.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		a.writer.leave()
		return nil, err
	}
	return &transaction{tx: tx, leave: sync.OnceFunc(a.writer.leave)}, nil
}

func (a adapter) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	return query(a.db.QueryContext(ctx, text, args...))
}

func (adapter) Types() protocol.Types {
	return protocol.Types{Bytes: "BLOB", Serial: "INTEGER PRIMARY KEY", Now: "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"}
}

func (adapter) Classify(err error) store.Class {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return store.Failed
	}
	switch e.Code() & 0xff { // the primary code
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return store.Again
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL:
		return store.Down
	}
	return store.Failed
}

type transaction struct {
	tx    *sql.Tx
	leave func() // the right to write
}

func (t *transaction) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *transaction) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	return query(t.tx.QueryContext(ctx, text, args...))
}

// Commit: the file is this process's to write until the call returns, so its error
// is known but for the disk's.
func (t *transaction) Commit(context.Context) error {
	defer t.leave()
	err := t.tx.Commit()
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrTxDone) {
		return store.ErrEnded
	}
	// A busy database has not committed; whatever else it says of a commit, look.
	if (adapter{}).Classify(err) == store.Again {
		_ = t.tx.Rollback()
		return err
	}
	return errors.Join(store.ErrUnknown, err)
}

func (t *transaction) Rollback() {
	_ = t.tx.Rollback()
	t.leave()
}

func (t *transaction) Handler() any { return t.tx }

// Ended also notices a COMMIT that was sent as a statement: then another
// transaction can begin.
func (t *transaction) Ended() bool {
	_, err := t.tx.Exec("BEGIN")
	if err == nil {
		_, _ = t.tx.Exec("ROLLBACK")
	}
	return err == nil || errors.Is(err, sql.ErrTxDone)
}

type rowsOf struct{ *sql.Rows }

func (r rowsOf) Close() { _ = r.Rows.Close() }

func query(rows *sql.Rows, err error) (protocol.Rows, error) {
	if err != nil {
		return nil, err
	}
	return rowsOf{rows}, nil
}
