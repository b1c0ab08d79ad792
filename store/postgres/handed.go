package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/orderly-go/orderly/store"
)

// handed is the transaction that a handler gets: to end it is not the handler's to do,
// and it begins with the handler's first statement.
type handed struct{ t *transaction }

func (h handed) Commit(context.Context) error   { h.t.ended = true; return store.ErrEnded }
func (h handed) Rollback(context.Context) error { h.t.ended = true; return store.ErrEnded }

// together says that a statement can be sent with what begins the transaction: one
// without parameters may hold several, and one with an option of pgx is not for a batch.
func (h handed) together(args []any) bool {
	if h.t.tx != nil || h.t.err != nil || len(args) == 0 {
		return false
	}
	switch args[0].(type) {
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		return false
	}
	return true
}

func (h handed) Exec(ctx context.Context, text string, args ...any) (tag pgconn.CommandTag, err error) {
	if h.together(args) {
		if results := h.t.send(ctx, text, args); results != nil {
			tag, err = results.Exec()
			if end := results.Close(); err == nil {
				err = end
			}
			return tag, err
		}
	}
	if err := h.t.Opened(ctx); err != nil {
		return tag, err
	}
	tag, err = h.t.tx.Exec(ctx, text, args...)
	h.t.ended = h.t.ended || h.t.idle() // a COMMIT, or ROLLBACK: another BEGIN must not hide it
	return tag, err
}

func (h handed) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	if h.together(args) {
		if results := h.t.send(ctx, text, args); results != nil {
			rows, err := results.Query()
			return &firstRows{Rows: rows, results: results}, err
		}
	}
	if err := h.t.Opened(ctx); err != nil {
		return noRows{err}, err
	}
	return h.t.tx.Query(ctx, text, args...)
}

func (h handed) QueryRow(ctx context.Context, text string, args ...any) pgx.Row {
	if h.together(args) {
		rows, _ := h.Query(ctx, text, args...) // its error is that of rows too
		return oneRow{rows}
	}
	if err := h.t.Opened(ctx); err != nil {
		return noRows{err}
	}
	return h.t.tx.QueryRow(ctx, text, args...)
}

// Begin begins a savepoint.
func (h handed) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := h.t.Opened(ctx); err != nil {
		return nil, err
	}
	return h.t.tx.Begin(ctx)
}

func (h handed) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error) {
	if err := h.t.Opened(ctx); err != nil {
		return 0, err
	}
	return h.t.tx.CopyFrom(ctx, table, columns, from)
}

func (h handed) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := h.t.Opened(ctx); err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return h.t.tx.SendBatch(ctx, b)
}

func (h handed) Prepare(ctx context.Context, name, text string) (*pgconn.StatementDescription, error) {
	if err := h.t.Opened(ctx); err != nil {
		return nil, err
	}
	return h.t.tx.Prepare(ctx, name, text)
}

// LargeObjects has no way to say that the transaction could not begin: what is done
// with them does, on a connection that is closed.
func (h handed) LargeObjects() pgx.LargeObjects {
	_ = h.Conn()
	if h.t.tx == nil {
		return pgx.FailedBatchResults(begins(), h.t.err).Tx().LargeObjects()
	}
	return h.t.tx.LargeObjects()
}

func begins() *pgx.Batch {
	b := new(pgx.Batch)
	b.BeginTx(pgx.TxOptions{})
	return b
}

// Conn is the connection, with the transaction begun. When it cannot begin the
// connection is closed: what is done with it must not happen outside of one.
func (h handed) Conn() *pgx.Conn {
	conn := h.t.conn.Conn()
	if h.t.Opened(h.t.ctx) != nil {
		_ = conn.Close(h.t.ctx)
	}
	return conn
}

// firstRows are the rows of a statement that was sent with what begins its transaction.
type firstRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

func (r *firstRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *firstRows) Close() {
	r.Rows.Close()
	r.err = r.results.Close()
}

func (r *firstRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

// oneRow is the first of rows.
type oneRow struct{ pgx.Rows }

func (r oneRow) Scan(into ...any) error {
	defer r.Close()
	if !r.Next() {
		if err := r.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.Rows.Scan(into...); err != nil {
		return err
	}
	r.Close()
	return r.Err()
}

// noRows are those of a statement that was not sent.
type noRows struct{ err error }

func (r noRows) Close()                                       {}
func (r noRows) Err() error                                   { return r.err }
func (r noRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (r noRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r noRows) Next() bool                                   { return false }
func (r noRows) Scan(...any) error                            { return r.err }
func (r noRows) Values() ([]any, error)                       { return nil, r.err }
func (r noRows) RawValues() [][]byte                          { return nil }
func (r noRows) Conn() *pgx.Conn                              { return nil }
func (r noRows) TypeMap() *pgtype.Map                         { return nil }
