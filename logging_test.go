package orderly

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/internal/selfcheck"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestLogLimit(t *testing.T) {
	var l logLimit
	now := time.Unix(1_000_000, 0)
	passed := 0
	for range 1000 {
		if ok, _ := l.allow("trouble", now); ok {
			passed++
		}
	}
	if passed != logLines {
		t.Errorf("%d lines of one text passed, want %d", passed, logLines)
	}
	if ok, n := l.allow("other trouble", now); !ok || n != 0 {
		t.Error("another text was held back")
	}
	if ok, _ := l.allow("trouble", now.Add(logEvery-1)); ok {
		t.Error("passed before the window's end")
	}
	if ok, n := l.allow("trouble", now.Add(logEvery)); !ok || n != 1000-logLines+1 {
		t.Errorf("after the window: %v, %d suppressed, want %d", ok, n, 1000-logLines+1)
	}
	if ok, n := l.allow("trouble", now.Add(logEvery)); !ok || n != 0 {
		t.Errorf("%v, %d: told twice", ok, n)
	}
	for i := range 10 * logTexts {
		l.allow(strings.Repeat("x", i), now)
	}
	if n := len(l.texts); n > logTexts {
		t.Errorf("%d texts are remembered", n)
	}
}

func TestLogKeys(t *testing.T) {
	m := &Message{Record: &kgo.Record{Topic: "orders", Partition: 3, Offset: 88, Key: []byte("c-17")}, Attempt: 1, FencingToken: 9}
	for _, c := range []struct {
		show KeyDisplay
		key  []byte
		want string
		not  string
	}{
		{KeysHash, []byte("c-17"), "key_hash=" + HashKey([]byte("c-17")), "c-17"},
		{KeysPlain, []byte("c-17"), "key=c-17", "hash"},
		{KeysPlain, []byte{0xff, 0}, "key_hex=ff00", "hash"},
		{KeysNone, []byte("c-17"), "offset=88", "key"},
	} {
		var out bytes.Buffer
		cfg := ConsumerConfig{Group: "billing", LogKeys: c.show, Logger: slog.New(slog.NewTextHandler(&out, nil))}
		r := newReporter(&cfg)
		member := "member-1"
		r.member.Store(&member)
		m.Key = c.key
		r.attempt(m, errors.New("no"), ClassRetry, false, true)
		line := out.String()
		// "its key waits" is said of any.
		if rest := strings.Replace(line, "its key waits", "", 1); !strings.Contains(rest, c.want) || strings.Contains(rest, c.not) {
			t.Errorf("%v: %s", c.show, line)
		}
		for _, want := range []string{"topic=orders", "partition=3", "offset=88", "attempt=1", "token=9", "group=billing", "member=member-1", "error=no"} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
	}
}

type badError struct{}

func (badError) Error() string { panic("no text") }

func TestBrief(t *testing.T) {
	if got := brief(errors.New("short")); got != "short" {
		t.Error(got)
	}
	if got := brief(errors.New(strings.Repeat("é", 1000))); len(got) > 203 || !strings.HasSuffix(got, "é...") {
		t.Errorf("%d bytes, %q at the end", len(got), got[len(got)-6:])
	}
	if got := brief(badError{}); !strings.Contains(got, "panics") {
		t.Error(got)
	}
}

// The check sees what a pool would never do.
func TestSelfCheckSeesViolations(t *testing.T) {
	var seen []OrderViolationEvent
	var out bytes.Buffer
	cfg := ConsumerConfig{Logger: slog.New(slog.NewTextHandler(&out, nil)),
		Events: Events{OrderViolation: func(e OrderViolationEvent) { seen = append(seen, e) }}}
	k := &orderCheck{rep: newReporter(&cfg)}
	item := func(hash uint64, offset int64) *lane.Item {
		m := &Message{Record: &kgo.Record{Topic: "orders", Offset: offset, Key: []byte("k")}}
		m.item = lane.Item{Payload: m, Hash: hash, Offset: offset}
		return &m.item
	}
	all := func(r *lane.Run) (int, error) { return len(r.Items), nil }
	run := func(laneNo int, apply lane.Apply, items ...*lane.Item) {
		_, _ = k.around(apply)(&lane.Run{Token: 1, Lane: laneNo, Items: items})
	}
	const key, other = 64, 128
	run(-1, all, item(key, 1), item(key, 2))
	run(0, all, item(key, 3), item(other, 4), item(key, 5), item(other, 6))
	run(0, all, item(other, 7))
	if len(seen) > 0 {
		t.Fatalf("in order: %+v", seen)
	}
	run(-1, all, item(key, 4))
	run(0, all, item(other, 6))
	run(0, func(r *lane.Run) (int, error) {
		run(-1, all, item(other, 9))
		return len(r.Items), nil
	}, item(other, 8))
	kinds := ""
	for _, e := range seen {
		kinds += e.Kind + " "
	}
	if kinds != "overtaken overtaken overlap " || k.seen.Load() != 3 {
		t.Errorf("%s(%d): %+v", kinds, k.seen.Load(), seen)
	}
	if !strings.Contains(out.String(), "ORDER VIOLATED") {
		t.Error("no log line")
	}
}

func BenchmarkSelfCheck(b *testing.B) {
	for _, c := range []struct {
		name  string
		order func(lane.Apply) lane.Apply
	}{
		{"off", func(a lane.Apply) lane.Apply { return a }},
		{"on", func(a lane.Apply) lane.Apply { return new(orderCheck).around(a) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			apply := c.order(func(r *lane.Run) (int, error) { return len(r.Items), nil })
			items := make([]*lane.Item, 1024)
			for i := range items {
				m := &Message{Record: &kgo.Record{Topic: "orders", Offset: int64(i)}}
				m.item = lane.Item{Payload: m, Hash: lane.Hash([]byte{byte(i), byte(i >> 8)}), Offset: int64(i)}
				items[i] = &m.item
			}
			r := &lane.Run{Lane: -1}
			for i := range b.N {
				r.Token, r.Items = int64(i>>10), items[i&1023:i&1023+1]
				_, _ = apply(r)
			}
		})
	}
}

// Trouble that many records share is told some times.
func TestRepeatedLinesAreLimited(t *testing.T) {
	var out bytes.Buffer
	cfg := ConsumerConfig{Logger: slog.New(slog.NewTextHandler(&out, nil))}
	r := newReporter(&cfg)
	for o := range int64(1000) {
		r.attempt(&Message{Record: &kgo.Record{Offset: o}, Attempt: 1}, errors.New("no"), ClassRetry, false, true)
	}
	if n := strings.Count(out.String(), "\n"); n != logLines {
		t.Errorf("%d lines, want %d", n, logLines)
	}
}

// What runs the handlers is what is watched.
func TestSelfCheckIsOn(t *testing.T) {
	seen := make(chan OrderViolationEvent, 1)
	cfg := ConsumerConfig{Handler: func(context.Context, *Message) error { return nil }, Logger: slog.New(slog.DiscardHandler),
		Events: Events{OrderViolation: func(e OrderViolationEvent) { seen <- e }}}.withDefaults()
	h := newHandling(&cfg, func(*StopError) {})
	pool := h.pool(lane.SystemClock{})
	defer pool.Close(ErrAborted)
	p := pool.Add(h.partition("orders", 0), 1)
	rec := &kgo.Record{Topic: "orders", Offset: 7}
	for i := 0; !selfcheck.Watches(lane.Hash(rec.Key)); i++ {
		rec.Key = strconv.AppendInt(nil, int64(i), 10)
	}
	items := h.items([]*kgo.Record{rec}, nil)
	ring := progress.NewRing(7)
	var err error
	if items[0].Slot, err = ring.Append(7); err != nil {
		t.Fatal(err)
	}
	// As if another handler had the key.
	h.order.check.Begin(selfcheck.Sequence{Topic: "orders", Hash: items[0].Hash}, "another", 1, 6)
	p.Enqueue(items)
	select {
	case e := <-seen:
		if e.Offset != 7 || e.Other != 6 || e.Kind != selfcheck.Overlap {
			t.Errorf("%+v", e)
		}
	case <-time.After(time.Minute):
		t.Error("not seen")
	}
}

// A handler that ends its goroutine leaves its key: the check makes no violation up,
// and what the run had done counts.
func TestSelfCheckOfAHandlerThatEndsItsGoroutine(t *testing.T) {
	cfg := ConsumerConfig{Logger: slog.New(slog.DiscardHandler), Events: Events{Settled: func(SettledEvent) {}},
		Handler: func(_ context.Context, m *Message) error {
			if m.Offset == 6 {
				runtime.Goexit()
			}
			return nil
		}}.withDefaults()
	h := newHandling(&cfg, func(*StopError) {})
	pool := h.pool(lane.SystemClock{})
	defer pool.Close(ErrAborted)
	rec := &kgo.Record{Topic: "orders", Offset: 5}
	for i := 0; !selfcheck.Watches(lane.Hash(rec.Key)); i++ {
		rec.Key = strconv.AppendInt(nil, int64(i), 10)
	}
	second := *rec
	second.Offset = 6
	items := h.items([]*kgo.Record{rec, &second}, nil)
	ring := progress.NewRing(5)
	for _, it := range items {
		it.Slot, _ = ring.Append(it.Offset)
	}
	run := &lane.Run{Part: pool.Add(h.partition("orders", 0), 1), Ctx: t.Context(), Token: 1, Lane: -1, Items: items, Tally: new(lane.Tally)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = h.order.around(h.plain)(run)
	}()
	<-ended
	if settled := run.Tally.Done; settled != 1 {
		t.Errorf("%d records settled, want the one before", settled)
	}
	seq := selfcheck.Sequence{Topic: "orders", Hash: items[0].Hash}
	if v := h.order.check.Begin(seq, "the next attempt", 1, 6); v != nil {
		t.Errorf("made up: %+v", v)
	}
	if v := h.order.check.Begin(seq, "the next attempt", 1, 5); v == nil || v.Kind != selfcheck.Overtaken {
		t.Errorf("offset 5 was done: %+v", v)
	}
}
