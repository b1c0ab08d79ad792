package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
)

// What the bookkeeping costs beside the same effects without it: transactions of so
// many effects, by 16 workers, each with a lane of one partition. An operation is one effect.
func BenchmarkBookkeeping(b *testing.B) {
	if !postgrestest.Require(b) {
		return
	}
	server := postgrestest.Start(b).URL()
	for _, statement := range []string{"ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"} { // as users have it
		if err := exec(server, statement); err != nil {
			b.Fatal(err)
		}
	}
	url := postgrestest.Database(b, server, exec)
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	const workers = 16
	cfg.MaxConns = workers
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	db := New(pool, Options{})
	if _, err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, err := pool.Exec(b.Context(), `CREATE TABLE effect (worker INTEGER, place BIGINT, PRIMARY KEY (worker, place))`); err != nil {
		b.Fatal(err)
	}
	bare := func(ctx context.Context, _ store.Step, effects func(context.Context, any) error) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return effects(ctx, tx) })
	}
	serial := 0
	for _, run := range []int{100, 1} {
		for _, busy := range []time.Duration{0, 5 * time.Millisecond} {
			if run > 1 && busy > 0 {
				continue
			}
			for _, how := range []string{"with", "without"} {
				b.Run(fmt.Sprintf("run=%d/busy=%s/%s", run, busy, how), func(b *testing.B) {
					serial++
					part := store.Part{Group: fmt.Sprint(serial), TopicID: [16]byte{1}}
					if _, err := db.Begin(b.Context(), part, store.Layout{Lanes: workers, Hash: 1}, 1, 0); err != nil {
						b.Fatal(err)
					}
					if _, err := pool.Exec(b.Context(), `TRUNCATE effect`); err != nil {
						b.Fatal(err)
					}
					apply := db.Apply
					if how == "without" {
						apply = bare
					}
					b.ResetTimer()
					var wg sync.WaitGroup
					for w := range workers {
						wg.Go(func() {
							from := store.Unknown
							for at := 0; at < b.N/workers; at += run {
								to := int64(at + run)
								err := apply(b.Context(), store.Step{Part: part, Advance: &store.Advance{Lane: w, From: from, To: to}}, func(ctx context.Context, tx any) error {
									if busy > 0 {
										<-time.After(busy)
									}
									for i := range run {
										if _, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO effect VALUES ($1, $2)`, w, at+i); err != nil {
											return err
										}
									}
									return nil
								})
								if err != nil {
									b.Error(err)
									return
								}
								from = to
							}
						})
					}
					wg.Wait()
				})
			}
		}
	}
}
