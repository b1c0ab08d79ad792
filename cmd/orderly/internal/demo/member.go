package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/orderly-go/orderly"
)

// Kind is what a consumer process is.
type Kind string

const (
	Orderly Kind = "orderly"
	Naive   Kind = "naive"
)

// MemberCommand is the hidden command under which the demo starts its consumer
// processes.
const MemberCommand = "demo-member"

// Member is the configuration of one consumer process.
type Member struct {
	Kind        Kind
	Name        string
	Broker      string
	Group       string
	Topic       string
	Concurrency int
	Session     time.Duration
}

// args are the arguments of the hidden command; ParseMember reads them back.
func (m Member) args() []string {
	return []string{MemberCommand,
		"-kind", string(m.Kind), "-name", m.Name, "-broker", m.Broker, "-group", m.Group, "-topic", m.Topic,
		"-concurrency", fmt.Sprint(m.Concurrency), "-session", m.Session.String()}
}

// ParseMember reads the arguments behind the hidden command.
func ParseMember(args []string) (Member, error) {
	var m Member
	fs := flag.NewFlagSet(MemberCommand, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar((*string)(&m.Kind), "kind", "", "")
	fs.StringVar(&m.Name, "name", "", "")
	fs.StringVar(&m.Broker, "broker", "", "")
	fs.StringVar(&m.Group, "group", "", "")
	fs.StringVar(&m.Topic, "topic", "", "")
	fs.IntVar(&m.Concurrency, "concurrency", 0, "")
	fs.DurationVar(&m.Session, "session", 0, "")
	err := fs.Parse(args)
	if err != nil || fs.NArg() > 0 || m.Kind != Orderly && m.Kind != Naive {
		return m, &LimitError{MemberCommand + " is how the demo starts its own processes; run \"orderly demo\""}
	}
	return m, nil
}

// commitEvery is how often both kinds commit.
const commitEvery = 200 * time.Millisecond

// Both kinds wait a random time below a bound that doubles before they try a
// failed record again.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 400 * time.Millisecond
)

// Run consumes until the demo says stop, or is gone. Events and answers go over
// out and in, log lines to log.
func (m Member) Run(in io.Reader, out, log io.Writer) error {
	l := newLink(in, out)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case <-l.stop:
			cancel(nil)
		case <-l.gone:
			cancel(errParentGone)
		case <-ctx.Done():
		}
	}()
	logger := slog.New(slog.NewTextHandler(log, nil)).With("process", m.Name)
	run := m.runOrderly
	if m.Kind == Naive {
		run = m.runNaive
	}
	if err := run(ctx, l, logger); err != nil {
		return err
	}
	if err := context.Cause(ctx); errors.Is(err, errParentGone) {
		return err
	}
	return nil
}

// runOrderly is what a user of the library writes, with the reports to the demo
// around it.
func (m Member) runOrderly(ctx context.Context, l *link, logger *slog.Logger) error {
	var c *orderly.Consumer
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{
		Brokers: []string{m.Broker}, Group: m.Group, Topics: []string{m.Topic},
		Handler:     func(ctx context.Context, msg *orderly.Message) error { return handle(ctx, l, msg) },
		Retry:       orderly.Retry{Backoff: firstPause, MaxBackoff: longestPause},
		Breaker:     orderly.Breaker{Probe: func(context.Context) error { return askSink(l, c) }, ProbeInterval: probeEvery},
		Concurrency: m.Concurrency, OnExhausted: orderly.PolicyBlock,
		// Short, so that the demo is: a dead process is noticed after the
		// session timeout.
		SessionTimeout: m.Session, RebalanceTimeout: 2 * m.Session, HeartbeatInterval: m.Session / 10,
		CommitInterval: commitEvery,
		StartTimeout:   10 * time.Second,
		Events:         reports(l),
		Logger:         logger,
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// handle is the handler of a record: it works for a while, and has the sink
// apply the change.
func handle(ctx context.Context, l *link, msg *orderly.Message) error {
	m := message{Kind: started, Partition: msg.Partition, Offset: msg.Offset, Key: string(msg.Key), Token: msg.FencingToken, Attempt: msg.Attempt}
	job, err := l.tell(m)
	if err != nil {
		return err
	}
	err = work(ctx, job)
	m.Kind, m.OK, m.Cancelled = ended, err == nil, err != nil && ctx.Err() != nil
	m.Down = errors.Is(err, errDown)
	if m.OK {
		m.Value = string(msg.Value)
	}
	if _, gone := l.tell(m); gone != nil {
		return gone
	}
	return err
}

var errPlanned = errors.New("this record fails twice before it succeeds: the demo wants it so")

func work(ctx context.Context, job reply) error {
	t := time.NewTimer(job.Work)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	switch {
	case job.Down:
		return errDown
	case job.Fail:
		return errPlanned
	}
	return nil
}

// reports tells the demo what becomes of partitions. That the demo has ended is
// noticed elsewhere: errors are of no use here.
func reports(l *link) orderly.Events {
	return orderly.Events{
		Breaker: breaker(l),
		Assigned: func(e orderly.AssignedEvent) {
			l.tell(message{Kind: owned, Partition: e.Partition, Token: e.FencingToken})
		},
		Revoked: func(e orderly.RevokedEvent) {
			l.tell(message{Kind: released, Partition: e.Partition, Token: e.FencingToken, OK: e.Clean && e.Committed})
		},
		Lost: func(e orderly.LostEvent) {
			l.tell(message{Kind: lost, Partition: e.Partition, Token: e.FencingToken, Running: e.Running})
		},
		Committed: func(e orderly.CommittedEvent) {
			if e.Err == nil {
				l.tell(message{Kind: committed, Partition: e.Partition, Token: e.FencingToken, Offset: e.Offset,
					Ahead: max(e.DoneAhead-e.NotRecorded, 0)})
			}
		},
	}
}
