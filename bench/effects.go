package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/internal/guard"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/postgres"
	"github.com/orderly-go/orderly/store/sqlite"
)

// What a store's bookkeeping costs: transactions of effects (inserted rows), by workers
// of which each has a lane of one partition, beside the same effects in transactions of
// their own. Kafka has no part in it. Processor times are those of this process and of
// PostgreSQL's.

// effectWorkers is how many transactions run at a time.
const effectWorkers = 16

// A database is one with our tables and a table of effects.
type database struct {
	backend interface {
		store.Backend
		store.Sequencer
	}
	exec   func(ctx context.Context, statement string) error
	effect func(ctx context.Context, tx any, worker, place int64) error
	bare   func(ctx context.Context, effects func(ctx context.Context, tx any) error) error
	bytes  func(ctx context.Context, table string) (int64, error) // with its indexes; nil: it does not say
	cpu    func() time.Duration                                   // of the database's own processes; nil: it has none
	serial int
}

func (d *database) time() time.Duration {
	if d.cpu == nil {
		return cpuTime()
	}
	return cpuTime() + d.cpu()
}

// An effectRun is one side's part of a pair.
type effectRun struct {
	total, length int // effects, and how many share a transaction
	busy          time.Duration
	bookkeeping   bool
	numbers       int // keys whose sequence numbers are kept too; 0: none are
}

func (d *database) run(ctx context.Context, e effectRun) (result, error) {
	d.serial++
	part := store.Part{Group: fmt.Sprint(d.serial), TopicID: [16]byte{1}}
	if _, err := d.backend.Begin(ctx, part, store.Layout{Lanes: effectWorkers, Hash: 1}, 1, 0); err != nil {
		return result{}, err
	}
	if err := d.exec(ctx, `DELETE FROM effect`); err != nil {
		return result{}, err
	}
	share := int64(e.total / effectWorkers)
	errs := make([]error, effectWorkers)
	var wg sync.WaitGroup
	began, cpu := time.Now(), d.time()
	for w := range int64(effectWorkers) {
		wg.Go(func() { errs[w] = d.work(ctx, e, part, w, share) })
	}
	wg.Wait()
	took := time.Since(began)
	r := result{Records: share * effectWorkers, Seconds: took.Seconds(), CPU: (d.time() - cpu).Seconds() / took.Seconds()}
	r.Rate = float64(r.Records) / r.Seconds
	return r, errors.Join(errs...)
}

// work is one worker's.
func (d *database) work(ctx context.Context, e effectRun, part store.Part, w, share int64) error {
	from := store.Unknown
	for at := int64(0); at < share; at += int64(e.length) {
		to := min(at+int64(e.length), share)
		a := &store.Advance{Lane: int(w), From: from, To: at + 1}
		effects := func(ctx context.Context, tx any) error {
			for place := at; place < to; place++ {
				if e.busy > 0 {
					<-time.After(e.busy)
				}
				if err := d.effect(ctx, tx, w, place); err != nil {
					return err
				}
			}
			a.To = to
			return nil
		}
		var err error
		if e.bookkeeping {
			err = d.backend.Apply(ctx, store.Step{Part: part, Advance: a, Sequences: e.sequences(w, at, to)}, effects)
		} else {
			err = d.bare(ctx, effects)
		}
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// sequences are the rows of the guard for records from at to to: its keys in turn.
func (e effectRun) sequences(w, at, to int64) func() []store.Sequence {
	if e.numbers == 0 {
		return nil
	}
	return func() (out []store.Sequence) {
		mine := int64(max(e.numbers/effectWorkers, 1))
		for place := max(at, to-mine); place < to; place++ { // each key once
			var k guard.Key
			k.Done(guard.Number{Writer: "9f86d081884c7d65", Epoch: 1, N: place/mine + 1})
			out = append(out, store.Sequence{Key: store.SequenceKeyOf(fmt.Append(nil, w, "/", place%mine)), Offset: place, State: k.Encode()})
		}
		return out
	}
}

// compare runs two sides in turn.
func (b *bench) compare(ctx context.Context, d *database, against string, bar float64, ours, theirs effectRun) ([]row, error) {
	if b.opt.quick {
		ours.total, theirs.total = ours.total/3, theirs.total/3
	}
	var got [2][]result
	for turn := range b.opt.pairs + 1 {
		line := fmt.Sprintf("  %2d/%d", turn, b.opt.pairs)
		for i, e := range []effectRun{ours, theirs} {
			r, err := d.run(ctx, e)
			if err != nil {
				return nil, err
			}
			line += fmt.Sprintf("  %s/s", short(r.Rate))
			if turn > 0 { // in the first caches and connections are cold
				got[i] = append(got[i], r)
			}
		}
		b.say("%s", line)
	}
	r := ratioRow(against, got[0], got[1], bar)
	var ratios []float64
	for i := range got[0] {
		ratios = append(ratios, perRecord(got[1][i])/perRecord(got[0][i]))
	}
	s := summarize(ratios)
	r.Note = fmt.Sprintf("CPU of both %s and %s an effect: %.3f [%.3f, %.3f]", micros(median(each(got[0], perRecord))), micros(median(each(got[1], perRecord))), s.Median, s.Low, s.High)
	return []row{r}, nil
}

const without = "the same effects without bookkeeping"

// effectWorkloads are those of the stores.
func effectWorkloads() []workload {
	pg := func(name, against string, bar float64, ours, theirs effectRun) workload {
		return workload{"effects, PostgreSQL, " + name, func(ctx context.Context, b *bench) ([]row, error) {
			d, end, err := onPostgres(ctx)
			if err != nil || d == nil {
				return missing(b, err)
			}
			defer end()
			return b.compare(ctx, d, against, bar, ours, theirs)
		}}
	}
	side := func(total, length int, busy time.Duration) (ours, theirs effectRun) {
		theirs = effectRun{total: total, length: length, busy: busy}
		ours = theirs
		ours.bookkeeping = true
		return ours, theirs
	}
	lite := func(total, length int) workload {
		ours, theirs := side(total, length, 0)
		return workload{fmt.Sprintf("effects, SQLite, runs of %d", length), func(ctx context.Context, b *bench) ([]row, error) {
			d, end, err := onSQLite(ctx)
			if err != nil {
				return nil, err
			}
			defer end()
			return b.compare(ctx, d, without, 0, ours, theirs)
		}}
	}
	hundreds, hundredsBare := side(48_000, 100, 0)
	ones, onesBare := side(8_000, 1, 0)
	busy, busyBare := side(8_000, 1, 5*time.Millisecond)
	numbered, numberedOnes := hundreds, ones
	numbered.numbers, numberedOnes.numbers = 1000, 1000
	return []workload{
		pg("runs of 100", without, 0.9, hundreds, hundredsBare),
		pg("runs of 1", without, 0.85, ones, onesBare),
		pg("5 ms in each transaction, 16 workers in one partition", without, 0.9, busy, busyBare),
		pg("sequence guard, runs of 100", "the same without its rows", 0, numbered, hundreds),
		pg("sequence guard, runs of 1", "the same without its rows", 0, numberedOnes, ones),
		{"effects, PostgreSQL, bytes of a key's numbers", measureSequenceBytes},
		lite(48_000, 100),
		lite(3_200, 1),
	}
}

// missing says aloud what is not measured.
func missing(b *bench, err error) ([]row, error) {
	if err == nil {
		b.say("  NOT MEASURED: PostgreSQL cannot be started: %s", postgrestest.Missing())
	}
	return nil, err
}

// measureSequenceBytes is what a key's row takes.
func measureSequenceBytes(ctx context.Context, b *bench) ([]row, error) {
	d, end, err := onPostgres(ctx)
	if err != nil || d == nil {
		return missing(b, err)
	}
	defer end()
	const keys = 16_000
	before, err := d.bytes(ctx, "orderly_sequence")
	if err != nil {
		return nil, err
	}
	if _, err := d.run(ctx, effectRun{total: keys, length: 100, bookkeeping: true, numbers: keys}); err != nil {
		return nil, err
	}
	after, err := d.bytes(ctx, "orderly_sequence")
	if err != nil {
		return nil, err
	}
	return []row{{Against: "one writer, no gaps", Value: fmt.Sprintf("%d bytes, with the index", (after-before)/keys)}}, nil
}

func onPostgres(ctx context.Context) (*database, func(), error) {
	if postgrestest.Missing() != "" {
		return nil, nil, nil
	}
	url, pid, end, err := postgrestest.Run(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, pool, err := openPostgres(ctx, url)
	if err != nil {
		end()
		return nil, nil, err
	}
	d.cpu = func() time.Duration { return childrenTime(pid) }
	return d, func() { pool.Close(); end() }, nil
}

func openPostgres(ctx context.Context, url string) (*database, *pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, nil, err
	}
	cfg.MaxConns = effectWorkers
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	exec := func(ctx context.Context, statement string) error {
		_, err := pool.Exec(ctx, statement)
		return err
	}
	db := postgres.New(pool, postgres.Options{})
	_, err = db.Migrate(ctx)
	for _, statement := range []string{"ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()", // as users have it
		`CREATE TABLE effect (worker BIGINT, place BIGINT, PRIMARY KEY (worker, place))`} {
		if err == nil {
			err = exec(ctx, statement)
		}
	}
	if err == nil {
		err = fsyncOn(ctx, pool)
	}
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return postgresEffects(pool, db, exec), pool, nil
}

// fsyncOn waits until the server has taken the setting over.
func fsyncOn(ctx context.Context, pool *pgxpool.Pool) error {
	for range 100 {
		var is string
		if err := pool.QueryRow(ctx, "SHOW fsync").Scan(&is); err != nil {
			return err
		}
		if is == "on" {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("PostgreSQL keeps fsync off: what is measured would not be what users have")
}

func onSQLite(ctx context.Context) (*database, func(), error) {
	dir, err := os.MkdirTemp("", "orderly-bench-")
	if err != nil {
		return nil, nil, err
	}
	db, err := sqlite.Open(filepath.Join(dir, "bench.db"))
	if err == nil {
		if _, err = db.Migrate(ctx); err == nil {
			_, err = db.SQL().ExecContext(ctx, `CREATE TABLE effect (worker BIGINT, place BIGINT, PRIMARY KEY (worker, place))`)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return sqliteEffects(db), func() { _ = db.Close(); _ = os.RemoveAll(dir) }, nil
}
