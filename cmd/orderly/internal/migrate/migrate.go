// Package migrate makes the tables that a consumer with Effects keeps its positions in.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/postgres"
	"github.com/orderly-go/orderly/store/sqlite"
)

// A DSNError is an address that names no database.
type DSNError struct{ Why string }

func (e *DSNError) Error() string { return "--dsn " + e.Why }

// An UnreachableError is a database that did not do what was asked.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return fmt.Sprintf("the database: %v", e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// limit bounds one migration, and the waiting for others that migrate.
const limit = 60 * time.Second

// kind says which database an address names, and what of it the driver wants.
func kind(dsn string) (name, rest string, err error) {
	switch {
	case dsn == "":
		return "", "", &DSNError{"is empty: name the database, postgres://USER@HOST/DATABASE or sqlite:FILE, here or in ORDERLY_STORE_DSN"}
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"), strings.Contains(dsn, "=") && !strings.HasPrefix(dsn, "sqlite:"):
		return "postgres", dsn, nil
	case strings.HasPrefix(dsn, "sqlite:"):
		if rest = strings.TrimPrefix(dsn, "sqlite:"); rest == "" {
			return "", "", &DSNError{"names no file: sqlite:FILE"}
		}
		return "sqlite", rest, nil
	}
	return "", "", &DSNError{"names neither: it is postgres://USER@HOST/DATABASE, or key=value pairs as libpq takes them, or sqlite:FILE, here or in ORDERLY_STORE_DSN"}
}

// Print writes the statements for a database without tables of ours.
func Print(out io.Writer, dsn string) error {
	name, _, err := kind(dsn)
	if err != nil {
		return err
	}
	script := postgres.Schema()
	if name == "sqlite" {
		script = sqlite.Schema()
	}
	_, err = io.WriteString(out, script)
	return err
}

type migratable interface {
	store.Backend
	Migrate(ctx context.Context) (from int, err error)
}

// open opens the database; end closes it.
func open(ctx context.Context, dsn string) (db migratable, end func(), err error) {
	name, rest, err := kind(dsn)
	if err != nil {
		return nil, nil, err
	}
	if name == "sqlite" {
		file, err := sqlite.Open(rest)
		if err != nil {
			return nil, nil, &UnreachableError{err}
		}
		return file, func() { _ = file.Close() }, nil
	}
	pool, err := pgxpool.New(ctx, rest)
	if err != nil {
		return nil, nil, &DSNError{fmt.Sprintf("cannot be read: %v", err)}
	}
	return postgres.New(pool, postgres.Options{LockLimit: limit}), pool.Close, nil
}

// Open opens a database whose tables are there. A file that is not there is not made.
func Open(ctx context.Context, dsn string) (db store.Backend, end func(), err error) {
	if name, file, _ := kind(dsn); name == "sqlite" {
		if _, err := os.Stat(file); err != nil {
			return nil, nil, &UnreachableError{err}
		}
	}
	return open(ctx, dsn)
}

// Run makes the tables, or brings them to this release's version.
func Run(ctx context.Context, out io.Writer, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	db, end, err := open(ctx, dsn)
	if err != nil {
		return err
	}
	defer end()
	from, err := db.Migrate(ctx)
	for err != nil && db.Classify(err) == store.Again && ctx.Err() == nil {
		from, err = db.Migrate(ctx)
	}
	var schema *store.SchemaError
	switch {
	case errors.As(err, &schema):
		return err
	case err != nil:
		return &UnreachableError{err}
	case from == store.SchemaVersion:
		fmt.Fprintf(out, "the tables are there: version %d\n", from)
	case from == 0:
		fmt.Fprintf(out, "made the tables: version %d\n", store.SchemaVersion)
	default:
		fmt.Fprintf(out, "brought the tables from version %d to %d\n", from, store.SchemaVersion)
	}
	return nil
}

// DSN is the flag's value, or the environment's.
func DSN(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(connect.StoreEnv)
}
