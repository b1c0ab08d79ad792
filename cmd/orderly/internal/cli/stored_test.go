package cli

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store/postgres"
	"github.com/orderly-go/orderly/store/sqlite"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A storeUnderTest is a database with orderly's tables, and a table of effects.
type storeUnderTest struct {
	dsn string
	// effects notes the offset of each record that fails does not refuse.
	effects func(fails func(*orderly.Message) error) orderly.Effects
	count   func(query string) int
}

func noFailure(*orderly.Message) error { return nil }

func sqliteUnderTest(t *testing.T) storeUnderTest {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.db")
	db, err := sqlite.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().Exec("CREATE TABLE effect (place INTEGER NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return storeUnderTest{dsn: "sqlite:" + file,
		effects: func(fails func(*orderly.Message) error) orderly.Effects {
			return sqlite.Apply(db, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO effect VALUES (?)", m.Offset)
				return errors.Join(err, fails(m))
			})
		},
		count: func(query string) (n int) {
			if err := db.SQL().QueryRow(query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}}
}

// postgresUnderTest is one in PostgreSQL; where that cannot be started, there is none.
func postgresUnderTest(t *testing.T) (db storeUnderTest, ok bool) {
	t.Helper()
	if !postgrestest.Require(t) {
		return db, false
	}
	url := postgrestest.Database(t, postgrestest.Start(t).URL(), func(url, statement string) error {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), statement)
		return err
	})
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := postgres.New(pool, postgres.Options{}).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "CREATE TABLE effect (place BIGINT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return storeUnderTest{dsn: url,
		effects: func(fails func(*orderly.Message) error) orderly.Effects {
			return postgres.Apply(pool, func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error {
				_, err := tx.Exec(ctx, "INSERT INTO effect VALUES ($1)", m.Offset)
				return errors.Join(err, fails(m))
			})
		},
		count: func(query string) (n int) {
			if err := pool.QueryRow(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}}, true
}

// commands gives a function that runs a command about group billing and topic orders: it
// has to end so, and to say the text. What it prints is returned.
func commands(t *testing.T, b *orderlytest.Broker) func(want int, line, text string, more ...string) string {
	return func(want int, line, text string, more ...string) string {
		t.Helper()
		args := append(strings.Fields(line), "--brokers", strings.Join(b.Addrs(), ","), "-t", "orders", "-g", "billing")
		code, out, errs := call(t.Context(), append(args, more...)...)
		if code != want || !strings.Contains(out+errs, text) {
			t.Fatalf("%s: exit %d, want %d with %q\n%s\n%s", line, code, want, text, out, errs)
		}
		return out
	}
}

func TestStoredKeysSQLite(t *testing.T) { storedByCommand(t, sqliteUnderTest(t)) }

func TestStoredKeysPostgres(t *testing.T) {
	if db, ok := postgresUnderTest(t); ok {
		storedByCommand(t, db)
	}
}

// What a consumer with effects keeps parked in its database is listed, shown, kept and
// dropped by commands; without --store they say that it is needed.
func storedByCommand(t *testing.T, db storeUnderTest) {
	t.Helper()
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	stored := []string{"--store", db.dsn}
	step := commands(t, b)
	var mended atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Group: "billing", Topics: []string{"orders"},
		KafkaOpts: []kgo.Opt{kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(300 * time.Millisecond)}, // the first command makes a topic
		Effects: db.effects(func(m *orderly.Message) error {
			if string(m.Key) == "bad" && !mended.Load() {
				return orderly.Permanent(errors.New("no such account"))
			}
			return nil
		})})
	effects := func(want int) {
		t.Helper()
		b.Eventually("the effects", func() bool { return db.count("SELECT count(*) FROM effect") >= want })
		if n := db.count("SELECT count(*) FROM effect"); n != want {
			t.Fatalf("%d effects, want %d", n, want)
		}
	}
	parked := func(m *orderlytest.Member, records int) {
		t.Helper()
		b.Eventually("the records to be parked, and the end to be committed", func() bool {
			ps := m.Consumer().State().Partitions
			return len(ps) == 1 && ps[0].Parking.Records == records && ps[0].Committed == b.End("orders", 0)
		})
	}
	b.Produce("orders", orderlytest.Msg("bad", "zero").Header("h", "v"), orderlytest.Msg("good", "1"), orderlytest.Msg("bad", "2"), orderlytest.Msg("bad", "3"), orderlytest.Msg("good", "4"))
	m := g.Start()
	parked(m, 3)
	effects(2)

	step(exitFailed, "keys list --state parked", "--store")
	step(exitFailed, "keys show --partition 0 --key bad", "--store")
	step(exitUsage, "keys list --state parked --store mysql://x", "names neither")
	step(exitRefused, "keys show --partition 0 --key bad --store sqlite:/nowhere/none.db", "the database")
	var k struct {
		Key, State, Cause string
		FirstOffset       int64 `json:"first_offset"`
		Records, Attempts int
		Since, Next       string
	}
	out := step(exitOK, "keys list --state parked --json", `"state":"parked"`, stored...)
	if err := json.Unmarshal([]byte(out), &k); err != nil || k.Key != "bad" || k.FirstOffset != 0 || k.Records != 3 || k.Attempts != 1 || k.Cause != "no such account" || k.Since == "" || k.Next != "" {
		t.Errorf("%s: %+v, %v", out, k, err)
	}
	step(exitOK, "keys list --state parked", "at a command", stored...)
	step(exitOK, "keys list --state parked", "1 parked keys, 1 shown", stored...)
	t.Setenv("ORDERLY_STORE_DSN", db.dsn)
	step(exitOK, "keys list --state parked", "1 parked keys, 1 shown")
	t.Setenv("ORDERLY_STORE_DSN", "")

	out = step(exitOK, "keys show --partition 0 --key bad", "no such account", stored...)
	if n := strings.Count(out, "\n"); n != 4 || strings.Contains(out, "zero") {
		t.Errorf("%d lines with their head, and values that were not asked for:\n%s", n, out)
	}
	var r struct {
		Record struct {
			Offset   int64
			Value    string
			Headers  map[string]string
			Attempts int
		}
	}
	out = step(exitOK, "keys show --partition 0 --key bad --limit 1 --show-values --json", `"record"`, stored...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Record.Offset != 0 || r.Record.Value != "zero" || r.Record.Headers["h"] != "v" || r.Record.Attempts != 1 {
		t.Errorf("%s: %+v, %v", out, r, err)
	}
	if out = step(exitOK, "keys show --partition 0 --key good", "OFFSET", stored...); strings.Count(out, "\n") != 1 {
		t.Errorf("of a key that is not parked:\n%s", out)
	}

	var shown struct {
		ParkedKeys    int `json:"parked_keys"`
		ParkedRecords int `json:"parked_records"`
		Store         []struct{ Exceptions int }
	}
	out = step(exitOK, "offsets show --json", `"store"`, stored...)
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.ParkedKeys != 1 || shown.ParkedRecords != 3 || len(shown.Store) != 1 || shown.Store[0].Exceptions != 3 {
		t.Errorf("%s: %+v, %v", out, shown, err)
	}
	step(exitOK, "offsets show", "3 waiting", stored...)
	step(exitFailed, "offsets reset --to 2 --reason x --parked keep", "has a member", stored...)
	if err := m.Stop(); err != nil {
		t.Error(err)
	}

	// Kept, they wait on; what comes again of other keys has its effect again.
	step(exitFailed, "offsets reset --to 2 --reason x", "from offset 0 on", stored...)
	step(exitOK, "offsets reset --to 2 --reason x --parked keep --dry-run", "false", stored...)
	step(exitOK, "offsets reset --to 2 --reason x --parked keep --json", `"parked_records":3`, stored...)
	step(exitOK, "keys list --state parked", "1 parked keys, 1 shown", stored...)
	m = g.Start()
	effects(3)
	parked(m, 3)
	mended.Store(true)
	step(exitOK, "keys retry --partition 0 --key bad --offset 0", "released")
	effects(6)
	step(exitOK, "keys list --state parked", "0 parked keys", stored...)

	// Dropped, those below the target are lost, and said to be.
	mended.Store(false)
	b.Produce("orders", orderlytest.Msg("bad", "5"), orderlytest.Msg("bad", "6"), orderlytest.Msg("good", "7"))
	parked(m, 2)
	effects(7)
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
	step(exitOK, "offsets reset --to 6 --reason x --parked drop --json", `"lost":1`, stored...)
	step(exitOK, "keys list --state parked", "0 parked keys", stored...)
	mended.Store(true)
	m = g.Start()
	effects(9)
	parked(m, 0)
	if n := db.count("SELECT count(*) FROM effect WHERE place = 5"); n != 0 {
		t.Errorf("the record that was dropped had %d effects", n)
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}
