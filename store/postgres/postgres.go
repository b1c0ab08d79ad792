// Package postgres keeps a consumer's effects and positions in a PostgreSQL
// database (pgx).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/internal/protocol"
)

// Options say how long a transaction may hold others up. A process that is frozen
// keeps its rows locked; the database ends its transaction then.
type Options struct {
	// IdleLimit ends a transaction that waits for its client so long: a handler that
	// does something else for longer loses it. Default 30 s; a consumer lowers it to
	// two thirds of its SessionTimeout at the most.
	IdleLimit time.Duration
	// LockLimit is how long a statement waits for a lock. Default 10 s.
	LockLimit time.Duration
}

// A DB is a pool with its Backend.
type DB struct {
	*protocol.Backend
	pool *pgxpool.Pool
	o    Options
	a    *adapter
}

// New uses a pool of the program's. The pool stays the program's to close.
func New(pool *pgxpool.Pool, o Options) *DB {
	o = o.withDefaults()
	a := &adapter{pool: pool, spare: newSpare(pool), begin: "BEGIN ISOLATION LEVEL READ COMMITTED; " + o.limits(), limits: o.condition()}
	return &DB{Backend: protocol.New(a), pool: pool, o: o, a: a}
}

// Within implements store.Bounded.
func (db *DB) Within(session time.Duration) store.Backend { return New(db.pool, db.o.within(session)) }

func (o Options) withDefaults() Options {
	if o.IdleLimit <= 0 {
		o.IdleLimit = 30 * time.Second
	}
	if o.LockLimit <= 0 {
		o.LockLimit = 10 * time.Second
	}
	return o
}

// within leaves a session a third of its time.
func (o Options) within(session time.Duration) Options {
	o.IdleLimit = max(min(o.IdleLimit, session*2/3), time.Millisecond)
	return o
}

func (o Options) limits() string {
	return fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL lock_timeout = %d",
		max(o.IdleLimit.Milliseconds(), 1), max(o.LockLimit.Milliseconds(), 1))
}

// condition is limits as a condition, which costs no statement of its own.
func (o Options) condition() string {
	return fmt.Sprintf("set_config('idle_in_transaction_session_timeout', '%d', true) IS NOT NULL AND set_config('lock_timeout', '%d', true) IS NOT NULL",
		max(o.IdleLimit.Milliseconds(), 1), max(o.LockLimit.Milliseconds(), 1))
}

// Pool is the pool.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Migrate makes orderly's tables, or brings them to this release's version. It may
// be called by several processes at once, and any number of times. It returns the
// version that was there. It needs the right to create tables in the current
// schema; consuming needs less: see Schema.
func (db *DB) Migrate(ctx context.Context) (from int, err error) {
	return protocol.Migrate(ctx, db.a)
}

// Schema is what Migrate does to a database without orderly's tables, as a script for
// people who make tables themselves, and the rights that consuming needs.
func Schema() string {
	return protocol.Script(types) + `
-- What consuming needs, beside the rights on the handler's own tables:
-- GRANT SELECT ON orderly_schema TO billing;
-- GRANT SELECT, INSERT ON orderly_part, orderly_audit TO billing;
-- GRANT SELECT, INSERT, UPDATE ON orderly_low, orderly_lane TO billing;
-- GRANT SELECT, INSERT, UPDATE, DELETE ON orderly_exception, orderly_sequence TO billing;
`
}

// READ COMMITTED is what the statements need: a compare-and-set waits for who was
// first, and then finds no row.
type adapter struct {
	pool   *pgxpool.Pool
	spare  *spare
	begin  string // with the limits
	limits string // as a condition
}

func (a *adapter) Begin(ctx context.Context) (protocol.Tx, error) {
	if protocol.TakesOver(ctx) {
		conn, release, err := a.spare.acquire(ctx)
		if err != nil {
			return nil, err
		}
		return &transaction{ctx: ctx, conn: conn, release: release, begin: a.begin}, nil
	}
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &transaction{ctx: ctx, conn: conn, release: conn.Release, begin: a.begin}, nil
}

func (a *adapter) Query(ctx context.Context, text string, args ...any) (protocol.Rows, error) {
	if !protocol.TakesOver(ctx) {
		rows, err := a.pool.Query(ctx, dollars(text), args...)
		if err != nil {
			return nil, err
		}
		return rows, nil
	}
	conn, release, err := a.spare.acquire(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, dollars(text), args...)
	if err != nil {
		release()
		return nil, err
	}
	return &ownRows{rows, release}, nil
}

func (a *adapter) Types() protocol.Types {
	t := types
	t.Limits = a.limits
	return t
}

var types = protocol.Types{Bytes: "BYTEA", Serial: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
	Now:   `to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
	Roomy: `ALTER TABLE orderly_lane SET (fillfactor = 20)`}

// Classify goes by SQLSTATE (PostgreSQL's manual, appendix A).
func (*adapter) Classify(err error) store.Class { return classify(err) }

func classify(err error) store.Class {
	var e interface {
		error
		SQLState() string
	}
	if errors.As(err, &e) && len(e.SQLState()) == 5 {
		switch code := e.SQLState(); code {
		case "40001", // serialization_failure
			"40P01", // deadlock_detected
			"55P03", // lock_not_available: lock_timeout
			"25P03": // idle_in_transaction_session_timeout
			return store.Again
		case "25006": // read_only_sql_transaction: a standby, after a failover
			return store.Down
		case "57014": // query_canceled: by its context, or a statement's own time limit
			return store.Failed
		default:
			switch code[:2] {
			case "08", // connection exception
				"53", // insufficient resources: too many connections, disk full
				"57", // operator intervention: shutdown, crash of another backend, cannot connect now
				"58": // system error
				return store.Down
			}
		}
		return store.Failed
	}
	var dial *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &dial), pgconn.SafeToRetry(err), errors.Is(err, net.ErrClosed):
		return store.Down
	case errors.As(err, &network) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return store.Down
	}
	if lost(err) {
		return store.Down
	}
	return store.Failed
}

// dollars turns the parameters ?1 into $1. No statement of ours has another
// question mark.
func dollars(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c == '?' {
			b[i] = '$'
		}
	}
	return string(b)
}
