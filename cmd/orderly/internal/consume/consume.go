package consume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/pipe"
)

// Options say what to consume and how.
type Options struct {
	Cluster        *connect.Cluster
	Topic, Group   string
	UntilEnd       bool
	Concurrency    int // 0: 256 without workers, else one for each processor
	SessionTimeout time.Duration
	Scope          orderly.Scope
	Start          orderly.Start
	Reset          orderly.Reset
	OnExhausted    orderly.Policy
	OnWriteFailure orderly.Policy
	DeadLetter     orderly.DeadLetter
	Retry          orderly.Retry
	Breaker        orderly.Breaker
	Sequence       orderly.SequenceGuard

	Command []string // of the workers; none: records are printed
	Out     io.Writer
	Err     io.Writer
	Verbose bool

	Metrics string // address to serve metrics and health at; empty: nowhere
	LogKeys orderly.KeyDisplay
}

// DefaultConcurrency is what 0 stands for.
func (o *Options) DefaultConcurrency() int {
	if len(o.Command) > 0 {
		return runtime.GOMAXPROCS(0)
	}
	return 256
}

// startTimeout is how long the first broker may take to answer.
const startTimeout = 30 * time.Second

// A Result says how far it came.
type Result struct {
	Done    int64 // records
	Retried int64 // of these: needed more than one attempt
	Parked  int64 // as often as a record was parked
	AtEnd   bool  // with UntilEnd: everything up to the end is settled
}

var errAtEnd = errors.New("all records up to the end are settled")

// Run consumes until ctx ends, the end is reached, or something fails.
func Run(ctx context.Context, o Options) (Result, error) {
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	if o.Verbose {
		level.Set(slog.LevelInfo)
	}
	log := slog.New(slog.NewTextHandler(o.Err, &slog.HandlerOptions{Level: level}))
	if o.Concurrency == 0 {
		o.Concurrency = o.DefaultConcurrency()
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var done, retried, parked atomic.Int64
	cfg := orderly.ConsumerConfig{
		Brokers: o.Cluster.Brokers, KafkaOpts: o.Cluster.Opts, Group: o.Group, Topics: []string{o.Topic},
		Scope: o.Scope, Start: o.Start, Reset: o.Reset, OnExhausted: o.OnExhausted, OnWriteFailure: o.OnWriteFailure, DeadLetter: o.DeadLetter, Retry: o.Retry, Breaker: o.Breaker, Sequence: o.Sequence,
		Concurrency: o.Concurrency, SessionTimeout: o.SessionTimeout, StartTimeout: startTimeout, Logger: log,
		Events: orderly.Events{Settled: func(e orderly.SettledEvent) {
			done.Add(int64(e.Records))
			retried.Add(int64(e.Retried))
		}, Parked: func(e orderly.ParkedEvent) {
			if !e.Before {
				parked.Add(1)
			}
		}},
	}
	cfg.LogKeys = o.LogKeys
	var obs *observer
	if o.Metrics != "" {
		var err error
		if obs, err = listen(o.Metrics); err != nil {
			return Result{}, err
		}
		defer obs.close()
	}
	if o.UntilEnd {
		cfg.CommitInterval = 200 * time.Millisecond // the end is seen in commits
	}
	if len(o.Command) > 0 {
		pool, err := pipe.NewPool(pipe.Options{Command: o.Command, Workers: o.Concurrency, Stderr: o.Err, Log: log, HideEnv: connect.SecretEnv()})
		if err != nil {
			return Result{}, err
		}
		// After Run: no handler is running then.
		defer pool.Close()
		cfg.Handler = pool.Handle
	} else {
		unpipe := brokenPipeIsAnError()
		defer unpipe()
		cfg.Handler = newPrinter(o.Out, func(why error) {
			// The records whose turn it is fail for the same reason, which is told once.
			level.Set(slog.LevelError + 1)
			stop(why)
		}).handle
	}
	if obs != nil {
		cfg = obs.m.Instrument(cfg)
	}
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		return Result{}, err
	}
	if obs != nil {
		if err := obs.serve(c, o.LogKeys, log); err != nil {
			return Result{}, err
		}
		fmt.Fprintf(o.Err, "orderly: metrics and health at http://%s (/metrics /livez /readyz /state /keys)\n", obs.ln.Addr())
	}
	var w *watch
	if o.UntilEnd {
		if w, err = startWatch(ctx, &o, c, log, stop); err != nil {
			return Result{}, err
		}
	}
	err = c.Run(ctx)
	cause := context.Cause(ctx)
	stop(nil)
	if w != nil {
		w.wait()
	}
	res := Result{Done: done.Load(), Retried: retried.Load(), Parked: parked.Load(), AtEnd: errors.Is(cause, errAtEnd)}
	var failed *failure
	if errors.As(cause, &failed) {
		err = failed // what else there is came of it
	}
	return res, connect.Unreachable(err)
}

// A failure ends Run from within.
type failure struct {
	doing string
	err   error
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v", f.doing, f.err) }
func (f *failure) Unwrap() error { return f.err }
