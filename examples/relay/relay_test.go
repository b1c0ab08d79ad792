package relay

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// read is what a reader has handled: the values of each key, in order.
type read struct {
	mu       sync.Mutex
	byKey    map[string][]string
	repeats  int
	findings []string // others
}

func (r *read) handle(_ context.Context, m *orderly.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byKey[string(m.Key)] = append(r.byKey[string(m.Key)], string(m.Value))
	return nil
}

func (r *read) finding(e orderly.SequenceEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Finding == orderly.SequenceDuplicate {
		r.repeats++
	} else {
		r.findings = append(r.findings, fmt.Sprint(e.Offset, " ", e.Finding))
	}
}

// The relay is killed again and again before it commits, so that much is written twice
// and more often; a reader with the guard sees each output once and in order, and one
// without it does not.
func TestReaderWithTheGuardDropsRepeats(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	b.CreateTopic("priced", 2)
	sources, err := Sources(t.Context(), b.Client(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	const keys, each, kills = 7, 60, 4
	var recs []orderlytest.Record
	for i := range each {
		for k := range keys {
			recs = append(recs, orderlytest.Msg(fmt.Sprint("k", k), fmt.Sprint(i)))
		}
	}
	b.Produce("orders", recs...)

	var written sync.Map // by the source's place: done at least once
	place := func(m *orderly.Message) string { return fmt.Sprint(m.Partition, "/", m.Offset) }
	count := func() (n int) {
		written.Range(func(any, any) bool { n++; return true })
		return n
	}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, SessionTimeout: time.Second, CommitInterval: time.Hour, OnExhausted: orderly.PolicyBlock,
		Handler: func(context.Context, *orderly.Message) error { return nil }})
	start := func(limit int) *orderlytest.Member { // it stands still when so many are written
		p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: b.Addrs()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close(context.Background()) })
		relay := &Relay{Topic: "priced", Producer: p, Sources: sources, Make: func(v []byte) ([]byte, error) { return bytes.ToUpper(append([]byte("priced "), v...)), nil }}
		return g.Start(func(cfg *orderly.ConsumerConfig) {
			cfg.Handler = func(ctx context.Context, m *orderly.Message) error {
				if count() >= limit {
					<-ctx.Done()
					return ctx.Err()
				}
				err := relay.Handle(ctx, m)
				if err == nil {
					written.Store(place(m), true)
				}
				return err
			}
		})
	}
	total := keys * each
	for i := range kills {
		limit := total * (i + 1) / (kills + 1)
		m := start(limit)
		b.Eventually("the relay to be on its way", func() bool { return count() >= limit })
		m.Kill()
	}
	start(total + 1)
	b.Eventually("all to be written", func() bool { return count() == total })
	g.WaitDone()

	reader := func(seq orderly.SequenceGuard) *read {
		r := &read{byKey: map[string][]string{}}
		rg := b.Group(orderly.ConsumerConfig{Group: fmt.Sprintf("reader-%v", seq.Headers), Topics: []string{"priced"}, Handler: r.handle, Sequence: seq, Events: orderly.Events{Sequence: r.finding}})
		m := rg.Start()
		for p := range int32(2) {
			end := b.End("priced", p)
			b.Eventually("the reader to be through", func() bool {
				return slices.ContainsFunc(m.Consumer().State().Partitions, func(s orderly.PartitionState) bool { return s.Partition == p && s.Committed == end })
			})
		}
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
		return r
	}
	guarded := reader(orderly.SequenceGuard{Headers: true, OnGap: orderly.GapIgnore})
	naive := reader(orderly.SequenceGuard{})
	var want []string
	for i := range each {
		want = append(want, fmt.Sprint("PRICED ", i))
	}
	differs := 0
	for k := range keys {
		key := fmt.Sprint("k", k)
		if got := guarded.byKey[key]; !slices.Equal(got, want) {
			t.Errorf("%s: %d outputs, want %d, each once and in order: %v", key, len(got), each, got)
		}
		if !slices.Equal(naive.byKey[key], want) {
			differs++
		}
	}
	if guarded.repeats == 0 || differs == 0 {
		t.Errorf("%d repeats, %d keys of the reader without the guard differ: nothing was shown", guarded.repeats, differs)
	}
	if len(guarded.findings) != 0 {
		t.Errorf("found %v", guarded.findings)
	}
	t.Logf("%d outputs, %d repeats dropped", total, guarded.repeats)
}

// An output names its record, and a key whose output failed goes on with it.
func TestOutputsNameTheirRecord(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	sources, err := Sources(t.Context(), b.Client(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sources(t.Context(), b.Client(), "nothing"); err == nil {
		t.Error("a topic that is not there has an id")
	}
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: b.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(context.Background()) }()
	r := &Relay{Topic: "missing", Producer: p, Sources: sources, Make: func(v []byte) ([]byte, error) { return v, nil }}
	m := &orderly.Message{Record: &kgo.Record{Topic: "orders", Partition: 3, Offset: 41, Key: []byte("k"), Value: []byte("v")}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Handle(ctx, m); err == nil {
		t.Error("a topic that is not there was written to")
	}
	r.Topic = "out"
	b.CreateTopic("out", 1)
	if err := r.Handle(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	fs := r.id(m)
	if got := fmt.Sprintf("%s %x %x", fs[0].Value, fs[1].Value, fs[2].Value); got != sources["orders"].String()+"/3 0000000000000001 000000000000002a" {
		t.Errorf("%s", got)
	}
}
