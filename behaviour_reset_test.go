package orderly_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newAdmin(t *testing.T, b *orderlytest.Broker, g *orderlytest.Group) *orderly.Admin {
	t.Helper()
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: b.Addrs(), Group: g.Name(), Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func offsetsOf(t *testing.T, a *orderly.Admin, topic string, in store.Backend) orderly.PartitionOffsets {
	t.Helper()
	all, err := a.Offsets(t.Context(), topic, in)
	if err != nil || len(all) == 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// A plain handler's group goes back, and forward; what was done ahead counts no more.
func TestResetPlain(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	c := &calls{bad: func(m *orderly.Message) error {
		if string(m.Key) == "a" && m.Offset >= 3 {
			return errBusy
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle})
	for i, k := range []string{"a", "b", "b", "a", "b", "a"} {
		b.Produce(topic, orderlytest.Msg(k, numbers(i, 1)[0]).Partition(0))
	}
	a := newAdmin(t, b, g)
	to := func(target orderly.ResetTarget, change ...func(*orderly.OffsetReset)) ([]orderly.ResetPartition, error) {
		r := orderly.OffsetReset{Topic: topic, Partitions: []int32{0}, To: target, Reason: "to see"}
		for _, f := range change {
			f(&r)
		}
		return a.ResetOffsets(t.Context(), r)
	}
	m := g.Start()
	b.Eventually("what is done ahead to be committed", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Committed == 3 && p.DoneAhead == 1
	})
	var active *orderly.GroupActiveError
	if _, err := to(orderly.ToEarliest()); !errors.As(err, &active) || len(active.Members) != 1 {
		t.Errorf("with a member: %v", err)
	}
	stopAll(t, m)
	now := offsetsOf(t, a, topic, nil)
	if now.Committed != 3 || now.Watermark != 3 || now.DoneAhead != 1 || now.End != 6 || now.Token == 0 || now.Metadata != "ok" || now.Reset != -1 {
		t.Errorf("%+v", now)
	}
	// Nothing of this is done.
	for what, err := range map[string]error{
		"no reason":      second(to(orderly.ToEarliest(), func(r *orderly.OffsetReset) { r.Reason = "" })),
		"outside":        second(to(orderly.ToOffset(7))),
		"no partition":   second(to(orderly.ToOffset(1), func(r *orderly.OffsetReset) { r.Partitions = []int32{2} })),
		"no target":      second(to(orderly.ResetTarget{})),
		"without store":  second(to(orderly.ToStored())),
		"another parked": second(to(orderly.ToEarliest(), func(r *orderly.OffsetReset) { r.Parked = "x" })),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	steps, err := to(orderly.ToOffset(1), func(r *orderly.OffsetReset) { r.DryRun = true })
	if err != nil || len(steps) != 1 || steps[0].From != 3 || steps[0].To != 1 || steps[0].Done {
		t.Errorf("a dry run: %+v, %v", steps, err)
	}
	if again := offsetsOf(t, a, topic, nil); again.Committed != 3 || again.Token != now.Token {
		t.Errorf("it was changed: %+v", again)
	}
	if steps, err = to(orderly.ToOffset(1)); err != nil || !steps[0].Done {
		t.Fatalf("%+v, %v", steps, err)
	}
	if again := offsetsOf(t, a, topic, nil); again.Committed != 1 || again.Token <= now.Token || again.DoneAhead != 0 {
		t.Errorf("%+v", again)
	}
	c.mended.Store(true)
	m = g.Start()
	committed(t, b, m, topic, 0, 6)
	if p, _ := stateOf(m, topic, 0); p.FencingToken <= now.Token+1 {
		t.Errorf("the next owner has token %d, and %d was before the reset", p.FencingToken, now.Token)
	}
	stopAll(t, m)
	if got := c.of("b"); !slices.Equal(got, []string{"1", "2", "4", "1", "2", "4"}) {
		t.Errorf("b: %v", got)
	}
	if got := c.of("a"); !slices.Equal(got, []string{"0", "3", "5"}) {
		t.Errorf("a: %v", got)
	}
	// By time: the first record is older, so that is the end.
	if steps, err = to(orderly.ToTime(time.Now().Add(time.Hour))); err != nil || steps[0].To != 6 {
		t.Errorf("to a time to come: %+v, %v", steps, err)
	}
	if steps, err = to(orderly.ToTime(time.Now().Add(-time.Hour))); err != nil || steps[0].To != 0 {
		t.Errorf("to a time before: %+v, %v", steps, err)
	}
	if steps, err = to(orderly.ToLatest()); err != nil || steps[0].From != 0 || steps[0].To != 6 {
		t.Errorf("to the end: %+v, %v", steps, err)
	}
}

func second[A any](_ A, err error) error { return err }

// Parked records are kept or dropped by name; the reset is written down.
func TestResetParked(t *testing.T) {
	t.Parallel()
	for _, word := range []string{orderly.ParkedKeep, orderly.ParkedDrop} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			c := &calls{bad: badKey("bad")}
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyPark, Retry: orderly.Retry{MaxAttempts: 1}, Handler: c.handle})
			b.Produce(topic, orderlytest.Msg("good", "0"), orderlytest.Msg("bad", "0"), orderlytest.Msg("good", "1"), orderlytest.Msg("bad", "1"), orderlytest.Msg("good", "2"))
			m := g.Start()
			parkedRecords(t, b, m, topic, 1, 2)
			committed(t, b, m, topic, 0, 5)
			stopAll(t, m)
			a := newAdmin(t, b, g)
			now := offsetsOf(t, a, topic, nil)
			if now.ParkedKeys != 1 || now.ParkedRecords != 2 {
				t.Errorf("%+v", now)
			}
			r := orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(2), Reason: "to see"}
			if _, err := a.ResetOffsets(t.Context(), r); err == nil || !strings.Contains(err.Error(), "parked: 2 records of 1 key,") {
				t.Fatalf("it does not ask what becomes of parked records: %v", err)
			}
			r.Parked = word
			steps, err := a.ResetOffsets(t.Context(), r)
			lost := map[string]int{orderly.ParkedKeep: 0, orderly.ParkedDrop: 1}[word]
			if err != nil || !steps[0].Done || steps[0].Parked != 2 || steps[0].Lost != lost {
				t.Fatalf("%+v, %v", steps, err)
			}
			c.mended.Store(true)
			m = g.Start()
			committed(t, b, m, topic, 0, 5)
			if word == orderly.ParkedKeep {
				parkedRecords(t, b, m, topic, 1, 2)
				if ans, err := a.Retry(t.Context(), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 1}); err != nil || ans.State != "done" {
					t.Errorf("%+v, %v", ans, err)
				}
				if got := c.of("bad"); !slices.Equal(got, []string{"0", "1"}) {
					t.Errorf("the parked key: %v", got)
				}
			} else {
				parkedRecords(t, b, m, topic, 0, 0)
				if got := c.of("bad"); !slices.Equal(got, []string{"1"}) { // the one below the target is not handled any more
					t.Errorf("the dropped key: %v", got)
				}
			}
			if got := c.of("good"); !slices.Equal(got, []string{"0", "1", "2", "1", "2"}) {
				t.Errorf("the other key: %v", got)
			}
			stopAll(t, m)
		})
	}
}

// rewindFails is a store whose Rewind fails, before or after it has happened.
type rewindFails struct {
	*storetest.Memory
	before, after error
}

func (s rewindFails) Rewind(ctx context.Context, r store.Rewind) error {
	if s.before != nil {
		return s.before
	}
	if err := s.Memory.Rewind(ctx, r); err != nil {
		return err
	}
	return s.after
}

// With a store the positions move as one with the offset. A reset that is cut off
// between its steps is named at start, and the same one completes it.
func TestResetEffects(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]rewindFails{"before the store": {before: errBusy}, "behind the store": {after: errBusy}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 2)
			s.Memory = storetest.NewMemory()
			var applied atomic.Int64
			var lowest atomic.Int64
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: orderly.Effects{Store: s.Memory,
				Handler: func(_ context.Context, tx any, m *orderly.Message) error {
					tx.(*storetest.MemoryTx).Do(func() {
						applied.Add(1)
						if m.Offset < lowest.Load() {
							lowest.Store(m.Offset)
						}
					})
					return nil
				}}})
			for i := range 20 {
				b.Produce(topic, orderlytest.Msg(string(rune('a'+i%5)), "x").Partition(int32(i%2)))
			}
			a := newAdmin(t, b, g)
			run := func(n int64) {
				t.Helper()
				m := g.Start()
				b.Eventually("the effects", func() bool { return applied.Load() >= n })
				for p := range int32(2) {
					caughtUp(t, b, m, topic, p)
				}
				stopAll(t, m)
				if applied.Load() != n {
					t.Fatalf("%d effects, want %d", applied.Load(), n)
				}
			}
			run(20)
			now := offsetsOf(t, a, topic, s.Memory)
			if len(now.Store) != 1 || now.Store[0].Handler != "default" || now.Store[0].Lanes == 0 || now.Store[0].Highest != 10 || now.Store[0].Token == 0 {
				t.Errorf("%+v", now)
			}
			r := orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(6), Reason: "to see", Store: s}
			var unfinished *orderly.ResetUnfinishedError
			if _, err := a.ResetOffsets(t.Context(), r); !errors.Is(err, errBusy) || !errors.As(err, &unfinished) {
				t.Fatalf("cut off: %v", err)
			}
			if now := offsetsOf(t, a, topic, nil); now.Reset != 6 || now.Committed != 10 {
				t.Errorf("%+v", now)
			}
			err := g.Start().Wait()
			if !errors.As(err, &unfinished) || unfinished.Offset != 6 || !strings.Contains(err.Error(), "orderly offsets reset -g "+g.Name()+" -t "+topic+" --partitions ") {
				t.Fatalf("Run: %v", err)
			}
			r.Store = nil
			if _, err := a.ResetOffsets(t.Context(), r); err == nil || !strings.Contains(err.Error(), "name the store") {
				t.Errorf("completed without the store: %v", err)
			}
			r.Store = s.Memory
			if _, err := a.ResetOffsets(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			lowest.Store(99)
			run(28) // offsets 6 to 9 of both partitions, again
			if lowest.Load() != 6 {
				t.Errorf("from offset %d on", lowest.Load())
			}
			if audits := s.Audits(); len(audits) < 2 || audits[0].By != "ada" || audits[0].Why != "to see" || audits[0].Offset != 6 {
				t.Errorf("audits: %+v", audits)
			}
		})
	}
}

// A group that was moved without its store is named at start, whoever has moved it, and
// both ways out work.
func TestResetForeign(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: book.effects()})
	b.Produce(topic, keyed(10, "a")...)
	a := newAdmin(t, b, g)
	run := func() {
		t.Helper()
		m := g.Start()
		book.require(t, b, 10)
		caughtUp(t, b, m, topic, 0)
		stopAll(t, m)
	}
	run()
	refused := func(foreign bool, at int64) {
		t.Helper()
		err := g.Start().Wait()
		var st *orderly.StoreError
		var moved *orderly.MovedError
		if !errors.As(err, &st) || !errors.As(err, &moved) || moved.Foreign != foreign || moved.Offset != at || !strings.Contains(err.Error(), "--store DSN") {
			t.Fatalf("Run: %v", err)
		}
	}
	commit := func(at int64) {
		t.Helper()
		if err := b.Admin().CommitAllOffsets(t.Context(), g.Name(), kadm.Offsets{topic: {0: {Topic: topic, At: at, LeaderEpoch: -1}}}); err != nil {
			t.Fatal(err)
		}
	}
	reset := func(to orderly.ResetTarget, in store.Backend) {
		t.Helper()
		if _, err := a.ResetOffsets(t.Context(), orderly.OffsetReset{Topic: topic, To: to, Reason: "to see", Store: in}); err != nil {
			t.Fatal(err)
		}
	}
	commit(3) // as kafka-consumer-groups --reset-offsets does
	refused(true, 3)
	if now := offsetsOf(t, a, topic, book.Memory); now.Metadata != "none" || now.Committed != 3 || now.Watermark != 10 {
		t.Errorf("%+v", now)
	}
	reset(orderly.ToStored(), book.Memory)
	run()
	reset(orderly.ToOffset(4), nil)
	refused(false, 4)
	reset(orderly.ToStored(), book.Memory)
	run()
	commit(7)
	refused(true, 7)
	book.mu.Lock() // these come again, on purpose
	clear(book.times)
	clear(book.last)
	book.mu.Unlock()
	reset(orderly.ToOffset(7), book.Memory)
	m := g.Start()
	book.require(t, b, 3)
	stopAll(t, m)
}

// A reset by another tool takes away the commit that names what is parked: the start
// says so, with the command that completes it.
func TestResetForeignWithParked(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyPark, Retry: orderly.Retry{MaxAttempts: 1}, Handler: c.handle})
	b.Produce(topic, keyed(2, "good", "bad")...)
	m := g.Start()
	parkedRecords(t, b, m, topic, 1, 2)
	committed(t, b, m, topic, 0, 4)
	stopAll(t, m)
	if err := b.Admin().CommitAllOffsets(t.Context(), g.Name(), kadm.Offsets{topic: {0: {Topic: topic, At: 2, LeaderEpoch: -1}}}); err != nil {
		t.Fatal(err)
	}
	var parkingTopic *orderly.ParkingTopicError
	err := g.Start().Wait()
	if !errors.As(err, &parkingTopic) || !strings.Contains(err.Error(), "orderly offsets reset -g "+g.Name()+" -t "+topic+" --partitions 0 --to OFFSET --parked drop") {
		t.Fatalf("Run: %v", err)
	}
	a := newAdmin(t, b, g)
	r := orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(2), Reason: "to see", Parked: orderly.ParkedKeep}
	if _, err := a.ResetOffsets(t.Context(), r); err == nil || !strings.Contains(err.Error(), "only \"drop\"") {
		t.Errorf("keep: %v", err)
	}
	r.Parked = orderly.ParkedDrop
	if steps, err := a.ResetOffsets(t.Context(), r); err != nil || steps[0].Parked != 2 || steps[0].Lost != 1 {
		t.Fatalf("%+v, %v", steps, err)
	}
	c.mended.Store(true)
	m = g.Start()
	committed(t, b, m, topic, 0, 4)
	stopAll(t, m)
	if got := c.of("bad"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the dropped key: %v", got)
	}
}

// Who gave a reset, when and why is an entry of the parking topic, which the next owner
// answers.
func TestResetIsWrittenDown(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyPark, Handler: c.handle})
	b.Produce(topic, keyed(3, "a")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 3)
	stopAll(t, m)
	a := newAdmin(t, b, g)
	if _, err := a.ResetOffsets(t.Context(), orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(1), Reason: "a wrong rate"}); err != nil {
		t.Fatal(err)
	}
	m = g.Start()
	committed(t, b, m, topic, 0, 3)
	entries := func(kind parking.Kind) (out []*parking.Entry) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics("orderly-parked."+g.Name()+"."+topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		end := b.End("orderly-parked."+g.Name()+"."+topic, 0)
		for at := int64(0); at < end; {
			fetches := cl.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				at = r.Offset + 1
				rec := parking.Record{Key: r.Key, Value: r.Value}
				for _, h := range r.Headers {
					rec.Headers = append(rec.Headers, parking.Header{Key: h.Key, Value: h.Value})
				}
				e, err := parking.Decode(rec)
				if err != nil {
					t.Fatal(err)
				}
				if e.Kind == kind {
					out = append(out, e)
				}
			})
		}
		return out
	}
	b.Eventually("the answer", func() bool { return len(entries(parking.KindAnswer)) == 1 })
	commands := entries(parking.KindCommand)
	if len(commands) != 1 || commands[0].Offset != 1 || commands[0].Command.Who != "ada" || commands[0].Command.Reason != "a wrong rate" || commands[0].Command.Verb != parking.ResetOffsets || commands[0].Command.When == 0 {
		t.Errorf("%+v", commands)
	}
	stopAll(t, m)
	if got := c.of("a"); !slices.Equal(got, []string{"0", "1", "2", "1", "2"}) {
		t.Errorf("%v", got)
	}
}
