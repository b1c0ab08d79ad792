package prove

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
)

// A Result is an experiment's.
type Result struct {
	Verdict  judge.Verdict
	Subject  judge.Run
	Control  judge.Run
	Faults   proxy.Facts // of the subject
	Topics   []string
	Rounds   int
	Workload Workload
	Seed     uint64 // of the last round
	Elapsed  time.Duration
	doubts   []string
	beside   []string
	untold   bool
}

// Run does one experiment. When stop is closed it ends early, and judges what there
// is; when ctx ends, it fails.
func Run(ctx context.Context, c Config, stop <-chan struct{}) (res *Result, err error) {
	if err := c.settle(); err != nil {
		return nil, err
	}
	began := time.Now()
	w, err := openWorld(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer func() {
		cerr := w.close(ctx)
		if err != nil || res == nil {
			err = errors.Join(err, cerr)
		} else if cerr != nil { // the verdict stands all the same
			res.beside = append(res.beside, cerr.Error())
			res.judge(&c)
		}
	}()
	subject, err := openSide(ctx, &c, w, &c.Subject, "subject")
	if err != nil {
		return nil, errors.Join(err, subject.discard())
	}
	control, err := openSide(ctx, &c, w, &c.Control, "control")
	if err != nil {
		return nil, errors.Join(err, subject.discard(), control.discard())
	}
	if err := both(ctx, &c, subject, control, stop); err != nil {
		return nil, errors.Join(err, subject.discard(), control.discard())
	}
	res = &Result{Topics: w.topics, Rounds: 1, doubts: subject.doubts, beside: append(subject.beside, control.doubts...)}
	res.Faults, res.untold = subject.proxy.Facts(), subject.untold
	controlFacts := control.proxy.Facts()
	var errs [2]error
	res.Subject, errs[0] = subject.end()
	res.Control, errs[1] = control.end()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	res.doubts = append(res.doubts, subject.cameThrough(&res.Faults, &res.Subject.Report)...)
	res.doubts = append(res.doubts, control.cameThrough(&controlFacts, &res.Control.Report)...)
	res.Elapsed = time.Since(began)
	res.judge(&c)
	return res, nil
}

// both runs the sides side by side; a program alone, and then its mirror.
func both(ctx context.Context, c *Config, subject, control *side, stop <-chan struct{}) error {
	defer c.watch(ctx, subject)()
	if c.Subject.Kind == Program && c.Workload == Producer {
		if err := subject.run(ctx, stop); err != nil {
			return err
		}
		control.who.Kind = mirror
		control.mirrored = subject.inOrder()
		return control.run(ctx, nil)
	}
	beside, cancel := context.WithCancel(ctx)
	defer cancel()
	var errs [2]error
	var wg sync.WaitGroup
	for i, s := range []*side{subject, control} {
		wg.Go(func() {
			err := s.run(beside, stop)
			if errors.Is(err, context.Canceled) && beside.Err() != nil && ctx.Err() == nil {
				return // the other one's error ended it, and says why
			}
			if errs[i] = err; err != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// watch tells how far the subject is; the function ends it.
func (c *Config) watch(ctx context.Context, s *side) (end func()) {
	if c.Progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.Progress(Progress{s.book.written.Load(), s.book.processed.Load(), s.book.struck.Load()})
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// judge turns what was found into the verdict.
func (r *Result) judge(c *Config) {
	r.Workload, r.Seed = c.Workload, c.Seed
	in := judge.Input{Version: c.Version, Subject: r.Subject, Control: &r.Control, MinFaults: c.MinFaults, Accept: c.Accept}
	if len(c.Brokers) == 0 {
		in.Limits = append(in.Limits, judge.EmbeddedLimit)
	}
	if c.Subject.Kind == Program {
		in.Limits = append(in.Limits, map[Workload]string{Producer: programLimit, Consumer: crewLimit}[c.Workload])
	}
	in.Limits = append(in.Limits, r.beside...)
	r.Verdict = judge.Judge(in)
	r.Verdict.Reasons = append(append([]string{}, r.doubts...), r.Verdict.Reasons...) // never null
	if r.untold {
		r.Verdict.Verdict, r.Verdict.Findings = judge.Inconclusive, []judge.Finding{}
	}
	if r.Verdict.Verdict == judge.Held && len(r.doubts) > 0 || r.Verdict.Verdict == judge.Inconclusive {
		r.Verdict.Verdict, r.Verdict.Reason = judge.Inconclusive, r.Verdict.Reasons[0]
	}
}

// programLimit is what cannot be seen of a program.
const programLimit = "What the program was told of its records is not known: one that is missing in the log may have been lost, or given up with an error."

// crewLimit is what cannot be seen of a consumer.
const crewLimit = "What the program processed is known from its own lines; that records were processed side by side is seen only if it reports their starts, too."

// cameThrough gives doubts when more stands in the log than came through the proxy.
// Records that stand there twice count once: the proxy itself may have sent them
// again.
func (s *side) cameThrough(f *proxy.Facts, r *history.Report) (doubts []string) {
	for _, o := range f.Obstacles {
		doubts = append(doubts, o.Error())
	}
	if s.cfg.Workload == Consumer {
		return doubts
	}
	var sent int64
	for _, c := range f.Clients {
		sent += c.ProducedRecords
	}
	if past := int64(r.Reads-r.Counts[history.DuplicateWrite]) - sent; past > 0 {
		doubts = append(doubts, fmt.Sprintf("%d of %d records of the %s came past the proxy, and could not be struck: the program has to connect to {brokers} (%s) and to nothing else",
			past, r.Reads, s.role, BrokersEnv))
	}
	return doubts
}
