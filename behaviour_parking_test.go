package orderly_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// calls notes which records reached a handler, and fails those of bad keys until they
// are mended.
type calls struct {
	mu     sync.Mutex
	all    []string // "key/value" in order
	bad    func(m *orderly.Message) error
	mended atomic.Bool
}

func (c *calls) handle(_ context.Context, m *orderly.Message) error {
	if c.bad != nil && !c.mended.Load() {
		if err := c.bad(m); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, string(m.Key)+"/"+string(m.Value))
	return nil
}

// of are the values of a key's records that were done, in order.
func (c *calls) of(key string) (values []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if k, v, ok := cutKey(s); ok && k == key {
			values = append(values, v)
		}
	}
	return values
}

func cutKey(s string) (k, v string, ok bool) {
	for i := range s {
		if s[i] == '/' {
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

func badKey(key string) func(*orderly.Message) error {
	return func(m *orderly.Message) error {
		if string(m.Key) == key {
			return errBusy
		}
		return nil
	}
}

func numbers(from, n int) (out []string) {
	for i := from; i < from+n; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// parkedRecords waits until the partition shows so many.
func parkedRecords(t *testing.T, b *orderlytest.Broker, m *orderlytest.Member, topic string, keys, records int) {
	t.Helper()
	b.Eventually(fmt.Sprintf("%d records of %d keys to be parked", records, keys), func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && p.Parking.Keys == keys && p.Parking.Records == records
	})
}

// The record that used up its attempts is parked, those of its key follow without a
// call of the handler, all others run, and the commit passes.
func TestRowParkPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	var parkedEvents seen[orderly.ParkedEvent]
	var attempts atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 3}, // the default
		Events: orderly.Events{Parked: parkedEvents.add, Attempt: func(orderly.AttemptEvent) { attempts.Add(1) }}, Handler: c.handle})
	b.Produce(topic, keyed(5, "bad", "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 10)
	parkedRecords(t, b, m, topic, 1, 5)
	if n := attempts.Load(); n != 3 {
		t.Errorf("%d attempts failed, want the 3 of the first record alone", n)
	}
	if got := c.of("good"); !slices.Equal(got, numbers(0, 5)) {
		t.Errorf("good: %v", got)
	}
	es := parkedEvents.get()
	if len(es) != 5 || es[0].Attempts != 3 || es[0].Reason != "exhausted" || es[1].Attempts != 0 {
		t.Errorf("%+v", es)
	}
	for i, e := range es {
		if e.Offset != int64(2*i) {
			t.Errorf("parked in place %d: offset %d", i, e.Offset)
		}
	}
	// A restart changes nothing: the same records are parked in the same order.
	stopAll(t, m)
	m = g.Start()
	b.Produce(topic, orderlytest.Msg("bad", "5"), orderlytest.Msg("good", "5"))
	committed(t, b, m, topic, 0, 12)
	parkedRecords(t, b, m, topic, 1, 6)
	if got := c.of("bad"); len(got) != 0 {
		t.Errorf("bad was handled: %v", got)
	}
	stopAll(t, m)
}

// On its schedule the key is tried again: in order, and then it lives again.
func TestParkedKeyIsReleasedOnSchedule(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 2},
		Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 50 * time.Millisecond}, Handler: c.handle})
	b.Produce(topic, keyed(10, "bad", "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 20)
	parkedRecords(t, b, m, topic, 1, 10)
	c.mended.Store(true)
	b.Eventually("the key to be released", func() bool { return len(c.of("bad")) == 10 })
	parkedRecords(t, b, m, topic, 0, 0)
	b.Produce(topic, orderlytest.Msg("bad", "10"))
	committed(t, b, m, topic, 0, 21)
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 11)) {
		t.Errorf("bad: %v", got)
	}
	stopAll(t, m)
}

// admin makes an Admin of the group.
func admin(t *testing.T, b *orderlytest.Broker, g *orderlytest.Group) *orderly.Admin {
	t.Helper()
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: b.Addrs(), Group: g.Name(), Who: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// What failed with Permanent waits for a word; the release runs in order and stops at
// the first failure; what is behind it stays parked.
func TestRetryOfAParkedKeyByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var left atomic.Int64 // values from here on are bad
	c := &calls{bad: func(m *orderly.Message) error {
		var n int64
		if fmt.Sscan(string(m.Value), &n); string(m.Key) == "bad" && n >= left.Load() {
			return orderly.Permanent(errBusy)
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: c.handle,
		Parking: orderly.Parking{First: time.Millisecond, Longest: time.Millisecond}})
	b.Produce(topic, keyed(6, "bad", "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 12)
	parkedRecords(t, b, m, topic, 1, 6)
	a := admin(t, b, g)
	keys, err := a.ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 1 || string(keys[0].Key) != "bad" || keys[0].Records != 6 || keys[0].FirstOffset != 0 || !keys[0].Permanent || keys[0].Cause != "busy" ||
		keys[0].Attempts != 1 || keys[0].Since.IsZero() || !keys[0].Next.IsZero() {
		t.Fatalf("%+v, %v", keys, err)
	}
	left.Store(4)
	word := orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 0, ID: "first"}
	ans, err := a.Retry(patient(t), word)
	if err != nil || ans.State != "done" || ans.Result != "failed again: busy" {
		t.Fatalf("%+v, %v", ans, err)
	}
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 4)) {
		t.Errorf("handled %v", got)
	}
	parkedRecords(t, b, m, topic, 1, 2)
	left.Store(100)
	// A repeat of the command does nothing more, and has the same answer.
	if again, err := a.Retry(patient(t), word); err != nil || again != ans {
		t.Errorf("the repeat: %+v, %v", again, err)
	}
	parkedRecords(t, b, m, topic, 1, 2)
	if ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 8}); err != nil || ans.State != "done" || ans.Result != "released" {
		t.Fatalf("%+v, %v", ans, err)
	}
	b.Produce(topic, orderlytest.Msg("bad", "6"))
	committed(t, b, m, topic, 0, 13)
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 7)) {
		t.Errorf("handled %v", got)
	}
	stopAll(t, m)
}

// An operator skips the record in the way: it is not handled, those behind it are.
func TestSkipOfAParkedRecordByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: func(m *orderly.Message) error {
		if string(m.Key) == "bad" && string(m.Value) == "0" {
			return orderly.Permanent(errBusy)
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: c.handle})
	b.Produce(topic, keyed(3, "bad")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 3)
	a := admin(t, b, g)
	if _, err := a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")}); err == nil {
		t.Error("skipped without a reason")
	}
	ans, err := a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 0, Reason: "broken for good"})
	if err != nil || ans.State != "done" || ans.Result != "skipped" {
		t.Fatalf("%+v, %v", ans, err)
	}
	if ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 1}); err != nil || ans.State != "done" {
		t.Fatalf("%+v, %v", ans, err)
	}
	parkedRecords(t, b, m, topic, 0, 0)
	if got := c.of("bad"); !slices.Equal(got, numbers(1, 2)) {
		t.Errorf("handled %v", got)
	}
	stopAll(t, m)
}

// Keys fail now and then, owners are killed and the group rebalances while records are
// parked and released: each record is done, in the order of its key.
func TestParkedKeysThroughKillsAndRebalances(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	var n atomic.Int64
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 1}, Breaker: orderly.Breaker{Disabled: true},
		Parking: orderly.Parking{First: 5 * time.Millisecond, Longest: 20 * time.Millisecond},
		Handler: func(context.Context, *orderly.Message) error {
			if n.Add(1)%7 == 0 {
				return errBusy
			}
			return nil
		}})
	g.Start()
	g.Start()
	for round := range 4 {
		b.Produce(topic, keyed(20, names("k", 20)...)...)
		switch round {
		case 1:
			g.KillOwner(topic, 0)
			g.Start()
		case 2:
			g.Rebalance()
		case 3:
			g.KillOwner(topic, 1)
			g.Start()
		}
	}
	g.WaitDone()
	g.RequireOrdered(t)
	g.RequireComplete(t)
}

// At a cap a key blocks in place, by name; nothing of it is lost.
func TestParkingCaps(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: func(m *orderly.Message) error {
		if string(m.Key) != "good" {
			return orderly.Permanent(errBusy)
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: c.handle,
		Parking: orderly.Parking{Caps: orderly.ParkingCaps{RecordsPerKey: 2, KeysPerPartition: 1}}})
	b.Produce(topic, keyed(1, "a")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 1)
	b.Produce(topic, orderlytest.Msg("b", "0"), orderlytest.Msg("a", "1"), orderlytest.Msg("a", "2"), orderlytest.Msg("good", "0"))
	b.Eventually("the third of a and the key b to wait, by name", func() bool {
		p, _ := stateOf(m, topic, 0)
		states := map[string]string{}
		for _, k := range p.Oldest {
			states[string(k.Key)] = k.State
		}
		return p.Parking.Records == 2 && states["a"] == "parked" && states["b"] == "parking-refused" && len(c.of("good")) == 1
	})
	if p, _ := stateOf(m, topic, 0); p.Committed > 1 {
		t.Errorf("committed %d over b", p.Committed)
	}
	c.mended.Store(true)
	if ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("a"), Offset: 0}); err != nil || ans.State != "done" {
		t.Errorf("%+v, %v", ans, err)
	}
	committed(t, b, m, topic, 0, 5)
	if got := c.of("a"); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("a: %v", got)
	}
	stopAll(t, m)
}
