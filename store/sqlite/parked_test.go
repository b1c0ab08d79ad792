package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
)

// A key is parked in the file, waits there while no process runs, and is released from
// there in order, each effect once.
func TestKeyIsParkedInTheFile(t *testing.T) {
	b, db := site(t)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mended atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, Retry: orderly.Retry{MaxAttempts: 1}, Breaker: orderly.Breaker{Disabled: true},
		Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 20 * time.Millisecond},
		Effects: Apply(db, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error {
			if string(m.Key) == "bad" && !mended.Load() {
				return errors.New("größer \x00 \xff")
			}
			return note(ctx, tx, m)
		})})
	for i := range 200 {
		b.Produce("orders", orderlytest.Msg([]string{"bad", "good"}[i%2], fmt.Sprint(i)).Header("h", "v"))
	}
	rows := func() (n int) {
		if err := db.SQL().QueryRow(`SELECT count(*) FROM orderly_exception WHERE payload IS NOT NULL`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	m := g.Start()
	b.Eventually("the key to be parked", func() bool { return rows() == 100 })
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	var cause string
	var attempts int
	if err := db.SQL().QueryRow(`SELECT cause, attempts FROM orderly_exception ORDER BY off LIMIT 1`).Scan(&cause, &attempts); err != nil || cause == "" || attempts != 1 {
		t.Errorf("%q, %d, %v", cause, attempts, err)
	}
	m = g.Start()
	mended.Store(true)
	b.Eventually("the key to be released", func() bool { return rows() == 0 })
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	all, err := counts(t.Context(), db.SQL())
	if err != nil || len(all) != 200 {
		t.Fatalf("%d effects, %v", len(all), err)
	}
	for place, n := range all {
		if n != 1 {
			t.Errorf("the record at %d had its effect %d times", place, n)
		}
	}
}

// Exceptions of the version before keep their order among themselves and with new ones.
func TestExceptionsOfTheVersionBefore(t *testing.T) {
	_, db := site(t)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	part := store.Part{Group: "g", Handler: "h", Topic: "t", TopicID: [16]byte{1}}
	layout := store.Layout{Lanes: 1, Hash: 1}
	if _, err := db.Begin(t.Context(), part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`DROP TABLE orderly_sequence`, `DROP INDEX orderly_exception_key`,
		`ALTER TABLE orderly_exception DROP COLUMN hash`, `ALTER TABLE orderly_exception DROP COLUMN cause`,
		`ALTER TABLE orderly_exception DROP COLUMN permanent`, `ALTER TABLE orderly_exception DROP COLUMN attempts`,
		`ALTER TABLE orderly_exception DROP COLUMN first_failed`, `ALTER TABLE orderly_exception DROP COLUMN last_failed`,
		`ALTER TABLE orderly_exception DROP COLUMN releases`,
		`UPDATE orderly_schema SET version = 1`,
		`INSERT INTO orderly_exception (part, off, lane, keyed, key, payload) SELECT id, 3, 0, 1, CAST('k' AS BLOB), NULL FROM orderly_part`,
		`INSERT INTO orderly_exception (part, off, lane, keyed, key, payload) SELECT id, 5, 0, 1, CAST('k' AS BLOB), NULL FROM orderly_part`,
		`INSERT INTO orderly_lane (part, lane, pos) SELECT id, 0, 6 FROM orderly_part`,
	} {
		if _, err := db.SQL().Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	var schema *store.SchemaError
	if _, err := db.Begin(t.Context(), part, layout, 2, 0); !errors.As(err, &schema) || schema.Have != 1 {
		t.Fatalf("under the version before: %v", err)
	}
	if from, err := db.Migrate(t.Context()); from != 1 || err != nil {
		t.Fatal(from, err)
	}
	st, err := db.Begin(t.Context(), part, layout, 3, 0)
	if err != nil || len(st.Exceptions) != 2 || st.Exceptions[0].Parked() || st.Exceptions[0].Failure != (store.Failure{}) {
		t.Fatalf("%+v, %v", st, err)
	}
	exception := func(offset int64) store.Exception { return store.Exception{Offset: offset, Key: []byte("k")} }
	if err := db.Apply(t.Context(), store.Step{Part: part, Advance: &store.Advance{From: 6, To: 8, Detach: []store.Exception{exception(7)}}}, nil); err != nil {
		t.Fatal(err)
	}
	var released []int64
	for _, offset := range []int64{7, 5, 3, 7, 5, 7} {
		err := db.Apply(t.Context(), store.Step{Part: part, Release: &store.Release{Exception: exception(offset)}}, nil)
		if err == nil {
			released = append(released, offset)
		} else if !errors.Is(err, store.ErrStale) {
			t.Fatal(err)
		}
	}
	if want := []int64{3, 5, 7}; !slices.Equal(released, want) {
		t.Errorf("released %v, want %v", released, want)
	}
}

// The change history while keys are parked and released all the time, by processes of
// which one is killed: each change once, and the end is the known truth. With more kills,
// in a soak, one change waits for an operator.
func TestChangeHistoryWithParkedKeys(t *testing.T) {
	s := effectstest.Scene{DSN: migratedFile(t), Open: openHistory, Kills: 1, Parks: true}
	if os.Getenv("ORDERLY_SOAK") == "1" {
		s.Kills = 20
	}
	s.Run(t)
}
