package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// A column runs one kind of consumer through the disturbances and fills one
// column of the table.
type column struct {
	kind   Kind
	opt    *Options
	in     *Input
	show   func(phase string)
	ledger *ledger
	rec    *history.Recorder
	broker string
	procs  []*process // all that were started

	killed   int // pid
	running  int // handlers of the killed process
	joined   int // pid of the process that joined for the rebalance
	out      Outage
	stalled  error
	began    time.Time
	finished time.Time
}

// firstPart is the share of the records that is in the topic from the start. The
// rest is written when the disturbances are over, so that there is work left
// then on any machine.
const firstPart = 0.8

// The processes' names.
const (
	first       = "worker-1" // is killed
	second      = "worker-2"
	replacement = "worker-3" // of the first
	third       = "worker-4" // joins for the rebalance
)

func newColumn(kind Kind, opt *Options, in *Input) *column {
	checker := history.NewChecker(history.Options{Complete: true, NoTokens: kind == Naive})
	rec := history.NewRecorder(history.RecorderConfig{Keep: true, Checker: checker, Now: func() int64 { return time.Now().UnixNano() }})
	p := plan{seed: opt.Seed, maxWork: maxWork, perMille: failPerMille, failures: 2}
	return &column{kind: kind, opt: opt, in: in, rec: rec, ledger: newLedger(p, rec, opt.Partitions)}
}

// run returns when the column is filled: nil, also when it looks bad. An error
// says that it could not be filled.
func (c *column) run(ctx context.Context) error {
	c.began = time.Now()
	defer func() { c.finished = time.Now() }()
	c.phase("starting broker and processes")
	cluster, err := startBroker(c.opt.Partitions)
	if err != nil {
		return err
	}
	defer cluster.Close()
	c.broker = cluster.ListenAddrs()[0]
	w, err := newWriter(c.broker, c.ledger, c.in, c.opt.Partitions)
	if err != nil {
		return err
	}
	defer w.close()

	err = c.disturb(ctx, w)
	if errors.Is(err, errStalled) {
		// Not an error of the demo: what it waited for did not happen, and the
		// table says so.
		c.stalled, err = err, nil
	}
	return errors.Join(err, c.stop(ctx, err == nil && c.stalled == nil))
}

func (c *column) disturb(ctx context.Context, w *writer) error {
	n := len(c.in.Changes)
	part := max(int(firstPart*float64(n)), 1)
	victim, err := c.start(first)
	if err != nil {
		return err
	}
	if _, err := c.start(second); err != nil {
		return err
	}
	// Nothing is written before, or whoever comes first could have read it all.
	if err := c.await(ctx, "both processes to get partitions", c.ledger.owns(first, second)); err != nil {
		return err
	}
	c.phase("two processes at work")
	if err := w.write(ctx, 0, part); err != nil {
		return err
	}
	// The control knows no breaker; it would only take longer.
	if c.kind == Orderly {
		if err := c.outage(ctx); err != nil {
			return err
		}
		c.phase("two processes at work again")
	}
	if err := c.await(ctx, "a quarter of the records to be done", c.ledger.strike(first, n/4)); err != nil {
		return err
	}

	victim.kill()
	c.killed, c.running = victim.pid(), c.ledger.killed(first)
	c.phase(fmt.Sprintf("process %d killed (kill -9)", c.killed))
	if _, err := c.start(replacement); err != nil {
		return err
	}
	if err := c.await(ctx, "the replacement to get partitions", c.ledger.owns(replacement)); err != nil {
		return err
	}

	// The control's fate is sealed by now.
	if c.kind == Orderly {
		c.phase("replaced; one more joins")
		p, err := c.start(third)
		if err != nil {
			return err
		}
		c.joined = p.pid()
		if err := c.await(ctx, "the process that joined to get partitions", c.ledger.owns(third)); err != nil {
			return err
		}
	}
	c.phase("processing the rest")
	if err := w.write(ctx, part, n); err != nil {
		return err
	}
	// It is through when the group has committed everything. That is all that can
	// be awaited of the control: what it has lost it will never do, and what it
	// has begun it finishes when it is stopped.
	through := c.ledger.allCommitted
	if c.kind == Orderly {
		through = both(c.ledger.doneAtLeast(n), through)
	}
	return c.await(ctx, "all records to be done and committed", through)
}

func (c *column) await(ctx context.Context, what string, cond func() bool) error {
	return c.ledger.await(ctx, c.opt.patience, what, cond)
}

func (c *column) start(name string) (*process, error) {
	p, err := start(c.opt.command, Member{
		Kind: c.kind, Name: name, Broker: c.broker, Group: string(c.kind) + "-demo", Topic: topic,
		Concurrency: concurrency(len(c.in.Changes)), Session: c.opt.session,
	}, c.ledger)
	if err == nil {
		c.procs = append(c.procs, p)
	}
	return p, err
}

// stop ends all processes in order, or when nothing moves any more in disorder.
// good says that the run was so until now: only then a bad end is worth a word.
func (c *column) stop(ctx context.Context, good bool) error {
	c.phase("stopping the processes")
	c.ledger.touch()
	var interrupted time.Time
	overdue := func() bool {
		if ctx.Err() == nil {
			return c.ledger.idle() > c.opt.patience
		}
		if interrupted.IsZero() {
			interrupted = time.Now()
		}
		return time.Since(interrupted) > interruptPatience
	}
	var alive []*process
	for _, p := range c.procs {
		if p.pid() != c.killed {
			alive = append(alive, p)
			p.stop()
		}
	}
	if c.kind == Naive && ctx.Err() != nil {
		// What the control has begun can be much, and nobody will see it.
		for _, p := range alive {
			p.kill()
		}
		return nil
	}
	var errs []error
	for _, p := range alive {
		if err := p.finish(overdue); err != nil && good {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *column) phase(text string) { c.show(text) }

// result judges the column.
func (c *column) result() Column {
	rep := c.rec.Report()
	lg := c.ledger
	lg.mu.Lock()
	defer lg.mu.Unlock()
	diffs := lg.files.Differences(c.in.Truth)
	r := Column{
		Records: len(c.in.Changes), Keys: c.in.Keys(),
		OrderViolations: rep.Counts[history.Order], Overlaps: rep.Counts[history.Overlap],
		Lost:            rep.Counts[history.Loss],
		RepeatedEffects: lg.repeats, RepeatsAllowed: lg.allowed,
		Retries: lg.retries, Refused: lg.refused,
		CommittedTooFar: rep.Counts[history.CommitPast],
		EndStateEqual:   len(diffs) == 0, EndStateDifferences: len(diffs),
		KilledPID: c.killed, KilledRunning: c.running, JoinedPID: c.joined,
		Seconds: seconds(c.finished.Sub(c.began)),
	}
	r.OtherViolations = rep.Total() - r.OrderViolations - r.Overlaps - r.Lost - r.CommittedTooFar
	for _, v := range rep.Violations {
		if len(r.Examples) < 3 && !slices.Contains(r.Examples, v.String()) {
			r.Examples = append(r.Examples, v.String())
		}
	}
	if c.kind == Orderly {
		r.Outage = lg.outcome(c.out)
	}
	if c.stalled != nil {
		r.Stalled = c.stalled.Error()
	}
	return r
}
