//go:build unix

package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errBad   = errors.New("this record fails until the handler is mended")
	errStall = errors.New("this record has to wait for an hour")
)

// badness is how records of a key fail until the handlers are mended: of twenty keys two
// for ever, two in a way that waits for an operator, and one waits for its next attempt
// for longer than a scene lasts.
func badness(key string) error {
	switch kindOf(key) {
	case permanent:
		return orderly.Permanent(errBad)
	case exhausted:
		return errBad
	case stalled:
		return orderly.RetryAfter(errStall, time.Hour)
	}
	return nil
}

type kind int

const (
	healthy   kind = iota
	permanent      // parked until an operator releases it
	exhausted      // parked, and tried again on a schedule
	stalled        // blocked
)

func kindOf(key string) kind {
	var load, writer, n int
	if _, err := fmt.Sscanf(key, "w%d-%d-%d", &load, &writer, &n); err != nil {
		return healthy
	}
	switch n {
	case 3, 13:
		return permanent
	case 7, 17:
		return exhausted
	case 5:
		return stalled
	}
	return healthy
}

// park has the member park what fails, release it often, and trim often.
func (m *member) park(cfg *orderly.ConsumerConfig) {
	parked.TrimAbove = 50
	cfg.OnExhausted = orderly.PolicyPark
	cfg.Parking = orderly.Parking{First: 300 * time.Millisecond, Longest: time.Second}
	cfg.Retry.MaxAttempts = 3
	cfg.Breaker.Disabled = true // else it would open by what is bad here
	cfg.Events.Parked = func(e orderly.ParkedEvent) {
		m.event(history.Event{Kind: history.Park, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Token: e.FencingToken})
	}
	cfg.Events.Skipped = func(e orderly.SkippedEvent) {
		m.event(history.Event{Kind: history.Done, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Token: e.FencingToken, Why: skippedWhy + e.Err.Error()})
	}
}

const skippedWhy = "skipped: "

// parks gives the scene a parking topic, which its members use then.
func (s *scene) parks(leaders ...int32) {
	s.t.Helper()
	name, err := parking.TopicName(parking.DefaultPrefix, s.group, s.topic)
	if err != nil {
		s.t.Fatal(err)
	}
	s.createTopic(name, map[string]string{"retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1200000"}, leaders...)
	s.parking = name
	s.whole()
	s.watch = s.watchParking()
}

// mend has bad records succeed from now on.
func (s *scene) mend() {
	s.fixed = true
	for _, p := range s.members {
		if p.alive() {
			p.send(reply{Fixed: true})
		}
	}
}

// A resolution says that parked records of a key, from one offset to another, are
// durably done; at is how many events stand before it.
type resolution struct {
	at        int
	partition int32
	key       []byte
	from, to  int64
}

func (c *chronicle) resolve(r resolution) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.at = len(c.events)
	c.resolved = append(c.resolved, r)
}

// withResolved are the events, with those of the records that were resolved.
func (c *chronicle) withResolved(log map[int32][]*kgo.Record, topic string) (out []history.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.resolved
	for i := 0; i <= len(c.events); i++ {
		for ; len(left) > 0 && left[0].at <= i; left = left[1:] {
			for _, r := range log[left[0].partition] {
				if r.Offset >= left[0].from && r.Offset <= left[0].to && bytes.Equal(r.Key, left[0].key) {
					out = append(out, history.Event{Kind: history.Done, Member: "the parking topic", Topic: topic, Partition: r.Partition, Offset: r.Offset, Why: "resolved"})
				}
			}
		}
		if i < len(c.events) {
			out = append(out, c.events[i])
		}
	}
	return out
}

// A watch reads the parking topic all the time, as one who knows only that entries
// behind a marker of a higher token are void.
type watch struct {
	s    *scene
	cl   *kgo.Client
	stop context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	parked map[record]parking.Record
	void   int // entries of owners that were replaced
	trims  int // times that the topic's beginning has moved past what was read
}

func (s *scene) watchParking() *watch {
	s.t.Helper()
	cl, err := kgo.NewClient(append(append(impatient(), parkinglog.Options()...), kgo.SeedBrokers(shared.c.Addrs()...))...)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{s: s, cl: cl, stop: cancel, parked: make(map[record]parking.Record)}
	found, err := parkinglog.Find(ctx, cl, s.parking)
	if err != nil {
		s.t.Fatal(err)
	}
	l := parkinglog.New(cl, s.parking, found.ID)
	for p := range int32(partitions) {
		w.all.Go(func() { w.read(ctx, l, p) })
	}
	return w
}

func (w *watch) end() {
	w.stop()
	w.all.Wait()
	w.cl.Close()
}

func (w *watch) read(ctx context.Context, l *parkinglog.Log, p int32) {
	top, from := int64(0), int64(0)
	for ctx.Err() == nil {
		page, err := l.Fetch(ctx, p, from, 1<<20, 200)
		for _, r := range page.Entries {
			top = w.entry(p, top, r.Entry)
		}
		switch {
		case err == nil:
			from = page.Next
		case errors.Is(err, kerr.OffsetOutOfRange):
			bounds, err := parkinglog.Bounds(ctx, w.cl, w.s.parking)
			if b := bounds[p]; err == nil && b.Err == nil && b.Start > from {
				from = b.Start
				w.mu.Lock()
				w.trims++
				w.mu.Unlock()
			}
		}
	}
}

// entry takes an entry, and returns the highest token of a marker so far.
func (w *watch) entry(p int32, top int64, e *parking.Entry) int64 {
	if e.Kind == parking.KindMarker {
		return max(top, e.Token)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind != parking.KindCommand && e.Token < top {
		w.void++
		return top
	}
	switch {
	case e.Parked != nil:
		w.parked[record{p, e.Offset}] = e.Parked.Record
	case e.Run != nil:
		for _, f := range e.Run.Records {
			w.parked[record{p, f.Offset}] = f.Record
		}
	case e.Resolved != nil:
		w.s.h.resolve(resolution{partition: p, key: e.Key, from: e.Offset, to: e.Resolved.Last})
	}
	return top
}

// judgeParked: what was parked is what the log holds, byte for byte; and in the end
// nothing is.
func (s *scene) judgeParked(log map[int32][]*kgo.Record) {
	if s.watch == nil {
		return
	}
	s.t.Helper()
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	at := make(map[record]*kgo.Record)
	for p, rs := range log {
		for _, r := range rs {
			at[record{p, r.Offset}] = r
		}
	}
	for where, got := range s.watch.parked {
		if want := at[where]; want == nil || !bytes.Equal(want.Key, got.Key) || !bytes.Equal(want.Value, got.Value) || len(want.Headers) != len(got.Headers) {
			s.t.Errorf("parked at offset %d of partition %d: key %q, value %q; the log has %+v", where.offset, where.partition, got.Key, got.Value, want)
		}
	}
	if len(s.watch.parked) == 0 {
		s.t.Error("nothing was parked")
	}
	if keys, err := s.parkedKeys(); err != nil || len(keys) > 0 {
		s.t.Errorf("in the end there is parked, or not known (%v): %+v", err, keys)
	}
	s.t.Logf("%d records were parked, %d entries void, %d times trimmed", len(s.watch.parked), s.watch.void, s.watch.trims)
}
