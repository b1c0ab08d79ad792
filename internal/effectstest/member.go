package effectstest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/orderly-go/orderly"
)

// A DB is a database under test. Statements have the parameters ?1, ?2, ...
type DB struct {
	Effects func(apply func(ctx context.Context, tx any, m *orderly.Message) error) orderly.Effects
	// Exec runs a statement in a transaction that apply was given, or, when that is
	// nil, without one.
	Exec func(ctx context.Context, tx any, statement string, args ...any) (rows int64, err error)
	// Query calls row for each row.
	Query func(ctx context.Context, query string, row func(scan func(into ...any) error) error) error
	Close func()
}

const (
	brokersEnv = "ORDERLY_EFFECTSTEST_BROKERS"
	dsnEnv     = "ORDERLY_EFFECTSTEST_DSN"
	topic      = "changes"
	group      = "files"
)

// session is that of the consumers: a frozen or killed one is replaced after it.
const session = 1500 * time.Millisecond

var tables = []string{
	`CREATE TABLE file (path TEXT PRIMARY KEY, seq INTEGER NOT NULL, alive INTEGER NOT NULL, commit_id TEXT NOT NULL)`,
	`CREATE TABLE applied (path TEXT NOT NULL, seq INTEGER NOT NULL, token BIGINT NOT NULL, PRIMARY KEY (path, seq))`,
}

// apply applies one change, and refuses one that is not the next of its path.
func (db *DB) apply(ctx context.Context, tx any, m *orderly.Message) error {
	var c change
	if err := json.Unmarshal(m.Value, &c); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `INSERT INTO applied (path, seq, token) VALUES (?1, ?2, ?3)`, c.Path, c.Seq, m.FencingToken); err != nil {
		return orderly.Permanent(fmt.Errorf("a change came twice: %s %d: %w", c.Path, c.Seq, err))
	}
	if c.Seq == 1 {
		if _, err := db.Exec(ctx, tx, `INSERT INTO file (path, seq, alive, commit_id) VALUES (?1, 1, 1, ?2)`, c.Path, c.Commit); err != nil {
			return err
		}
		return nil
	}
	was, is := 1, 1
	switch c.Op {
	case "A":
		was = 0
	case "D":
		is = 0
	}
	n, err := db.Exec(ctx, tx, `UPDATE file SET seq = ?2, alive = ?3, commit_id = ?4 WHERE path = ?1 AND seq = ?2 - 1 AND alive = ?5`, c.Path, c.Seq, is, c.Commit, was)
	if err == nil && n != 1 {
		err = orderly.Permanent(fmt.Errorf("an invalid step: %s %d %s", c.Path, c.Seq, c.Op))
	}
	return err
}

// Member is the process of a consumer, when the environment says that this is one: it
// consumes until it is killed. Called by TestMain; open opens the database.
func Member(open func(ctx context.Context, dsn string) (*DB, error)) (is bool) {
	brokers := os.Getenv(brokersEnv)
	if brokers == "" {
		return false
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx := context.Background()
	err := func() error {
		db, err := open(ctx, os.Getenv(dsnEnv))
		if err != nil {
			return err
		}
		defer db.Close()
		cfg := orderly.ConsumerConfig{
			Brokers: strings.Split(brokers, ","), Group: group, Topics: []string{topic}, Lanes: 8,
			SessionTimeout: session, RebalanceTimeout: 2 * session, HeartbeatInterval: session / 10, CommitInterval: 100 * time.Millisecond,
			Retry: orderly.Retry{Backoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond}, OnExhausted: orderly.PolicyStop,
			Breaker: orderly.Breaker{ProbeInterval: 100 * time.Millisecond, MaxInterval: 200 * time.Millisecond},
			Effects: db.Effects(db.apply), Logger: log,
		}
		if os.Getenv(parksEnv) != "" {
			if err := parks(db, &cfg); err != nil {
				return err
			}
		}
		c, err := orderly.NewConsumer(cfg)
		if err != nil {
			return err
		}
		return c.Run(ctx)
	}()
	log.Error("the consumer has ended", "error", err)
	os.Exit(1)
	return true
}
