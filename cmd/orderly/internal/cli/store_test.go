package cli

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/sqlite"
)

// The tables are made once, however often the command is called; a newer release's are
// refused; what is printed makes the same tables.
func TestStoreMigrateSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	storeMigrates(t, "sqlite:"+file, func(statements string) {
		db, err := sqlite.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.SQL().Exec(statements); err != nil {
			t.Fatal(err)
		}
	})
	printed, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "b.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	_, script, _ := call(t.Context(), "store", "migrate", "--dsn", "sqlite:x", "--print")
	if _, err := printed.Exec(script); err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	if _, err := printed.Exec("INSERT INTO orderly_lane (part, lane, pos) SELECT version, 0, 0 FROM orderly_schema"); err != nil {
		t.Error(err)
	}
}

func TestStoreMigratePostgres(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	exec := func(url, statement string) error {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		return err
	}
	server := postgrestest.Start(t).URL()
	url := postgrestest.Database(t, server, exec)
	storeMigrates(t, url, func(statements string) {
		if err := exec(url, statements); err != nil {
			t.Fatal(err)
		}
	})
	_, script, _ := call(t.Context(), "store", "migrate", "--dsn", url, "--print")
	other := postgrestest.Database(t, server, exec)
	if err := exec(other, script); err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	if code, out, errs := call(t.Context(), "store", "migrate", "--dsn", other); code != exitOK || !strings.Contains(out, fmt.Sprint("the tables are there: version ", store.SchemaVersion)) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if !strings.Contains(script, "-- GRANT ") {
		t.Errorf("the rights are not named:\n%s", script)
	}
}

func storeMigrates(t *testing.T, dsn string, exec func(string)) {
	t.Helper()
	for _, want := range []string{fmt.Sprint("made the tables: version ", store.SchemaVersion, "\n"), fmt.Sprint("the tables are there: version ", store.SchemaVersion, "\n")} {
		if code, out, errs := call(t.Context(), "store", "migrate", "--dsn", dsn); code != exitOK || out != want {
			t.Fatalf("exit %d: %s%s, want %s", code, out, errs, want)
		}
	}
	exec("UPDATE orderly_schema SET version = 7")
	if code, _, errs := call(t.Context(), "store", "migrate", "--dsn", dsn); code != exitFailed || !strings.Contains(errs, "version 7") || !strings.Contains(errs, "newer release") {
		t.Errorf("exit %d: %s", code, errs)
	}
	exec(fmt.Sprint("UPDATE orderly_schema SET version = ", store.SchemaVersion))
}

func TestStoreMigrateRefusals(t *testing.T) {
	for _, tc := range []struct {
		args, want string
		code       int
	}{
		{"store migrate", "ORDERLY_STORE_DSN", exitUsage},
		{"store migrate --dsn mysql://x", "names neither", exitUsage},
		{"store migrate --dsn sqlite:", "names no file", exitUsage},
		{"store migrate --dsn postgres://x:bad", "cannot be read", exitUsage},
		{"store migrate --dsn sqlite:/missing/x.db", "/missing/x.db", exitRefused},
		{"store migrate --dsn postgres://x@127.0.0.1:1/x", "the database: ", exitRefused},
	} {
		t.Setenv("ORDERLY_STORE_DSN", "")
		args := strings.Fields(tc.args)
		if code, _, errs := call(t.Context(), args...); code != tc.code || !strings.Contains(errs, tc.want) {
			t.Errorf("%s: exit %d, %s", tc.args, code, errs)
		}
	}
	if _, text, _ := call(t.Context(), "store", "migrate", "--help"); !strings.Contains(text, "ORDERLY_STORE_DSN") {
		t.Error("the help does not name the variable")
	}
}
