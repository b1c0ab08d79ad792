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

// A transaction begins with its first statement, and not before: BEGIN, the statement
// that decides about a step and the first one of its effects go to the database
// together.
type transaction struct {
	ctx     context.Context // that it was begun with
	conn    *pgxpool.Conn
	release func()
	begin   string // for one that nothing decides about
	first   opening
	tx      pgx.Tx // nil: not begun
	err     error  // why it is to be rolled back, whatever the effects say
	ended   bool   // the effects ended it
}

// An opening is the statement that decides about a step: it has to change a row.
type opening struct {
	text string // empty: there is none
	args []any
}

// Open implements protocol.Opener.
func (t *transaction) Open(text string, args ...any) { t.first = opening{dollars(text), args} }

// Opened implements protocol.Opener.
func (t *transaction) Opened(ctx context.Context) error {
	if t.tx == nil && t.err == nil {
		t.start(ctx)
	}
	return t.err
}

// start begins it.
func (t *transaction) start(ctx context.Context) {
	if t.first.text == "" {
		t.tx, t.err = t.conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: t.begin})
		return
	}
	if results := t.send(ctx, "", nil); results != nil {
		t.err = results.Close()
	}
}

// send begins it, with a statement of the effects behind. It returns that statement's
// result, which is to be closed, or nil: see err. When the database refused one of the
// texts nothing has begun, and err is nil too.
func (t *transaction) send(ctx context.Context, text string, args []any) pgx.BatchResults {
	var b pgx.Batch
	b.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	b.Queue(t.first.text, t.first.args...)
	if text != "" {
		b.Queue(text, args...)
	}
	conn := t.conn.Conn()
	results := conn.SendBatch(ctx, &b)
	var tag pgconn.CommandTag
	_, err := results.Exec()
	begun := err == nil
	if begun {
		if tag, err = results.Exec(); err == nil && tag.RowsAffected() == 0 {
			err = store.ErrStale
		}
	}
	if err == nil {
		t.tx = results.Tx()
		return results
	}
	_ = results.Close()
	if begun {
		t.tx = results.Tx()
	} else if text != "" && !conn.IsClosed() && conn.PgConn().TxStatus() == 'I' {
		return nil // perhaps the effects' text
	}
	t.err = err
	return nil
}

func (t *transaction) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	if err := t.Opened(ctx); err != nil {
		return 0, err
	}
	tag, err := t.tx.Exec(ctx, dollars(text), args...)
	return tag.RowsAffected(), err
}

func (t *transaction) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	if err := t.Opened(ctx); err != nil {
		return nil, err
	}
	rows, err := t.tx.Query(ctx, dollars(text), args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (t *transaction) Commit(ctx context.Context) error {
	defer t.release()
	if err := t.Opened(ctx); err != nil {
		return err
	}
	return outcome(t.tx.Commit(ctx))
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

// Finish implements protocol.Finisher: one that fails keeps the COMMIT behind it from
// being looked at.
func (t *transaction) Finish(ctx context.Context, last []protocol.Statement) error {
	defer t.release()
	if err := t.Opened(ctx); err != nil {
		return err
	}
	var b pgx.Batch
	for _, s := range last {
		b.Queue(dollars(s.Text), s.Args...)
	}
	b.Queue("COMMIT")
	results := t.tx.SendBatch(ctx, &b)
	var err error
	for range last {
		if _, err = results.Exec(); err != nil {
			break
		}
	}
	var refused *pgconn.PgError
	switch {
	case err == nil:
		var tag pgconn.CommandTag
		if tag, err = results.Exec(); err == nil && tag.String() == "ROLLBACK" {
			err = pgx.ErrTxCommitRollback
		}
		err = outcome(err)
	case errors.As(err, &refused) && refused.Code == "25P02": // in_failed_sql_transaction
		err = errors.Join(errSwallowed, err)
	case errors.As(err, &refused) && refused.Code[:2] != "57" && refused.Code[:2] != "08":
	case errors.As(err, new(pgx.ErrPreprocessingBatch)): // it was not sent
	default: // the commit was sent with it
		err = errors.Join(store.ErrUnknown, err)
	}
	_ = results.Close()
	if !t.idle() { // t.tx does not know when its transaction is over, and is not asked then
		_ = t.tx.Rollback(ctx)
	}
	return err
}

func (t *transaction) Rollback() {
	if t.tx != nil {
		_ = t.tx.Rollback(context.Background())
	}
	t.release()
}

func (t *transaction) Handler() any { return handed{t} }

// Ended also notices a COMMIT that was sent as a statement.
func (t *transaction) Ended() bool { return t.ended || t.tx != nil && t.idle() }

// idle says that the connection has no transaction.
func (t *transaction) idle() bool {
	conn := t.conn.Conn()
	return !conn.IsClosed() && conn.PgConn().TxStatus() == 'I'
}

// lost reports that the connection broke.
func lost(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, driver.ErrBadConn)
}
