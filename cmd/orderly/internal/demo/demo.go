// Package demo shows what orderly promises: it sends a real change history, in
// which every change of a file is valid only after the one before, through two
// consumer processes, kills one, replaces it, forces a rebalance, and compares
// what came out with what must come out. Then it does the same to a naive
// consumer, the control, which must break: a demo that cannot fail shows nothing.
//
// Beside that it plays the parking scene (parking.go): keys that fail until their fault
// is mended, and what they cost the others.
//
// The order in which to read: demo.go (the whole), column.go (one consumer's
// run), member.go and naive.go (the processes), ledger.go (who knows what
// happened), result.go and table.go (the verdict).
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// Options say how to run the demo.
type Options struct {
	Input      string // a file; empty: the bundled sample
	Seed       uint64
	Partitions int
	KeepLogs   string // folder for histories and logs; empty: kept only of a bad run
	Version    string
	Progress   io.Writer // for people; it may be a terminal

	// For tests.
	command  []string      // how to start this program; nil: the running one
	input    *Input        // instead of Input
	naive    Kind          // what the naive column runs
	orderly  Kind          // what orderly's column runs
	session  time.Duration // of the consumer groups
	patience time.Duration // without progress
}

const (
	maxWork      = 20 * time.Millisecond
	failPerMille = 10

	// session is short, so that a dead process is soon noticed, and long enough
	// for a busy machine.
	session = 3 * time.Second

	patience          = 30 * time.Second
	interruptPatience = 5 * time.Second
)

// concurrency is how many handlers run at a time in each process: so many that
// the sample takes about 5 s.
func concurrency(records int) int { return min(max(records/800, 2), 128) }

// LimitError names an option that is out of bounds.
type LimitError struct{ Text string }

func (e *LimitError) Error() string { return e.Text }

// MaxPartitions bounds Options.Partitions.
const MaxPartitions = 1000

func (o *Options) withDefaults() error {
	if o.Partitions < 3 || o.Partitions > MaxPartitions {
		return &LimitError{fmt.Sprintf("--partitions is %d: it must be from 3 (each of three processes needs one) to %d", o.Partitions, MaxPartitions)}
	}
	if o.command == nil {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program, to start it as a consumer process: %w", err)
		}
		o.command = []string{exe}
	}
	if o.naive == "" {
		o.naive, o.orderly = Naive, Orderly
	}
	if o.session == 0 {
		o.session = session
	}
	if o.patience == 0 {
		o.patience = patience
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return nil
}

// Run runs the demo. An error says that it could not be brought to an end; a bad
// end is in the Result.
func Run(ctx context.Context, o Options) (*Result, error) {
	began := time.Now()
	if err := o.withDefaults(); err != nil {
		return nil, err
	}
	in, err := o.read()
	if err != nil {
		return nil, err
	}
	if o.KeepLogs != "" {
		// Now, not when the run is over.
		if err := os.MkdirAll(o.KeepLogs, 0o755); err != nil {
			return nil, fmt.Errorf("--keep-logs: %w", err)
		}
	}
	naive, ours := newColumn(o.naive, &o, in), newColumn(o.orderly, &o, in)
	res := &Result{
		Format: 1, Version: o.Version, Input: in.Name, Seed: o.Seed, Partitions: o.Partitions,
	}
	var failure error
	for i, c := range []*column{naive, ours} {
		p := newProgress(o.Progress, isTerminal(o.Progress), i+1, 3, c)
		c.show = p.phase
		failure = c.run(ctx)
		p.end(failure)
		if failure != nil {
			failure = fmt.Errorf("%s consumer: %w", c.kind, failure)
			break
		}
	}
	if failure == nil {
		res.Parking, failure = o.parkingScene(ctx, in, func(phase string) { fmt.Fprintf(o.Progress, "[3/3 parking] %s\n", phase) })
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err // whatever else went wrong followed from it
	}
	if failure == nil {
		res.Naive, res.Orderly = naive.result(), ours.result()
		res.judge()
	}
	res.Seconds = seconds(time.Since(began))
	if o.KeepLogs != "" || failure != nil || res.Verdict != Kept {
		dir, err := o.save(naive, ours)
		if err != nil {
			return nil, errors.Join(failure, err)
		}
		res.Saved = dir
	}
	if failure != nil {
		return nil, fmt.Errorf("%w\nhistories and logs are in %s", failure, res.Saved)
	}
	return res, nil
}

func (o *Options) read() (*Input, error) {
	switch {
	case o.input != nil:
		return o.input, nil
	case o.Input != "":
		return Load(o.Input)
	}
	return Sample()
}

// save writes what is known of the columns, for people and for the checker.
func (o *Options) save(columns ...*column) (dir string, err error) {
	dir = o.KeepLogs
	if dir == "" {
		if dir, err = os.MkdirTemp("", "orderly-demo-"); err != nil {
			return "", fmt.Errorf("saving the history: %w", err)
		}
	}
	for i, c := range columns {
		name := []string{"naive", "orderly"}[i]
		if err := history.Save(filepath.Join(dir, name+".history.jsonl"), c.rec.Events()); err != nil {
			return dir, err
		}
		for _, p := range c.procs {
			if err := os.WriteFile(filepath.Join(dir, name+"."+p.member.Name+".log"), p.log.bytes(), 0o644); err != nil {
				return dir, fmt.Errorf("saving the logs: %w", err)
			}
		}
	}
	return dir, nil
}
