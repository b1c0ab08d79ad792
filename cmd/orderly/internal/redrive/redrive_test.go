package redrive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic, dlt = "orders", "orders-dlt"

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), orderlytest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// world is a topic whose records of value "poison..." become dead letters.
type world struct {
	b    *orderlytest.Broker
	next int64
}

func newWorld(t *testing.T) *world {
	b := orderlytest.NewBroker(t)
	b.CreateTopic(topic, 3)
	b.CreateTopic(dlt, 3)
	return &world{b: b}
}

// write puts records where their keys belong: key, value, key, value ...
func (w *world) write(t *testing.T, kvs ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.b.Addrs()...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := 0; i < len(kvs); i += 2 {
		if err := cl.ProduceSync(limit(t), &kgo.Record{Key: []byte(kvs[i]), Value: []byte(kvs[i+1])}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	w.next += int64(len(kvs) / 2)
}

// consume does all records of the topic, by dead letter where they are poison.
func (w *world) consume(t *testing.T, profile orderly.HeaderProfile) {
	t.Helper()
	g := w.b.Group(orderly.ConsumerConfig{Group: "billing", Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter,
		DeadLetter: orderly.DeadLetter{Profile: profile},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if strings.HasPrefix(string(m.Value), "poison") {
				return orderly.Permanent(errors.New("poisoned"))
			}
			return nil
		}})
	m := g.Start()
	w.b.Eventually("all records to be committed", func() bool {
		var at, end int64
		for _, p := range m.Consumer().State().Partitions {
			at += p.Committed
			end += w.b.End(topic, p.Partition)
		}
		return end > 0 && at == end && len(m.Consumer().State().Partitions) == 3
	})
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
}

// read reads all of a topic, by key.
func (w *world) read(t *testing.T, topic string) map[string][]*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.b.Addrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var want, n int64
	for p := range int32(3) {
		want += w.b.End(topic, p)
	}
	out := map[string][]*kgo.Record{}
	for n < want {
		fs := cl.PollFetches(limit(t))
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			n++
			out[string(r.Key)] = append(out[string(r.Key)], r)
		})
	}
	return out
}

func (w *world) options(out *bytes.Buffer) Options {
	return Options{Cluster: &connect.Cluster{Brokers: w.b.Addrs()}, Topic: topic, DLT: dlt, MaxRedrives: 1, Out: out, Err: out}
}

func headersOf(r *kgo.Record) map[string]string {
	out := map[string]string{}
	for _, h := range r.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

// Dead letters go back in the order of their keys, say where they were, go back
// once, and are held when they fail again; a dry run changes nothing.
func TestRedrive(t *testing.T) {
	for _, profile := range []orderly.HeaderProfile{orderly.HeadersOrderly, orderly.HeadersSpring} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var kvs []string
			for i := range 5 {
				for k := range 6 {
					kvs = append(kvs, fmt.Sprint("k", k), fmt.Sprint("poison", i), fmt.Sprint("k", k), fmt.Sprint("fine", i))
				}
			}
			w.write(t, kvs...)
			w.consume(t, profile)

			var out bytes.Buffer
			o := w.options(&out)
			o.DryRun = true
			for range 2 {
				if res, err := Run(limit(t), o); err != nil || res.Sent != 30 || len(res.Held) != 0 {
					t.Fatalf("dry run: %+v, %v", res, err)
				}
			}
			if n := strings.Count(out.String(), dlt+"/"); n != 60 {
				t.Errorf("%d lines:\n%s", n, &out)
			}
			o.DryRun = false
			if res, err := Run(limit(t), o); err != nil || res.Sent != 30 || len(res.Held) != 0 || res.Wait != 0 {
				t.Fatalf("%+v, %v", res, err)
			}
			for k, rs := range w.read(t, topic) {
				var back []string
				for _, r := range rs[10:] {
					h := headersOf(r)
					back = append(back, string(r.Value))
					if h["orderly-redrives"] != "1" || !strings.HasPrefix(h["orderly-redriven-from"], dlt+"/") ||
						!strings.HasPrefix(h["orderly-redriven-of"], fmt.Sprintf("%s/%d/", topic, r.Partition)) || len(h) != 3 {
						t.Errorf("%v", h)
					}
				}
				if !slices.Equal(back, []string{"poison0", "poison1", "poison2", "poison3", "poison4"}) {
					t.Errorf("key %s: %v came back", k, back)
				}
			}
			// Again: nothing is left, really and in a dry run.
			for _, dry := range []bool{true, false} {
				o.DryRun = dry
				if res, err := Run(limit(t), o); err != nil || res.Sent != 0 || len(res.Held) != 0 {
					t.Errorf("again: %+v, %v", res, err)
				}
			}
			// They fail again: each key is held at its first one, the others wait.
			w.consume(t, profile)
			for _, dry := range []bool{true, false, true} {
				o.DryRun = dry
				res, err := Run(limit(t), o)
				if err != nil || res.Sent != 0 || len(res.Held) != 6 || res.Wait != 24 || !strings.Contains(res.Held[0].Why, "sent back 1 times") {
					t.Fatalf("dry %t: %+v, %v", dry, res, err)
				}
			}
			o.DryRun, o.MaxRedrives = false, 2
			if res, err := Run(limit(t), o); err != nil || res.Sent != 30 || len(res.Held) != 0 {
				t.Errorf("by word: %+v, %v", res, err)
			}
		})
	}
}

// A dead letter that cannot go back holds its key, and no other; what goes back of
// other keys meanwhile does not go back twice.
func TestHeldKeyStopsItsSuccessors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(t, "a", "poison0", "b", "poison0")
	w.consume(t, orderly.HeadersOrderly)
	// Somebody writes a record of key a that says nothing of its origin.
	foreign := &kgo.Record{Topic: dlt, Key: []byte("a"), Value: []byte("?"), Partition: int32(kgo.StickyKeyPartitioner(nil).ForTopic(dlt).Partition(&kgo.Record{Key: []byte("a")}, 3))}
	if err := w.b.Client().ProduceSync(limit(t), foreign).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.write(t, "a", "poison1", "b", "poison1", "a", "poison2", "c", "poison1")
	w.consume(t, orderly.HeadersOrderly)
	var out bytes.Buffer
	o := w.options(&out)
	for turn, sent := range []int{4, 0, 0} { // a/0, b/0, b/1, c/1; then nothing
		res, err := Run(limit(t), o)
		if err != nil || res.Sent != sent || len(res.Held) != 1 || string(res.Held[0].Key) != "a" || res.Wait != 2 || !strings.Contains(res.Held[0].Why, "where it came from") {
			t.Errorf("turn %d: %+v, %v", turn, res, err)
		}
	}
	if rs := w.read(t, topic)["a"]; len(rs) != 4 || string(rs[3].Value) != "poison0" {
		t.Errorf("%d records of key a", len(rs))
	}
}

// The rate is a cap: it takes at least as long as the pauses between records.
func TestRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(t, "a", "poison0", "b", "poison0", "c", "poison0", "a", "poison1", "b", "poison1", "c", "poison1")
	w.consume(t, orderly.HeadersOrderly)
	o := w.options(new(bytes.Buffer))
	o.Rate = 20
	began := time.Now()
	if res, err := Run(limit(t), o); err != nil || res.Sent != 6 {
		t.Fatalf("%+v, %v", res, err)
	}
	if d := time.Since(began); d < 5*time.Second/20 {
		t.Errorf("6 records at 20/s took %s", d)
	}
}

// A record whose key belongs elsewhere now is held unless that is chosen.
func TestMovedKeyIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.b.Produce(topic, orderlytest.Msg("a", "poison0").Partition(0), orderlytest.Msg("a", "poison0").Partition(1), orderlytest.Msg("a", "poison0").Partition(2))
	w.consume(t, orderly.HeadersOrderly)
	o := w.options(new(bytes.Buffer))
	res, err := Run(limit(t), o)
	if err != nil || res.Sent != 1 || len(res.Held) != 2 || !strings.Contains(res.Held[0].Why, "--any-partition") {
		t.Errorf("%+v, %v", res, err)
	}
	o.AnyPartition = true
	if res, err := Run(limit(t), o); err != nil || res.Sent != 2 || len(res.Held) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}
