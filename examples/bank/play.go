package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/orderly-go/orderly/internal/embedded"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 6
	outageFor  = 2 * time.Second
)

// play runs both consumers over the same records, strikes both alike, and compares what
// their accounts have.
func play(ctx context.Context, o options) (res *result, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	brokers := o.Brokers
	if brokers == nil {
		c, err := embedded.New(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		brokers = c.ListenAddrs()
	}
	dir, err := os.MkdirTemp("", "orderly-bank-")
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.UnknownTopicRetries(20))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	name := fmt.Sprintf("bank-%d", time.Now().UnixNano()) // the cluster may be everybody's
	if made, err := adm.CreateTopic(ctx, partitions, -1, nil, name); err != nil || made.Err != nil {
		return nil, errors.Join(err, made.Err)
	}
	defer func() { _, _ = adm.DeleteTopic(context.WithoutCancel(ctx), name) }()

	entries, model := generate(o.Seed, o.Records)
	res = &result{Format: 1, Seed: o.Seed, Records: len(entries), Accounts: len(model)}
	columns := make(map[string]*column)
	for _, kind := range []string{naiveKind, orderlyKind} {
		c := &column{adm: adm, dir: dir, m: member{Kind: kind, Brokers: brokers, Topic: name, Group: name + "-" + kind, Session: o.Session,
			Postgres: o.Postgres, Schema: fmt.Sprintf("%s-%s", name, kind), File: filepath.Join(dir, kind+".db")}}
		if o.Postgres != "" {
			drop, err := schema(ctx, o.Postgres, c.m.Schema)
			if drop != nil {
				defer drop()
			}
			if err != nil {
				return nil, err
			}
		}
		if c.books, err = c.m.open(ctx); err != nil {
			return nil, err
		}
		defer c.books.close()
		if err := c.books.found(ctx, model); err != nil {
			return nil, err
		}
		defer c.abandon()
		columns[kind] = c
	}
	s := &scene{o: o, cl: cl, topic: name, entries: entries, naive: columns[naiveKind], ours: columns[orderlyKind]}
	err = s.run(ctx)
	var stall *stallError
	if errors.As(err, &stall) {
		res.Stalled, err = stall.Error(), nil // records that never come through are a finding
	}
	if err == nil {
		err = errors.Join(res.Naive.compare(ctx, s.naive.books, model), res.Orderly.compare(ctx, s.ours.books, model))
	}
	if err != nil {
		return nil, fmt.Errorf("%w; databases and logs are in %s", err, dir)
	}
	res.Events = s.events
	res.judge()
	res.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	if res.Verdict == kept {
		return res, os.RemoveAll(dir)
	}
	res.Saved = dir
	return res, nil
}

// A scene is the records and what happens meanwhile.
type scene struct {
	o           options
	cl          *kgo.Client
	topic       string
	entries     []entry
	sent        int
	naive, ours *column
	events      []string
}

// both does something to both columns at the same time.
func (s *scene) both(do func(c *column) error) error {
	other := make(chan error, 1)
	go func() { other <- do(s.naive) }()
	return errors.Join(do(s.ours), <-other)
}

func (s *scene) say(format string, args ...any) {
	fmt.Fprintf(s.o.progress, "bank: "+format+"\n", args...)
}

// send sends the records up to one.
func (s *scene) send(ctx context.Context, to int) error {
	var recs []*kgo.Record
	for _, e := range s.entries[s.sent:to] {
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		recs = append(recs, &kgo.Record{Topic: s.topic, Key: []byte(e.Account), Value: value})
	}
	s.sent = to
	return s.cl.ProduceSync(ctx, recs...).FirstErr()
}

// booked waits until so many entries are booked.
func (s *scene) booked(ctx context.Context, n int) error {
	return s.ours.await(ctx, fmt.Sprintf("entry %d of %d to be booked", n, len(s.entries)), func() (bool, error) {
		have, err := s.ours.books.count(ctx, `SELECT count(*) FROM entry`)
		return have >= int64(n), err
	})
}

func (s *scene) run(ctx context.Context) error {
	where := "a broker in this process, SQLite"
	if s.o.Brokers != nil || s.o.Postgres != "" {
		where = "the brokers and databases that were named"
	}
	s.say("%d deposits, withdrawals and transfers on %d accounts, twice: naive, and with effects that happen once (seed %d; %s)", len(s.entries), accounts, s.o.Seed, where)
	for range 2 {
		if err := s.both((*column).add); err != nil {
			return err
		}
	}
	type strike struct {
		what string
		do   func(c *column) error
	}
	strikes := []strike{
		{"a consumer is killed (kill -9) and replaced", (*column).replace},
		{fmt.Sprintf("the database is away for %s", outageFor), func(c *column) error { return c.books.outage(ctx, outageFor) }},
		{"a third consumer joins: a rebalance", (*column).add},
	}
	if canFreeze {
		strikes = append(strikes, strike{"a consumer is frozen until others have its work, and goes on: a zombie", func(c *column) error { return c.zombie(ctx) }})
	}
	// A part of the records for each: it strikes in the middle of them.
	part := len(s.entries) / (len(strikes) + 1)
	for i, strike := range strikes {
		if err := s.both(func(c *column) error { return c.share(ctx) }); err != nil {
			return err
		}
		if err := s.send(ctx, (i+1)*part); err != nil {
			return err
		}
		if err := s.booked(ctx, i*part+part/4); err != nil {
			return err
		}
		s.say("%s", strike.what)
		s.events = append(s.events, strike.what)
		if err := s.both(strike.do); err != nil {
			return err
		}
	}
	if err := s.send(ctx, len(s.entries)); err != nil {
		return err
	}
	if err := s.booked(ctx, len(s.entries)); err != nil {
		return err
	}
	if err := s.both(func(c *column) error { return c.through(ctx) }); err != nil {
		return err
	}
	return s.both(func(c *column) error {
		c.end() // and what it has begun is through
		return nil
	})
}
