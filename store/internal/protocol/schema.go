package protocol

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/store"
)

// Version is the version of the tables.
const Version = store.SchemaVersion

// migrations lead from each version to the next one. They are never changed, only
// added to.
var migrations = []string{
	`CREATE TABLE orderly_part (
		id        {serial},
		grp       TEXT NOT NULL,
		handler   TEXT NOT NULL,
		topic_id  {bytes} NOT NULL,
		part      INTEGER NOT NULL,
		topic     TEXT NOT NULL,
		lanes     INTEGER NOT NULL,
		hash      INTEGER NOT NULL,
		order_by  TEXT NOT NULL,
		UNIQUE (grp, handler, topic_id, part)
	);
	CREATE TABLE orderly_low (
		part  BIGINT PRIMARY KEY REFERENCES orderly_part (id),
		token BIGINT NOT NULL,
		low   BIGINT NOT NULL
	);
	CREATE TABLE orderly_lane (
		part BIGINT NOT NULL REFERENCES orderly_part (id),
		lane INTEGER NOT NULL,
		pos  BIGINT NOT NULL,
		PRIMARY KEY (part, lane)
	);
	CREATE TABLE orderly_exception (
		part    BIGINT NOT NULL REFERENCES orderly_part (id),
		off     BIGINT NOT NULL,
		lane    INTEGER NOT NULL,
		keyed   BOOLEAN NOT NULL,
		key     {bytes} NOT NULL,
		payload {bytes},
		PRIMARY KEY (part, off)
	);
	CREATE INDEX orderly_exception_lane ON orderly_exception (part, lane);
	CREATE TABLE orderly_audit (
		part     BIGINT NOT NULL REFERENCES orderly_part (id),
		off      BIGINT NOT NULL,
		key      {bytes},
		decision TEXT NOT NULL,
		by_whom  TEXT NOT NULL,
		why      TEXT NOT NULL,
		token    BIGINT NOT NULL,
		at       TEXT NOT NULL
	);`,
	// Parked records. A key's hash stands for it in the index: databases bound what an
	// index may hold. Rows of before have the hash 0.
	`ALTER TABLE orderly_exception ADD COLUMN hash BIGINT NOT NULL DEFAULT 0;
	ALTER TABLE orderly_exception ADD COLUMN cause TEXT NOT NULL DEFAULT '';
	ALTER TABLE orderly_exception ADD COLUMN permanent BOOLEAN NOT NULL DEFAULT FALSE;
	ALTER TABLE orderly_exception ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE orderly_exception ADD COLUMN first_failed BIGINT NOT NULL DEFAULT 0;
	ALTER TABLE orderly_exception ADD COLUMN last_failed BIGINT NOT NULL DEFAULT 0;
	ALTER TABLE orderly_exception ADD COLUMN releases INTEGER NOT NULL DEFAULT 0;
	CREATE INDEX orderly_exception_key ON orderly_exception (part, hash, off);`,
	// What the sequence guard has seen. No reference to orderly_part: each row that is
	// made would lock the partition's. {roomy}: positions change often, in place where
	// their page has room.
	`CREATE TABLE orderly_sequence (
		part  BIGINT NOT NULL,
		key   {bytes} NOT NULL,
		off   BIGINT NOT NULL,
		state {bytes} NOT NULL,
		PRIMARY KEY (part, key)
	);
	{roomy};`,
}

// beginning makes the table that says which version the others have.
var beginning = []string{
	`CREATE TABLE IF NOT EXISTS orderly_schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)`,
	`INSERT INTO orderly_schema (one, version) VALUES (1, 0) ON CONFLICT DO NOTHING`,
}

// statements are those of a migration, in a dialect.
func statements(migration string, t Types) (out []string) {
	text := strings.NewReplacer("{bytes}", t.Bytes, "{serial}", t.Serial, "{roomy}", t.Roomy).Replace(migration)
	for _, statement := range strings.Split(text, ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			out = append(out, statement)
		}
	}
	return out
}

// Script is what Migrate does to a database without tables of ours, as text.
func Script(t Types) string {
	all := slices.Clone(beginning)
	for i, m := range migrations {
		all = append(all, statements(m, t)...)
		all = append(all, fmt.Sprintf("UPDATE orderly_schema SET version = %d WHERE one = 1 AND version = %d", i+1, i))
	}
	return strings.ReplaceAll("BEGIN;\n"+strings.Join(all, ";\n")+";\nCOMMIT;\n", "\n\t", "\n")
}

// Migrate makes the tables, or brings them to this version. It may be called
// twice, and by several at once: each step is a transaction that begins with the
// version's row.
func Migrate(ctx context.Context, db DB) (from int, err error) {
	first := func(tx Tx) error {
		for _, statement := range beginning {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	// Two that make the same table at once can fail although they say "if not
	// exists" (PostgreSQL: its catalog's unique index): then the other has made it.
	if err := write(ctx, db, first); err != nil {
		if err := write(ctx, db, first); err != nil {
			return 0, fmt.Errorf("store: making the table orderly_schema: %w", err)
		}
	}
	from = -1
	for {
		var have int
		err := write(ctx, db, func(tx Tx) error {
			// The update holds the row: whoever else migrates waits here.
			if _, err := tx.Exec(ctx, `UPDATE orderly_schema SET version = version WHERE one = 1`); err != nil {
				return err
			}
			if err := one(ctx, tx.Query, `SELECT version FROM orderly_schema WHERE one = 1`, nil, &have); err != nil {
				return err
			}
			if have >= len(migrations) {
				return nil
			}
			for _, statement := range statements(migrations[have], db.Types()) {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return fmt.Errorf("migration to version %d: %w", have+1, err)
				}
			}
			_, err := tx.Exec(ctx, `UPDATE orderly_schema SET version = ?1 WHERE one = 1`, have+1)
			return err
		})
		if from < 0 {
			from = have
		}
		switch {
		case err != nil:
			return from, err
		case have > len(migrations):
			return from, &store.SchemaError{Have: have, Want: Version}
		case have == len(migrations):
			return from, nil
		}
	}
}

// version reads the tables' version; 0 when there are none.
func version(ctx context.Context, db DB) (v int, err error) {
	if err := one(ctx, db.Query, `SELECT version FROM orderly_schema WHERE one = 1`, nil, &v); err != nil {
		if db.Classify(err) == store.Failed && ctx.Err() == nil {
			return 0, nil // no such table
		}
		return 0, err
	}
	return v, nil
}
