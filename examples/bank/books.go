package main

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-go/orderly"
)

// books is one bank's database.
type books struct {
	// effects makes the consumer's effects: each transaction with its statements.
	effects func(handle func(ctx context.Context, exec execer, m *orderly.Message) error) orderly.Effects
	// alone runs statements in a transaction of their own, as the naive consumer does.
	alone func(ctx context.Context, do func(exec execer) error) error
	query func(ctx context.Context, query string, row func(scan func(into ...any) error) error) error
	// owners is the sum of the partitions' fencing tokens: it rises with each new
	// owner. nil: a frozen owner would keep the others from writing it.
	owners func(ctx context.Context, group, topic string) (int64, error)
	// outage takes the database away for a while.
	outage func(ctx context.Context, d time.Duration) error
	close  func()
}

// An execer runs a statement with the parameters ?1, ?2, ... in a transaction.
type execer func(ctx context.Context, statement string, args ...any) error

// tables of a bank. An entry is booked once, and one that draws a deposit not before the
// deposit; no account is ever overdrawn.
var tables = []string{
	`CREATE TABLE account (id TEXT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0))`,
	`CREATE TABLE entry (
		account TEXT NOT NULL REFERENCES account (id),
		number  INTEGER NOT NULL,
		kind    TEXT NOT NULL,
		amount  BIGINT NOT NULL,
		draws   INTEGER,
		token   BIGINT NOT NULL,
		PRIMARY KEY (account, number),
		FOREIGN KEY (account, draws) REFERENCES entry (account, number)
	)`,
}

// found makes the tables, and the accounts with nothing in them.
func (b *books) found(ctx context.Context, model map[string]int64) error {
	return b.alone(ctx, func(exec execer) error {
		for _, t := range tables {
			if err := exec(ctx, t); err != nil {
				return err
			}
		}
		for id := range model {
			if err := exec(ctx, `INSERT INTO account VALUES (?1, 0)`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// book is the effect of an entry, with the entry itself.
func book(ctx context.Context, exec execer, e entry, token int64) error {
	var draws *int
	if e.Draws > 0 {
		draws = &e.Draws
	}
	if err := exec(ctx, `INSERT INTO entry (account, number, kind, amount, draws, token) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		e.Account, e.Number, e.Kind, e.Amount, draws, token); err != nil {
		return fmt.Errorf("%s %d of %s: %w", e.Kind, e.Number, e.Account, err)
	}
	return move(ctx, exec, e)
}

// move moves the money.
func move(ctx context.Context, exec execer, e entry) error {
	amount := e.Amount
	if e.Kind != deposit {
		amount = -amount
	}
	if err := exec(ctx, `UPDATE account SET balance = balance + ?2 WHERE id = ?1`, e.Account, amount); err != nil {
		return fmt.Errorf("%s %d of %s: %w", e.Kind, e.Number, e.Account, err)
	}
	if e.Kind != transfer {
		return nil
	}
	return exec(ctx, `UPDATE account SET balance = balance + ?2 WHERE id = ?1`, e.To, e.Amount)
}

// count reads one number.
func (b *books) count(ctx context.Context, query string) (n int64, err error) {
	err = b.query(ctx, query, func(scan func(...any) error) error { return scan(&n) })
	return n, err
}

func (b *books) balances(ctx context.Context) (map[string]int64, error) {
	out := make(map[string]int64)
	err := b.query(ctx, `SELECT id, balance FROM account`, func(scan func(...any) error) error {
		var id string
		var n int64
		err := scan(&id, &n)
		out[id] = n
		return err
	})
	return out, err
}
