package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/internal/protocol"
)

// guarded is the transaction that a handler gets: to end it is not the handler's
// to do.
type guarded struct {
	pgx.Tx
	touched bool
}

func (g *guarded) Commit(context.Context) error   { g.touched = true; return store.ErrEnded }
func (g *guarded) Rollback(context.Context) error { g.touched = true; return store.ErrEnded }

type transaction struct {
	guarded guarded
	conn    *pgxpool.Conn
}

func (t *transaction) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := t.guarded.Tx.Exec(ctx, dollars(text), args...)
	return tag.RowsAffected(), err
}

func (t *transaction) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	rows, err := t.guarded.Tx.Query(ctx, dollars(text), args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (t *transaction) Commit(ctx context.Context) error {
	err := t.guarded.Tx.Commit(ctx)
	t.conn.Release()
	return outcome(err)
}

// errSwallowed: a statement of the effects failed, and they did not say so.
var errSwallowed = errors.New("store: the transaction was rolled back: a statement in it failed, and the handler returned no error")

// outcome says what the error of a COMMIT means.
func outcome(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return errors.Join(errSwallowed, err)
	case errors.As(err, &refused) && refused.Code[:2] != "57" && refused.Code[:2] != "08":
		return err // the database says that it did not
	case errors.Is(err, pgx.ErrTxClosed):
		return store.ErrEnded
	}
	return errors.Join(store.ErrUnknown, err)
}

// Finish implements protocol.Finisher. The COMMIT is under way before it is known
// whether the statement changed a row: one that did not has to fail, by a division by
// zero; what comes behind it is then passed over.
func (t *transaction) Finish(ctx context.Context, text string, args ...any) error {
	var b pgx.Batch
	b.Queue("WITH changed AS ("+dollars(text)+" RETURNING 1) SELECT 1 / count(*) FROM changed", args...)
	b.Queue("COMMIT")
	results := t.guarded.Tx.SendBatch(ctx, &b)
	_, err := results.Exec()
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "22012": // division_by_zero
		err = store.ErrStale
	case errors.As(err, &refused) && refused.Code == "25P02": // in_failed_sql_transaction
		err = errors.Join(errSwallowed, err)
	case errors.As(err, &refused) && refused.Code[:2] != "57" && refused.Code[:2] != "08":
	case err == nil:
		var tag pgconn.CommandTag
		if tag, err = results.Exec(); err == nil && tag.String() == "ROLLBACK" {
			err = pgx.ErrTxCommitRollback
		}
		err = outcome(err)
	default: // the commit was sent with it
		err = errors.Join(store.ErrUnknown, err)
	}
	_ = results.Close()
	if err == nil {
		t.conn.Release() // its transaction is over; t.guarded.Tx does not know, and is not asked again
	}
	return err
}

func (t *transaction) Rollback() {
	_ = t.guarded.Tx.Rollback(context.Background())
	t.conn.Release()
}

func (t *transaction) Handler() any { return pgx.Tx(&t.guarded) }

// Ended also notices a COMMIT that was sent as a statement.
func (t *transaction) Ended() bool {
	conn := t.guarded.Tx.Conn()
	return t.guarded.touched || !conn.IsClosed() && conn.PgConn().TxStatus() == 'I'
}

// lost reports that the connection broke.
func lost(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, driver.ErrBadConn)
}
