package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

var (
	part   = store.Part{Group: "g", Handler: "h", Topic: "t", TopicID: [16]byte{1}}
	layout = store.Layout{Lanes: 4, Hash: 1}
)

func TestMigrate(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	url := postgrestest.Database(t, server(t), exec)
	storetest.Migrating(t, func(t *testing.T) storetest.Migratable {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return New(pool, Options{})
	}, func(t *testing.T, version int) {
		if err := exec(url, `UPDATE orderly_schema SET version = `+string(rune('0'+version/10))+string(rune('0'+version%10))); err != nil {
			t.Fatal(err)
		}
	})
}

// The server ends while a commit is under way: the outcome is not known, and Look
// says what it was.
func TestServerEndsDuringACommit(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	s := postgrestest.Start(t)
	db := open(t, s.URL())
	ctx := t.Context()
	// A deferred trigger makes the commit itself take its time.
	for _, statement := range []string{
		`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`,
	} {
		if _, err := db.Pool().Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Begin(ctx, part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		result <- db.Apply(ctx, store.Step{Part: part, Advance: &store.Advance{From: store.Unknown, To: 5}}, func(ctx context.Context, tx any) error {
			_, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO effect VALUES (4, 1)`)
			return err
		})
	}()
	watch, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for sleeping := 0; sleeping == 0; <-tick.C {
		if err := watch.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`).Scan(&sleeping); err != nil {
			t.Fatal(err)
		}
	}
	s.StopNow(t)
	err = <-result
	if !errors.Is(err, store.ErrUnknown) {
		t.Errorf("%v, want ErrUnknown", err)
	}
	if _, err := db.Look(ctx, part, 0); db.Classify(err) != store.Down {
		t.Errorf("while the server is down: %v is classified %v", err, db.Classify(err))
	}
	s.Restart(t)
	var st store.State
	for st, err = db.Look(ctx, part, 0); err != nil && db.Classify(err) == store.Down; <-tick.C {
		st, err = db.Look(ctx, part, 0) // the pool notices its broken connections one by one
	}
	if err != nil || len(st.Lanes) != 0 {
		t.Errorf("%+v, %v: the commit did not happen", st, err)
	}
}

// A process that freezes in its handler loses its transaction, not the lane's
// next owner its patience.
func TestFrozenHandlerLosesItsTransaction(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	db := open(t, server(t))
	frozen := New(db.Pool(), Options{IdleLimit: 50 * time.Millisecond})
	ctx := t.Context()
	if _, err := frozen.Begin(ctx, part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Begin(ctx, part, layout, 2, 0); err != nil {
		t.Fatal(err)
	}
	step := store.Step{Part: part, Advance: &store.Advance{From: store.Unknown, To: 5}}
	effect := func(ctx context.Context, tx any) error {
		_, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO effect VALUES (4, 1)`)
		return err
	}
	holds, goOn, result := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		result <- frozen.Apply(ctx, step, func(ctx context.Context, tx any) error {
			err := effect(ctx, tx)
			close(holds)
			<-goOn
			return err
		})
	}()
	<-holds
	if err := db.Apply(ctx, step, effect); err != nil { // waits for the row of the effect, until the other's transaction is ended
		t.Errorf("the next owner: %v", err)
	}
	close(goOn)
	if err := <-result; err == nil || errors.Is(err, store.ErrUnknown) {
		t.Errorf("the frozen one: %v", err)
	} else if c := db.Classify(err); c == store.Failed {
		t.Errorf("the frozen one's %v counts as the handler's fault", err)
	}
	st, err := db.Look(ctx, part, 0)
	if err != nil || len(st.Lanes) != 1 || st.Lanes[0].Position != 5 {
		t.Errorf("%+v, %v", st, err)
	}
}

// A handler that swallows a statement's error gets one for it: its transaction was
// rolled back.
func TestSwallowedErrorIsNotACommit(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	db := open(t, server(t))
	ctx := t.Context()
	if _, err := db.Begin(ctx, part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	err := db.Apply(ctx, store.Step{Part: part, Advance: &store.Advance{From: store.Unknown, To: 5}}, func(ctx context.Context, tx any) error {
		_, _ = tx.(pgx.Tx).Exec(ctx, `INSERT INTO no_such_table VALUES (1)`)
		return nil
	})
	if !errors.Is(err, errSwallowed) || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if st, err := db.Look(ctx, part, 0); err != nil || len(st.Lanes) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}
