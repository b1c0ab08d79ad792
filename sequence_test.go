package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A sequence that is no number, or negative, is a permanent failure of that record, and
// of no other; records that have none pass.
func TestRowSequenceIsNotANumber(t *testing.T) {
	t.Parallel()
	header := func(writer, epoch, n string) orderlytest.Record {
		return orderlytest.Msg("k", "v").Header(orderly.HeaderWriter, writer).Header(orderly.HeaderEpoch, epoch).Header(orderly.HeaderSeq, n)
	}
	value := func(v string) orderlytest.Record { return orderlytest.Msg("k", v) }
	byFunc := func(n int64, err error) orderly.SequenceGuard {
		return orderly.SequenceGuard{Number: func(r *kgo.Record) (int64, error) {
			if string(r.Value) == "last" {
				return 0, orderly.ErrNotNumbered
			}
			return n, err
		}}
	}
	headers, field := orderly.SequenceGuard{Headers: true}, orderly.SequenceGuard{Field: ".o.n"}
	for _, c := range []struct {
		name  string
		guard orderly.SequenceGuard
		rec   orderlytest.Record
		bad   string // in the error; empty: it is handed over
	}{
		{"headers", headers, header("w", num64(1), num64(1)), ""},
		{"seven bytes", headers, header("w", num64(1), "1234567"), "orderly-seq has 7 bytes"},
		{"text", headers, header("w", num64(1), "1"), "orderly-seq has 1 bytes"},
		{"negative", headers, header("w", num64(1), num64(-1)), "or negative"},
		{"zero", headers, header("w", num64(1), num64(0)), "orderly-seq is 0"},
		{"epoch zero", headers, header("w", num64(0), num64(1)), "orderly-epoch is 0"},
		{"epoch text", headers, header("w", "1", num64(1)), "orderly-epoch has 1 bytes"},
		{"no writer id", headers, header("", num64(1), num64(1)), "orderly-writer"},
		{"twice", headers, header("w", num64(1), num64(1)).Header(orderly.HeaderSeq, num64(2)), ""},
		{"none", headers, value("v"), ""},
		{"field", field, value(`{"o":{"n":7}}`), ""},
		{"zero in a field", field, value(`{"o":{"n":0}}`), ""},
		{"in quotes", field, value(`{"o":{"n":"9007199254740993"}}`), ""},
		{"no JSON", field, value(`{"o":`), "is not JSON"},
		{"no field", field, value(`{"o":{}}`), "missing"},
		{"null", field, value(`{"o":{"n":null}}`), ".o.n is null"},
		{"a negative field", field, value(`{"o":{"n":-1}}`), ".o.n is -1"},
		{"half", field, value(`{"o":{"n":1.5}}`), ".o.n is 1.5"},
		{"an exponent", field, value(`{"o":{"n":1e3}}`), ".o.n is 1e3"},
		{"a word", field, value(`{"o":{"n":"one"}}`), `.o.n is "one"`},
		{"a list", field, value(`{"o":{"n":[1]}}`), ".o.n is [1]"},
		{"too large", field, value(`{"o":{"n":9223372036854775808}}`), "9223372036854775808"},
		{"function", byFunc(0, nil), value("v"), ""},
		{"function without a number", byFunc(0, fmt.Errorf("no: %w", orderly.ErrNotNumbered)), value("v"), ""},
		{"function, negative", byFunc(-5, nil), value("v"), "returned -5"},
		{"function, error", byFunc(1, errBusy), value("v"), "Sequence.Number: busy"},
		{"function, panic", orderly.SequenceGuard{Number: func(r *kgo.Record) (int64, error) {
			if string(r.Value) != "last" {
				panic("boom")
			}
			return 0, orderly.ErrNotNumbered
		}}, value("v"), "boom"},
	} {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, batch), func(t *testing.T) {
				var skipped seen[orderly.SkippedEvent]
				cfg := orderly.ConsumerConfig{OnExhausted: orderly.PolicySkip, Sequence: c.guard, Lanes: 1, Events: orderly.Events{Skipped: skipped.add}}
				var calls []string
				if batch {
					cfg.Batch.Handler = func(_ context.Context, ms []*orderly.Message) (int, error) {
						for _, m := range ms {
							calls = append(calls, string(m.Value))
						}
						return len(ms), nil
					}
				} else {
					cfg.Concurrency = 1
					cfg.Handler = func(_ context.Context, m *orderly.Message) error {
						calls = append(calls, string(m.Value))
						return nil
					}
				}
				last := value("last")
				if c.guard.Field != "" {
					last = value(`{"o":{"n":1000}}`)
				}
				r := orderlytest.Delivery{Config: cfg}.Run(t, c.rec, last)
				want := 2
				if c.bad != "" {
					want = 1
				}
				if r.Left != 0 || len(calls) != want {
					t.Errorf("%d left, handled %q", r.Left, calls)
				}
				if es := skipped.get(); c.bad == "" && len(es) != 0 || c.bad != "" && (len(es) != 1 || es[0].Reason != "permanent" || !strings.Contains(es[0].Err.Error(), c.bad)) {
					t.Errorf("%+v", es)
				}
			})
		}
	}
}

// Numbers that are the data's own belong to the ordering key.
func TestSequenceNumbersOfTheData(t *testing.T) {
	t.Parallel()
	var events seen[orderly.SequenceEvent]
	cfg := orderly.ConsumerConfig{Sequence: orderly.SequenceGuard{Field: ".n"}, Events: orderly.Events{Sequence: events.add},
		OrderBy: orderly.OrderBy{Name: "first-letter", Key: func(r *kgo.Record) []byte { return r.Key[:1] }},
		Handler: func(context.Context, *orderly.Message) error { return nil }}
	r := orderlytest.Delivery{Config: cfg}.Run(t,
		orderlytest.Msg("a1", `{"n":1}`), orderlytest.Msg("b1", `{"n":1}`), orderlytest.Msg("a2", `{"n":2}`), orderlytest.Msg("a1", `{"n":2}`), orderlytest.Msg("b7", `{"n":3}`))
	if r.Left != 0 {
		t.Errorf("%d left", r.Left)
	}
	if got, want := found(&events), []string{"3 duplicate", "4 gap 1"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

// Headers number the records of a record's key, whatever the ordering key is.
func TestSequenceHeadersNumberTheRecordsKey(t *testing.T) {
	t.Parallel()
	var events seen[orderly.SequenceEvent]
	cfg := orderly.ConsumerConfig{Sequence: orderly.SequenceGuard{Headers: true}, Events: orderly.Events{Sequence: events.add},
		OrderBy: orderly.OrderBy{Name: "all", Key: func(r *kgo.Record) []byte { return []byte("x") }},
		Handler: func(context.Context, *orderly.Message) error { return nil }}
	orderlytest.Delivery{Config: cfg}.Run(t,
		sequenced("a", "", "w", 1, 1), sequenced("b", "", "w", 1, 1), sequenced("a", "", "w", 1, 2), sequenced("b", "", "w", 1, 2), sequenced("b", "", "w", 1, 2))
	if got, want := found(&events), []string{"4 duplicate"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

// What is beyond Keys is forgotten: then nothing is skipped.
func TestSequenceKeysAreBounded(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var events seen[orderly.SequenceEvent]
	c := &calls{}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: orderly.ScopePartition, Handler: c.handle,
		Sequence: orderly.SequenceGuard{Headers: true, Keys: 2}, Events: orderly.Events{Sequence: events.add}})
	for _, key := range []string{"a", "b", "b", "c", "a", "c"} {
		b.Produce(topic, sequenced(key, "1", "w", 1, 1))
	}
	m := g.Start()
	committed(t, b, m, topic, 0, 6)
	if got, want := found(&events), []string{"2 duplicate", "5 duplicate"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if st, _ := stateOf(m, topic, 0); st.Sequence != (orderly.SequenceState{Keys: 2, Forgotten: 2}) {
		t.Errorf("%+v", st.Sequence)
	}
}

// Random logs, delivered with random failures, against a model that goes through the log
// key by key and remembers all: the same records are skipped, the same are told of.
func TestSequenceModel(t *testing.T) {
	t.Parallel()
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		seed := uint64(round) + 1
		rnd := rand.New(rand.NewPCG(seed, 7))
		type count struct {
			epoch, last int64
			first       int64
			done        map[int64]bool
		}
		known := map[string]*count{} // by key and writer
		var recs []orderlytest.Record
		var want []string
		skip := map[int]bool{}
		for i := range 80 {
			key, w := fmt.Sprint("k", rnd.IntN(4)), fmt.Sprint("w", rnd.IntN(2))
			c := known[key+w]
			epoch, n := int64(1), int64(1)
			if c != nil {
				epoch = c.epoch
				switch n = c.last + 1; rnd.IntN(9) {
				case 0: // again, or late
					n = c.first + rnd.Int64N(c.last-c.first+1)
				case 1:
					n += rnd.Int64N(3)
				case 2:
					epoch += rnd.Int64N(2)
				case 3:
					epoch = max(1, epoch-1)
				}
			}
			recs = append(recs, sequenced(key, fmt.Sprint(i), w, epoch, n))
			switch {
			case c == nil || epoch > c.epoch:
				known[key+w] = &count{epoch: epoch, last: n, first: n, done: map[int64]bool{n: true}}
			case epoch < c.epoch:
				want = append(want, fmt.Sprintf("%d zombie", i))
			case n > c.last+1:
				want = append(want, fmt.Sprintf("%d gap %d", i, n-c.last-1))
				c.last, c.done[n] = n, true
			case n == c.last+1:
				c.last, c.done[n] = n, true
			case c.done[n]:
				want = append(want, fmt.Sprintf("%d duplicate", i))
				skip[i] = true
			default:
				want = append(want, fmt.Sprintf("%d late", i))
				c.done[n] = true
			}
		}
		for form := range 2 {
			var events seen[orderly.SequenceEvent]
			fails := func(m *orderly.Message) error {
				if x := uint64(m.Offset)*2654435761 + seed*40503; x>>7%5 < 1 && m.Attempt <= int(x>>11%3)+1 {
					return errBusy
				}
				return nil
			}
			cfg := orderly.ConsumerConfig{Lanes: 3, Sequence: orderly.SequenceGuard{Headers: true}, Events: orderly.Events{Sequence: events.add},
				Retry: orderly.Retry{Backoff: 10 * time.Millisecond}, Breaker: orderly.Breaker{Disabled: true}}
			if form == 0 {
				cfg.Handler = func(_ context.Context, m *orderly.Message) error { return fails(m) }
			} else {
				cfg.Batch.Max = 10
				cfg.Batch.Handler = func(_ context.Context, ms []*orderly.Message) (int, error) {
					for i, m := range ms {
						if err := fails(m); err != nil {
							return i, err
						}
					}
					return len(ms), nil
				}
			}
			r := orderlytest.Delivery{Config: cfg, Seed: seed}.Run(t, recs...)
			r.RequireOrdered(t)
			if got := found(&events); !slices.Equal(got, want) {
				t.Fatalf("seed %d, form %d: found\n%v\nwant\n%v", seed, form, got, want)
			}
			handled := map[int]int{}
			for _, a := range r.Attempts {
				if a.Err == nil {
					handled[int(a.Record.Offset)]++
				} else if !errors.Is(a.Err, errBusy) {
					t.Fatalf("seed %d, form %d: %v", seed, form, a.Err)
				}
			}
			for i := range recs {
				if n := handled[i]; skip[i] && n != 0 || !skip[i] && n != 1 {
					t.Fatalf("seed %d, form %d: offset %d handled %d times, skipped: %v", seed, form, i, n, skip[i])
				}
			}
		}
	}
}

// Numbers that leave some out: nothing is missing, and a repeat is skipped however many
// have come since.
func TestSequenceGapsIgnored(t *testing.T) {
	t.Parallel()
	var events seen[orderly.SequenceEvent]
	var recs []orderlytest.Record
	for i := range int64(40) {
		recs = append(recs, sequenced("k", "", "topic/0", 1, 100+7*i))
	}
	recs = append(recs, recs[1:]...)
	recs = append(recs, sequenced("k", "", "topic/0", 1, 50), sequenced("k", "", "topic/1", 1, 3))
	cfg := orderly.ConsumerConfig{Sequence: orderly.SequenceGuard{Headers: true, OnGap: orderly.GapIgnore}, Events: orderly.Events{Sequence: events.add},
		Handler: func(context.Context, *orderly.Message) error { return nil }}
	r := orderlytest.Delivery{Config: cfg}.Run(t, recs...)
	got := found(&events)
	if len(got) != 40 || got[0] != "40 duplicate" || got[38] != "78 duplicate" || got[39] != "79 unsure" || len(r.Attempts) != 42 {
		t.Errorf("found %v, %d attempts", got, len(r.Attempts))
	}
}
