package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
)

// A partition is taken over while handlers hold every connection of the pool, and what
// it needed for that is given back.
func TestTakeoverWhileHandlersHoldThePool(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	owner := open(t, server(t))
	cfg := owner.Pool().Config()
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	db := New(pool, Options{})
	db.a.spare.after, db.a.spare.idle = time.Minute, time.Millisecond
	if _, err := db.Begin(t.Context(), part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	if db.a.spare.open() {
		t.Error("with a free pool there is a connection beside it")
	}
	db.a.spare.after = time.Millisecond
	holds, goOn, results := make(chan struct{}), make(chan struct{}), make(chan error)
	for lane := range 2 {
		go func() {
			results <- db.Apply(context.Background(), store.Step{Part: part, Advance: &store.Advance{Lane: lane, From: store.Unknown, To: 1}},
				func(context.Context, any) error {
					holds <- struct{}{}
					<-goOn
					return nil
				})
		}()
	}
	<-holds
	<-holds
	other := part
	other.Partition = 1
	within, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if token, err := db.Token(within, other); err != nil || token != 0 {
		t.Errorf("token %d, %v", token, err)
	}
	if st, err := db.Begin(within, other, layout, 7, 3); err != nil || st.Token != 7 || st.Low != 3 {
		t.Errorf("%+v, %v", st, err)
	}
	close(goOn)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for db.a.spare.open() {
		select {
		case <-tick.C:
		case <-within.Done():
			t.Fatal("the connection beside the pool is still open")
		}
	}
}
