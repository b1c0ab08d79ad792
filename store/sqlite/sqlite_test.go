package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Target {
		db, err := Open(filepath.Join(t.TempDir(), "test.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.SQL().Exec(`CREATE TABLE effect (place INTEGER PRIMARY KEY, n INTEGER NOT NULL)`); err != nil {
			t.Fatal(err)
		}
		return storetest.Target{
			Backend: db,
			Effect: func(ctx context.Context, tx any, place int64) error {
				_, err := tx.(*sql.Tx).ExecContext(ctx, `INSERT INTO effect VALUES (?, 1) ON CONFLICT (place) DO UPDATE SET n = n + 1`, place)
				return err
			},
			Effects: func(ctx context.Context) (map[int64]int, error) { return counts(ctx, db.SQL()) },
			End:     func(tx any) error { return tx.(*sql.Tx).Commit() },
			EndBySQL: func(ctx context.Context, tx any) error {
				_, err := tx.(*sql.Tx).ExecContext(ctx, "COMMIT")
				return err
			},
			OneWriter: true,
		}
	})
}

func counts(ctx context.Context, db *sql.DB) (map[int64]int, error) {
	rows, err := db.QueryContext(ctx, `SELECT place, n FROM effect`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]int{}
	for rows.Next() {
		var place int64
		var n int
		if err := rows.Scan(&place, &n); err != nil {
			return nil, err
		}
		out[place] = n
	}
	return out, rows.Err()
}

var _ store.Backend = (*DB)(nil)

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder with ?#% in its name.db")
	open := func(t *testing.T) *DB {
		db, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	storetest.Migrating(t, func(t *testing.T) storetest.Migratable { return open(t) }, func(t *testing.T, version int) {
		if _, err := open(t).SQL().Exec(`UPDATE orderly_schema SET version = ?`, version); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOpenNamesTheFile(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "x.db")); err == nil || !strings.Contains(err.Error(), "x.db") {
		t.Errorf("%v", err)
	}
}
