package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/orderly-go/orderly"
)

// memberEnv holds a member as JSON: then this process is that consumer.
const memberEnv = "ORDERLY_BANK_MEMBER"

// A member is the configuration of one consumer process.
type member struct {
	Kind     string // naiveKind or orderlyKind
	Brokers  []string
	Topic    string
	Group    string
	Postgres string // empty: File
	Schema   string
	File     string
	Session  time.Duration
}

const (
	naiveKind   = "naive"
	orderlyKind = "orderly"
)

func isMember() bool { return os.Getenv(memberEnv) != "" }

// runMember consumes until standard input ends: the bank wants it so, or is gone.
func runMember() int {
	var m member
	if err := json.Unmarshal([]byte(os.Getenv(memberEnv)), &m); err != nil {
		fmt.Fprintln(os.Stderr, memberEnv, "is for the bank's own processes:", err)
		return exitUsage
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	b, err := m.open(ctx)
	if err == nil {
		defer b.close()
		consume := m.consume
		if m.Kind == naiveKind {
			consume = m.consumeNaively
		}
		err = consume(ctx, b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

func (m member) open(ctx context.Context) (*books, error) {
	if m.Postgres != "" {
		return openPostgres(ctx, m.Postgres, m.Schema)
	}
	return openSQLite(ctx, m.File)
}

// consume is what a user of orderly writes.
func (m member) consume(ctx context.Context, b *books) error {
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{
		Brokers: m.Brokers, Group: m.Group, Topics: []string{m.Topic},
		Effects: b.effects(func(ctx context.Context, exec execer, msg *orderly.Message) error {
			var e entry
			if err := json.Unmarshal(msg.Value, &e); err != nil {
				return orderly.Permanent(err)
			}
			think()
			return book(ctx, exec, e, msg.FencingToken)
		}),
		// Short, so that the demonstration is.
		SessionTimeout: m.Session, RebalanceTimeout: 2 * m.Session, HeartbeatInterval: m.Session / 10, CommitInterval: 100 * time.Millisecond,
		Breaker: orderly.Breaker{ProbeInterval: 100 * time.Millisecond, MaxInterval: 200 * time.Millisecond},
		Retry:   orderly.Retry{Backoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond},
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// think is what a handler does beside its statements.
func think() { time.Sleep(rand.N(2 * time.Millisecond)) }

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
