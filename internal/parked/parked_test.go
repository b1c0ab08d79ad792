package parked

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	source  = "orders"
	beside  = "orderly-parked.billing.orders"
	patient = time.Minute
)

// bench is a Manager with an in-process broker.
type bench struct {
	t    *testing.T
	c    *kfake.Cluster
	m    *Manager
	news chan string // what the host and the waiters were told

	mu   sync.Mutex
	runs []Record
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, source))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := &bench{t: t, c: c, news: make(chan string, 1000)}
	cfg := Config{Group: "billing", Prefix: parking.DefaultPrefix, Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Rules: parking.DefaultRules(),
		Self: parking.MarkerBody{Owner: "test", Scope: "key", Policy: "park"}, Create: true, Needed: true, Refresh: time.Hour,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Warning: func(code, _ string) { b.news <- "warning " + code },
		Start: func(_ *lane.Partition, r Record) bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.runs = append(b.runs, r)
			b.news <- fmt.Sprintf("run %d", r.Offset)
			return true
		}}
	if change != nil {
		change(&cfg)
	}
	if b.m, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.m.End)
	return b
}

func (b *bench) prepare() {
	b.t.Helper()
	if err := b.m.Prepare(b.t.Context(), source); err != nil {
		b.t.Fatal(err)
	}
}

// want waits for the next news.
func (b *bench) want(want string) {
	b.t.Helper()
	select {
	case got := <-b.news:
		if got != want {
			b.t.Fatalf("was told %q, want %q", got, want)
		}
	case <-time.After(patient):
		b.t.Fatalf("was told nothing for %s, want %q", patient, want)
	}
}

// host and waiter tell what they are told.
type host struct{ b *bench }

func (h host) Open(token int64)         { h.b.news <- fmt.Sprintf("open %d", token) }
func (h host) Shut()                    { h.b.news <- "shut" }
func (h host) Doubt(token, above int64) { h.b.news <- fmt.Sprintf("doubt %d above %d", token, above) }
func (h host) Commit()                  { h.b.news <- "commit" }

type waiter struct {
	b  *bench
	of string
}

func (w waiter) Settled(int)                  { w.b.news <- "settled " + w.of }
func (w waiter) Live()                        { w.b.news <- "live " + w.of }
func (w waiter) Blocked(string, bool)         { w.b.news <- "blocked " + w.of }
func (w waiter) Failing(error, time.Duration) { w.b.news <- "failing " + w.of }

func (b *bench) look(committed bool, extra []progress.Field) group.ParkingSight {
	return b.m.Look(b.t.Context(), []group.ParkingAsk{{Topic: source, Partition: 0, Committed: committed, Extra: extra}})[0]
}

// own begins an ownership of a topic that no commit names yet, and takes it into use.
func (b *bench) own(token int64) *Partition {
	b.t.Helper()
	s := b.look(true, nil)
	if s.Err != nil {
		b.t.Fatal(s.Err)
	}
	p := b.m.Begin(source, 0, host{b}).(*Partition)
	if p.Granted(nil, token, 0, true, nil, s.What) {
		b.t.Fatal("open before anything was read")
	}
	b.want("commit")
	p.Committed(token, 0, p.Extra(nil))
	b.want(fmt.Sprintf("open %d", token))
	return p
}

func item(key string, offset int64) parking.Item {
	return parking.Item{Key: []byte(key), Offset: offset, Failed: true, Body: &parking.ParkedBody{Record: parking.Record{Key: []byte(key), Value: fmt.Append(nil, offset)},
		Topic: source, Failure: parking.Failure{Cause: "no", Permanent: true, Attempts: 1}}}
}

func TestOwnership(t *testing.T) {
	b := newBench(t, nil)
	b.prepare()
	p := b.own(5)
	concerns := func(key string, offset int64) bool {
		_, ok := p.Concerns([]byte(key), offset, false)
		return ok
	}
	if concerns("a", 1) || !p.Calm() {
		t.Error("a record is to wait, and nothing is parked")
	}
	if !p.Arrive(item("a", 1), waiter{b, "a1"}) {
		t.Fatal("there is no topic")
	}
	b.want("settled a1")
	if !concerns("a", 2) || p.Calm() || concerns("b", 2) {
		t.Error("records of the key wait, and no others")
	}
	if s := p.State(); s.Keys != 1 || s.Records != 1 || s.Topic != beside || s.Reason != "" {
		t.Errorf("%+v", s)
	}
	p.Drained(time.Now().Add(patient)) // nothing is on its way: at once
	extra := p.Extra(nil)
	p.End()

	// The next owner knows what was parked before it may start.
	s := b.look(true, extra)
	q := b.m.Begin(source, 0, host{b}).(*Partition)
	if q.Granted(nil, 6, 2, true, extra, s.What) {
		t.Fatal("open before anything was read")
	}
	b.want("open 6")
	if !q.Knows([]byte("a"), 1) || q.Knows([]byte("a"), 2) {
		t.Error("it knows another record than the one that was parked")
	}
	// A marker of a higher token: another owner is there.
	other := parking.Entry{Kind: parking.KindMarker, Token: 9, Seq: 1, Marker: &parking.MarkerBody{Owner: "other"}}
	q.log.Write(t.Context(), 0, &other, func(int64, parking.WriteError, error) {})
	b.want("shut")
	b.want("doubt 6 above 9")
	if r := q.Reason(); r != StateAwaiting {
		t.Errorf("it waits as %q", r)
	}
	q.End()
}

// A write that is refused is told to who waits for it. The partition stays open until
// the topic takes writes again; then a new token is asked for.
func TestRefusedWrite(t *testing.T) {
	b := newBench(t, nil)
	b.prepare()
	p := b.own(5)
	f := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: beside, Err: kerr.TopicAuthorizationFailed, Count: -1})
	p.Arrive(item("a", 1), waiter{b, "a1"})
	b.want("failing a1")
	if s := p.State(); s.Reason != "" || !strings.Contains(s.Cause, "TOPIC_AUTHORIZATION_FAILED") {
		t.Errorf("%+v", s)
	}
	f.Remove()
	b.want("shut")
	b.want("doubt 5 above 5")
	extra := p.Extra(nil)
	if p.Granted(nil, 6, 0, true, extra, b.look(true, extra).What) {
		t.Fatal("open before the marker was read")
	}
	b.want("open 6")
	b.want("settled a1")
	if s := p.State(); s.Cause != "" {
		t.Errorf("the cause is still named: %+v", s)
	}
	p.End()
}

// A release reads the records of its key from the topic, one page for many.
func TestReleaseReadsPages(t *testing.T) {
	b := newBench(t, nil)
	b.prepare()
	p := b.own(5)
	const n = 100
	for o := range int64(n) {
		p.Arrive(item("a", o), waiter{b, "a"})
		b.want("settled a")
	}
	fetches := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: beside, Count: -1, Observe: true})
	before := fetches.Hits()
	p.mu.Lock()
	o, first := p.owner, p.next-n
	p.mu.Unlock()
	for i := range int64(n) {
		e, err := p.fetch(o, p.log, first+i)
		if err != nil || e.Offset != i {
			t.Fatalf("record %d: %+v, %v", i, e, err)
		}
	}
	if got := fetches.Hits() - before; got > 5 {
		t.Errorf("%d records were read with %d fetches", n, got)
	}
	p.End()
}

func TestLookNamesWhatIsWrong(t *testing.T) {
	guard := func(id [16]byte, trim int64, holds bool) []progress.Field {
		return []progress.Field{parking.Guard{TopicID: id, Trim: trim, Holds: holds}.Field()}
	}
	sightOf := func(s group.ParkingSight) *sight { return s.What.(*sight) }

	t.Run("no topic, and records parked in one", func(t *testing.T) {
		b := newBench(t, nil)
		s := sightOf(b.look(true, guard([16]byte{1}, 0, true)))
		var m *MismatchError
		if s.state != StateMismatch || !errors.As(s.err, &m) || m.ParkingTopic != beside {
			t.Errorf("%+v", s)
		}
	})
	t.Run("no topic, and nothing parked", func(t *testing.T) {
		b := newBench(t, nil)
		if s := sightOf(b.look(true, nil)); s.err != nil || s.log != nil {
			t.Errorf("%+v", s)
		}
	})
	t.Run("too few partitions", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Create = false })
		if err := b.c.CreateTopic(beside, 1, nil); err != nil {
			t.Fatal(err)
		}
		out := b.m.Look(t.Context(), []group.ParkingAsk{{Topic: source, Partition: 1}})[0]
		if s := sightOf(out); s.state != StateNarrow || s.err == nil || out.Err != nil {
			t.Errorf("%+v %v", s, out.Err)
		}
	})
	t.Run("unreadable", func(t *testing.T) {
		b := newBench(t, nil)
		b.prepare()
		b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: beside, Err: kerr.KafkaStorageError, Count: -1})
		if s := sightOf(b.look(true, nil)); s.state != StateUnreadable || s.err == nil {
			t.Errorf("%+v", s)
		}
		// Without a commit it must not even be granted: that would be one that names nothing.
		if out := b.look(false, nil); out.Err == nil || out.Fatal {
			t.Errorf("%+v", out)
		}
	})
	t.Run("no commit, and entries", func(t *testing.T) {
		b := newBench(t, nil)
		b.prepare()
		p := b.own(5)
		p.Arrive(item("a", 1), waiter{b, "a1"})
		b.want("settled a1")
		p.End()
		if out := b.look(false, nil); out.Err == nil || !out.Fatal {
			t.Errorf("%+v", out)
		}
	})
	t.Run("a shortened topic", func(t *testing.T) {
		b := newBench(t, nil)
		b.prepare()
		p := b.own(5)
		p.Arrive(item("a", 1), waiter{b, "a1"})
		b.want("settled a1")
		extra := p.Extra(nil)
		if err := p.log.Delete(t.Context(), 0, p.next); err != nil {
			t.Fatal(err)
		}
		p.End()
		if s := sightOf(b.look(true, extra)); s.state != StateMismatch {
			t.Errorf("%+v", s)
		}
	})
}

// What a warning says once, it says once.
func TestOnce(t *testing.T) {
	b := newBench(t, nil)
	for range 3 {
		b.m.once("code", "text %d", 1)
	}
	b.m.once("code", "text %d", 2)
	b.want("warning code")
	b.want("warning code")
	if len(b.news) > 0 {
		t.Errorf("and then %q", <-b.news)
	}
}

func TestPrepareNeedsNoCreate(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Create = false })
	err := b.m.Prepare(t.Context(), source)
	if err == nil || !strings.Contains(err.Error(), "Parking.NoCreate") {
		t.Errorf("%v", err)
	}
}

// Only an owner before that has ended uncleanly has releases wait: how this one's own
// commits end it says nothing.
func TestReleasesWaitAfterAnUncleanEnd(t *testing.T) {
	for _, clean := range []bool{false, true} {
		b := newBench(t, nil)
		s := b.look(true, nil)
		if s.Err != nil {
			t.Fatal(s.Err)
		}
		p := b.m.Begin(source, 0, host{b}).(*Partition)
		p.Granted(nil, 5, 0, clean, nil, s.What)
		first := p.notBefore
		p.Granted(nil, 6, 0, false, nil, s.What)
		if (first == 0) != clean || p.notBefore != first {
			t.Errorf("clean %v: %d, under the next token %d", clean, first, p.notBefore)
		}
		p.End()
	}
}
