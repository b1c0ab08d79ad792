// Package redrive sends dead letters back to the topic that they came from, in the
// order of their keys.
package redrive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/deadletter"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say what to send back and how.
type Options struct {
	Cluster *connect.Cluster
	Topic   string // that the records came from, and go back to
	DLT     string
	DryRun  bool
	Rate    int // records a second; 0: no limit
	// MaxRedrives is how often one record may be sent back. A dead letter that has
	// come back so often is held.
	MaxRedrives  int
	AnyPartition bool // also to another partition than the one that it came from
	Out, Err     io.Writer
}

// Group is the consumer group under whose name it is kept what was sent back.
func Group(dlt string) string { return "orderly-redrive." + dlt }

const startTimeout = 30 * time.Second

// A Result says what was done, or, of a dry run, would be.
type Result struct {
	Sent int
	Held []Held // the oldest dead letter of each key that is held
	Wait int    // later ones of these keys, which wait for it
	// Unrecorded were sent back, and the group's progress has no room to say so: the
	// next run would send them again.
	Unrecorded int64
}

// Held is a dead letter that cannot go back; so cannot those of its key behind it.
type Held struct {
	Partition int32
	Offset    int64
	Key       []byte
	Why       string
}

// check says why a dead letter cannot go back; nil: it can. It returns the record
// that does.
func (o *Options) check(r *kgo.Record, partitions int) (*kgo.Record, error) {
	hs := make([]deadletter.Header, len(r.Headers))
	for i, h := range r.Headers {
		hs[i] = deadletter.Header{Key: h.Key, Value: h.Value}
	}
	l, ok := deadletter.Parse(hs)
	switch {
	case !ok:
		return nil, errors.New("it has no headers that say where it came from")
	case l.Topic != o.Topic:
		return nil, fmt.Errorf("it came from topic %s, not %s", l.Topic, o.Topic)
	case len(r.Key) == 0:
		return nil, errors.New("it has no key, so that nothing says where it belongs")
	case deadletter.Count(hs) >= o.MaxRedrives:
		return nil, fmt.Errorf("it was sent back %d times and failed again: see what is wrong with it, then raise --max-redrives", deadletter.Count(hs))
	}
	out := &kgo.Record{Topic: o.Topic, Key: r.Key, Value: r.Value}
	for _, h := range deadletter.Redriven(hs, o.DLT, r.Partition, r.Offset, l) {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if p := kgo.StickyKeyPartitioner(nil).ForTopic(o.Topic).Partition(out, partitions); int32(p) != l.Partition && !o.AnyPartition {
		return nil, fmt.Errorf("it came from partition %d and its key now belongs to %d: the topic grew, or its producer places keys in another way; "+
			"--any-partition sends it to %d", l.Partition, p, p)
	}
	return out, nil
}

// Run sends back what is in the dead-letter topic when it begins, or says what it
// would.
func Run(ctx context.Context, o Options) (Result, error) {
	ends, partitions, err := look(ctx, &o)
	if err != nil {
		return Result{}, err
	}
	if o.DryRun {
		return dryRun(ctx, &o, ends, partitions)
	}
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: o.Cluster.Brokers, KafkaOpts: o.Cluster.Opts,
		DeliveryTimeout: startTimeout, MaxBatchBytes: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Result{}, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
		defer cancel()
		_ = p.Close(closing) // each record was waited for
	}()
	run := &run{o: &o, p: p, partitions: partitions, held: map[string]Held{}, lost: map[int32]int64{}}
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{
		Brokers: o.Cluster.Brokers, KafkaOpts: o.Cluster.Opts, Group: Group(o.DLT), Topics: []string{o.DLT}, OnExhausted: orderly.PolicyBlock, Handler: run.send,
		Concurrency: 64, CommitInterval: 200 * time.Millisecond, StartTimeout: startTimeout,
		// A key that is held stays so for this run.
		Retry:  orderly.Retry{MaxAttempts: 1, Backoff: 24 * time.Hour, MaxBackoff: 24 * time.Hour},
		Events: orderly.Events{Committed: run.committed},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return Result{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	waited := make(chan int, 1)
	go func() {
		waited <- run.await(ctx, c, ends)
		stop()
	}()
	err = c.Run(ctx)
	stop()
	wait := <-waited
	res := run.result()
	res.Wait = wait
	return res, connect.Unreachable(err)
}

// run is one under way.
type run struct {
	o          *Options
	p          *orderly.Producer
	partitions int

	mu   sync.Mutex
	next time.Time // when the rate lets the next one go
	sent int
	held map[string]Held
	lost map[int32]int64 // by partition: sent back behind a held key, and not recorded
}

func (r *run) committed(e orderly.CommittedEvent) {
	if e.Err == nil {
		r.mu.Lock()
		r.lost[e.Partition] = e.NotRecorded
		r.mu.Unlock()
	}
}

// send is the handler of the dead letters: the next one of the key comes when this
// one was acknowledged.
func (r *run) send(ctx context.Context, m *orderly.Message) error {
	at := fmt.Sprint(m.Partition, "/", m.Offset)
	r.mu.Lock()
	held, is := r.held[at]
	r.mu.Unlock()
	if is { // its backoff is long, and random: it may come again all the same
		return orderly.Permanent(errors.New(held.Why))
	}
	rec, err := r.o.check(m.Record, r.partitions)
	if err == nil {
		if err := r.pace(ctx); err != nil {
			return err
		}
		if err = r.p.ProduceSync(ctx, rec).FirstErr(); err != nil {
			// What follows of its key waits behind it here, so that nothing passes it.
			r.p.Clear(r.o.Topic, rec.Key)
			if ctx.Err() != nil {
				return err
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.held[at] = Held{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Why: err.Error()}
		return orderly.Permanent(err)
	}
	r.sent++
	return nil
}

// pace waits for the turn that the rate gives.
func (r *run) pace(ctx context.Context) error {
	if r.o.Rate <= 0 {
		return nil
	}
	r.mu.Lock()
	now := time.Now()
	at := r.next
	if at.Before(now) {
		at = now
	}
	r.next = at.Add(time.Second / time.Duration(r.o.Rate))
	r.mu.Unlock()
	t := time.NewTimer(at.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await returns when all up to the ends was sent back, or waits in a key that is
// held; and how many records of these wait behind the first.
func (r *run) await(ctx context.Context, c *orderly.Consumer, ends map[int32]int64) int {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	e := ending{ends: ends}
	for {
		over := e.look(c.State().Partitions)
		if over || ctx.Err() != nil {
			return e.last.behind
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

func (r *run) result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := Result{Sent: r.sent}
	for _, h := range r.held {
		res.Held = append(res.Held, h)
	}
	for _, n := range r.lost {
		res.Unrecorded += n
	}
	sortHeld(res.Held)
	return res
}
