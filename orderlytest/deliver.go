package orderlytest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/offline"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Deliver hands the records to the handler as a Consumer with the default
// configuration would, without a broker: side by side across keys, one after the
// other within a key, failed ones again. Waits between attempts pass at once. It
// returns when all records are done, or nothing more happens within an hour of
// that virtual time.
func Deliver(t testing.TB, h orderly.Handler, recs ...Record) *Result {
	t.Helper()
	return Delivery{Config: orderly.ConsumerConfig{Handler: h}}.Run(t, recs...)
}

// A Delivery is [Deliver] with another configuration.
type Delivery struct {
	// Config has the handler, or Batch, and whatever of Scope, OrderBy, NullKeys,
	// Retry, OnExhausted, DeadLetter, OnWriteFailure, Sequence, Concurrency, Lanes, AttemptTimeout and Events matters.
	// The rest is about Kafka, and is not looked at.
	Config orderly.ConsumerConfig
	// Seed picks the random waits between attempts: with the same seed each
	// attempt is at the same virtual time. Which of several keys runs first at
	// one time is left to the machine, as it is in a consumer.
	Seed uint64
	// DeadLetter is called for each write of a dead letter under PolicyDeadLetter: an
	// error is that of the write. Default: each is acknowledged.
	DeadLetter func(r *kgo.Record) error
	// MaxTime bounds the virtual time: what is not done by then is left blocked.
	// Default: an hour, or twenty times Retry.MaxBackoff if that is longer.
	MaxTime time.Duration
}

// Run delivers the records, in the order of the arguments: that is the order of
// their offsets. Without Record.Partition all are in partition 0.
//
// What a handler takes is real time, AttemptTimeout included; only what passes
// between attempts is virtual.
func (d Delivery) Run(t testing.TB, recs ...Record) *Result {
	t.Helper()
	run := &delivery{clock: newClock(), halted: make(chan struct{}), parts: make(map[place]*part)}
	cfg := d.Config
	if cfg.Effects.Handler != nil || cfg.Effects.Store != nil {
		t.Fatalf("orderlytest: a Delivery has no store and delivers nothing to Effects: use a Group on a Broker, with store/sqlite or storetest.Memory")
	}
	run.j = newJournal(&cfg)
	run.w = newWitness(run.j, "delivery")
	run.w.seen = run.attempt
	if cfg.Handler != nil {
		cfg.Handler = run.w.plain(cfg.Handler)
	}
	if cfg.Batch.Handler != nil {
		cfg.Batch.Handler = run.w.batch(cfg.Batch.Handler)
	}
	failed := cfg.Events.Attempt
	cfg.Events.Attempt = func(e orderly.AttemptEvent) {
		run.failed(e)
		if failed != nil {
			failed(e)
		}
	}
	run.w.passes(&cfg.Events)
	skipped := cfg.Events.Skipped
	cfg.Events.Skipped = func(e orderly.SkippedEvent) {
		run.skip(e)
		skipped(e)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := offline.New(offline.Config{Consumer: cfg, Clock: run.clock, Jitter: d.jitter, Stop: run.stop, Letter: run.letter(d.DeadLetter)})
	if err != nil {
		t.Fatalf("orderlytest: %v", err)
	}
	if d.MaxTime == 0 {
		d.MaxTime = max(time.Hour, 20*cfg.Retry.MaxBackoff)
	}
	run.h = h
	run.enqueue(recs)
	run.drive(d.MaxTime)
	return run.result()
}

// jitter depends on the seed and the attempt alone, not on who asks first.
func (d Delivery) jitter(partition int32, offset int64, attempt int, bound time.Duration) time.Duration {
	x := d.Seed
	for _, v := range []uint64{uint64(partition), uint64(offset), uint64(attempt)} {
		// splitmix64
		x += 0x9e3779b97f4a7c15 ^ v*0xbf58476d1ce4e5b9
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return time.Duration(x%uint64(max(bound, 1))) + 1
}

// delivery is one under way.
type delivery struct {
	h     *offline.Handling
	clock *clock
	j     *journal
	w     *witness
	order []*part
	parts map[place]*part // by topic and partition

	mu       sync.Mutex
	attempts []Attempt
	letters  []*kgo.Record
	skipped  []kgo.Record
	stopped  *orderly.StopError
	halted   chan struct{}
	once     sync.Once
}

// part is one partition.
type part struct {
	topic string
	id    int32
	ring  *progress.Ring
	lane  *lane.Partition
	items []*lane.Item
}

func (d *delivery) enqueue(recs []Record) {
	const token = 1
	for _, r := range recs {
		rec := r.kafka("test")
		rec.Partition = max(rec.Partition, 0)
		at := place{topic: rec.Topic, partition: rec.Partition}
		p := d.parts[at]
		if p == nil {
			p = &part{topic: rec.Topic, id: rec.Partition, ring: progress.NewRing(0)}
			p.lane = d.h.Pool.Add(d.h.Partition(p.topic, p.id), token)
			d.parts[at] = p
			d.order = append(d.order, p)
			d.w.own(p.topic, p.id, token)
		}
		rec.Offset = p.ring.NextOffset()
		if rec.Timestamp.IsZero() {
			rec.Timestamp = d.clock.start.Add(time.Duration(rec.Offset) * time.Millisecond)
		}
		d.j.log(rec)
		slot, err := p.ring.Append(rec.Offset)
		if err != nil {
			panic(err) // offsets are ours, and rise
		}
		it := d.h.Item(rec)
		it.Slot = slot
		p.items = append(p.items, it)
	}
	for _, p := range d.order {
		p.lane.Enqueue(p.items)
	}
}

// drive lets the handlers run, and moves the clock whenever only time can bring
// the next event.
func (d *delivery) drive(limit time.Duration) {
	for {
		for wait := 10 * time.Microsecond; !d.h.Pool.Idle(); wait = min(2*wait, time.Millisecond) {
			pause(wait)
		}
		select {
		case <-d.halted:
			return
		default:
		}
		if d.h.Pool.Records() == 0 || !d.clock.step(limit) {
			return
		}
	}
}

func pause(d time.Duration) { <-time.After(d) }

// stop is the policy stop: nothing starts any more.
func (d *delivery) stop(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped == nil {
		errors.As(err, &d.stopped)
	}
	for _, p := range d.order {
		p.lane.SetHalt(1)
	}
	d.once.Do(func() { close(d.halted) })
}

// letter takes the dead letters.
func (d *delivery) letter(write func(*kgo.Record) error) func(any) error {
	return func(record any) error {
		r := record.(*kgo.Record)
		if write != nil {
			if err := write(r); err != nil {
				return err
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, l := range d.letters {
			if l.Topic == r.Topic && l.Partition == r.Partition {
				r.Offset = l.Offset + 1
			}
		}
		d.letters = append(d.letters, r)
		return nil
	}
}

func (d *delivery) skip(e orderly.SkippedEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skipped = append(d.skipped, kgo.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Key: e.Key})
}

func (d *delivery) attempt(m *orderly.Message, err error) {
	a := Attempt{Record: *m.Record, Attempt: m.Attempt, Err: err, At: d.clock.elapsed()}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts = append(d.attempts, a)
}

// failed has the error as the consumer sees it: a panic's, and that of a record
// that was refused without a call.
func (d *delivery) failed(e orderly.AttemptEvent) {
	m := e.Message
	d.mu.Lock()
	for i := len(d.attempts) - 1; i >= 0; i-- {
		a := &d.attempts[i]
		if a.Attempt == m.Attempt && a.Record.Offset == m.Offset && a.Record.Partition == m.Partition && a.Record.Topic == m.Topic {
			a.Err = e.Err
			d.mu.Unlock()
			return
		}
	}
	d.mu.Unlock()
	d.attempt(m, e.Err)
}

func (d *delivery) result() *Result {
	r := &Result{Attempts: d.attempts, Stop: d.stopped, Elapsed: d.clock.elapsed(), Skipped: d.skipped}
	for _, l := range d.letters {
		r.DeadLetters = append(r.DeadLetters, *l)
	}
	for _, p := range d.order {
		var s progress.Snapshot
		p.ring.Snapshot(&s, len(p.items))
		var ahead []int64
		for _, run := range s.Runs {
			for o := run.From; o < run.To; o++ {
				ahead = append(ahead, o)
			}
		}
		d.w.add(history.Event{Kind: history.Commit, Topic: p.topic, Partition: p.id, Offset: s.Watermark, Ahead: ahead})
		for _, b := range p.lane.Blocked(len(p.items)) {
			r.Blocked = append(r.Blocked, d.h.Blocked(b).(orderly.BlockedKey))
		}
	}
	r.Left = d.j.left()
	r.report = d.j.check(false)
	d.h.Pool.Close(orderly.ErrAborted)
	_ = d.h.Pool.Wait(context.Background())
	return r
}
