package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/internal/protocol"
)

// SQL is a database/sql pool with its Backend.
type SQL struct {
	*protocol.Backend
	db *sql.DB
	o  Options
	a  *sqlAdapter
}

// NewSQL uses a pool of the program's. The pool stays the program's to close.
func NewSQL(db *sql.DB, o Options) *SQL {
	o = o.withDefaults()
	a := &sqlAdapter{db: db, limits: o.limits()}
	return &SQL{Backend: protocol.New(a), db: db, o: o, a: a}
}

// DB is the pool.
func (db *SQL) DB() *sql.DB { return db.db }

// Migrate is that of DB.
func (db *SQL) Migrate(ctx context.Context) (from int, err error) {
	return protocol.Migrate(ctx, db.a)
}

// Within implements store.Bounded.
func (db *SQL) Within(session time.Duration) store.Backend {
	return NewSQL(db.db, db.o.within(session))
}

type sqlAdapter struct {
	adapter // its dialect and its errors
	db      *sql.DB
	limits  string
}

func (a *sqlAdapter) Begin(ctx context.Context) (protocol.Tx, error) {
	conn, err := a.db.Conn(ctx) // waits for a free one no longer than ctx
	if err != nil {
		return nil, err
	}
	// Not the caller's context from here on: database/sql rolls back when it ends, and
	// a commit could not tell what became of it.
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err == nil {
		if _, err = tx.ExecContext(ctx, a.limits); err != nil {
			_ = tx.Rollback()
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &sqlTransaction{tx: tx, conn: conn}, nil
}

func (a *sqlAdapter) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	return sqlQuery(a.db.QueryContext(ctx, dollars(text), args...))
}

type sqlTransaction struct {
	tx   *sql.Tx
	conn *sql.Conn
}

func (t *sqlTransaction) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, dollars(text), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *sqlTransaction) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	return sqlQuery(t.tx.QueryContext(ctx, dollars(text), args...))
}

// Commit is that of transaction, as far as a driver tells: a COMMIT that the database
// has turned into a rollback, because a statement of the effects failed and they did
// not say so, cannot come here: the statement that moves the position has failed then.
func (t *sqlTransaction) Commit(context.Context) error {
	err := t.tx.Commit()
	_ = t.conn.Close()
	var refused interface {
		error
		SQLState() string
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone):
		return store.ErrEnded
	case errors.As(err, &refused) && len(refused.SQLState()) == 5 && refused.SQLState()[:2] != "57" && refused.SQLState()[:2] != "08":
		return err
	}
	return errors.Join(store.ErrUnknown, err)
}

func (t *sqlTransaction) Rollback() {
	_ = t.tx.Rollback()
	_ = t.conn.Close()
}

func (t *sqlTransaction) Handler() any { return t.tx }

// Ended asks the database: outside of a transaction there are no savepoints.
func (t *sqlTransaction) Ended() bool {
	_, err := t.tx.Exec("SAVEPOINT orderly")
	var refused interface {
		error
		SQLState() string
	}
	return errors.Is(err, sql.ErrTxDone) || errors.As(err, &refused) && refused.SQLState() == "25P01"
}

type sqlRows struct{ *sql.Rows }

func (r sqlRows) Close() { _ = r.Rows.Close() }

func sqlQuery(rows *sql.Rows, err error) (protocol.Rows, error) {
	if err != nil {
		return nil, err
	}
	return sqlRows{rows}, nil
}
