package orderly_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store/storetest"
)

// num64 is the value of a header that holds a number.
func num64(n int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// sequenced is a record with sequence headers.
func sequenced(key, value, writer string, epoch, n int64) orderlytest.Record {
	return orderlytest.Msg(key, value).Header(orderly.HeaderWriter, writer).Header(orderly.HeaderEpoch, num64(epoch)).Header(orderly.HeaderSeq, num64(n))
}

// found are findings in short: of each record its offset, the finding, and what is missing.
func found(events *seen[orderly.SequenceEvent]) (all []string) {
	es := events.get()
	slices.SortStableFunc(es, func(a, b orderly.SequenceEvent) int { return int(a.Offset - b.Offset) })
	for _, e := range es {
		s := fmt.Sprintf("%d %s", e.Offset, e.Finding)
		if e.Missing > 0 {
			s += fmt.Sprint(" ", e.Missing)
		}
		all = append(all, s)
	}
	return all
}

// forms are the ways in which records are handed over; each calls c.handle for each of them.
var forms = map[string]func(cfg *orderly.ConsumerConfig, c *calls){
	"plain":     func(cfg *orderly.ConsumerConfig, c *calls) { cfg.Handler = c.handle },
	"partition": func(cfg *orderly.ConsumerConfig, c *calls) { cfg.Handler, cfg.Scope = c.handle, orderly.ScopePartition },
	"batch": func(cfg *orderly.ConsumerConfig, c *calls) {
		cfg.Lanes = 1
		cfg.Batch.Handler = func(ctx context.Context, ms []*orderly.Message) (int, error) {
			for i, m := range ms {
				if err := c.handle(ctx, m); err != nil {
					return i, err
				}
			}
			return len(ms), nil
		}
	},
	"effects": func(cfg *orderly.ConsumerConfig, c *calls) {
		cfg.Lanes = 1
		cfg.Effects = orderly.Effects{Store: storetest.NewMemory(), Handler: func(ctx context.Context, tx any, m *orderly.Message) error {
			if c.bad != nil {
				if err := c.bad(m); err != nil {
					return err
				}
			}
			tx.(*storetest.MemoryTx).Do(func() { _ = c.handle(ctx, m) })
			return nil
		}}
	},
}

// complete checks what the group has done; of effects it knows nothing.
func complete(t *testing.T, g *orderlytest.Group, form string) {
	t.Helper()
	if form != "effects" {
		g.WaitDone()
		g.RequireComplete(t)
	}
}

// A duplicate is skipped and counted; gaps, late ones and replaced writers are told, and
// handed over; records of other writers, keys and without numbers pass.
func TestRowSequenceFindings(t *testing.T) {
	t.Parallel()
	for form, use := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			var events seen[orderly.SequenceEvent]
			var settled atomic.Int64
			c := &calls{}
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, Sequence: orderly.SequenceGuard{Headers: true},
				Events: orderly.Events{Sequence: events.add, Settled: func(e orderly.SettledEvent) { settled.Add(int64(e.Records)) }}}
			use(&cfg, c)
			g := b.Group(cfg)
			b.Produce(topic,
				sequenced("k", "a", "w", 1, 1),
				sequenced("k", "b", "w", 1, 2),
				sequenced("k", "again", "w", 1, 2), // 2
				sequenced("other", "x", "w", 1, 2),
				sequenced("k", "c", "w", 1, 5), // 4: 3 and 4 are missing
				sequenced("k", "d", "w", 1, 4), // 5: late
				sequenced("k", "late again", "w", 1, 4),
				sequenced("k", "e", "v", 1, 1),
				orderlytest.Msg("k", "f"),
				sequenced("k", "g", "w", 2, 1),
				sequenced("k", "h", "w", 1, 6), // 10: a zombie
				sequenced("k", "h", "w", 1, 6),
				sequenced("k", "first again", "v", 1, 1), // 12
				sequenced("k", "i", "w", 2, 2),
				orderlytest.Msg("k", "half").Header(orderly.HeaderWriter, "w").Header(orderly.HeaderSeq, num64(1)),
				orderlytest.NullKeyMsg("null").Header(orderly.HeaderWriter, "w").Header(orderly.HeaderEpoch, num64(1)).Header(orderly.HeaderSeq, num64(9)),
				orderlytest.NullKeyMsg("null again").Header(orderly.HeaderWriter, "w").Header(orderly.HeaderEpoch, num64(1)).Header(orderly.HeaderSeq, num64(9)))
			m := g.Start()
			committed(t, b, m, topic, 0, 17)
			complete(t, g, form)
			want := []string{"2 duplicate", "4 gap 2", "5 late", "6 duplicate", "10 zombie", "11 zombie", "12 duplicate", "16 duplicate"}
			if got := found(&events); !slices.Equal(got, want) {
				t.Errorf("found %v\nwant  %v", got, want)
			}
			if got, want := c.of("k"), []string{"a", "b", "c", "d", "e", "f", "g", "h", "h", "i", "half"}; !slices.Equal(got, want) {
				t.Errorf("handled %v\nwant    %v", got, want)
			}
			b.Eventually("what the handler has done to be counted", func() bool { return settled.Load() == 13 })
			if st, _ := stateOf(m, topic, 0); st.Sequence != (orderly.SequenceState{Keys: 3}) {
				t.Errorf("%+v", st.Sequence)
			}
			for _, e := range events.get() {
				switch e.Offset {
				case 4:
					if e.Writer != "w" || e.Epoch != 1 || e.Number != 5 || e.Last != 2 || string(e.Key) != "k" || e.FencingToken == 0 || e.Topic != topic {
						t.Errorf("%+v", e)
					}
				case 10:
					if e.Highest != 2 || e.Epoch != 1 {
						t.Errorf("%+v", e)
					}
				}
			}
		})
	}
}

// Under park the record behind a gap waits, its key's later ones behind it, until an
// operator releases the key; other keys run.
func TestRowSequenceGapParked(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"plain", "batch", "partition"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			var events seen[orderly.SequenceEvent]
			c := &calls{}
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop,
				Sequence: orderly.SequenceGuard{Headers: true, OnGap: orderly.GapPark}, Events: orderly.Events{Sequence: events.add}}
			forms[form](&cfg, c)
			g := b.Group(cfg)
			b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("g", "1", "w", 1, 1), sequenced("k", "4", "w", 1, 4),
				sequenced("k", "5", "w", 1, 5), sequenced("g", "2", "w", 1, 2), sequenced("k", "2", "w", 1, 2))
			m := g.Start()
			committed(t, b, m, topic, 0, 6)
			parked := 3
			if form == "partition" {
				parked = 4 // the whole partition waits
			}
			parkedRecords(t, b, m, topic, 1, parked)
			a := admin(t, b, g)
			keys, err := a.ParkedKeys(patient(t), topic)
			if err != nil || len(keys) != 1 || !keys[0].Permanent || !strings.Contains(keys[0].Cause, "sequence gap: number 4") || keys[0].FirstOffset != 2 {
				t.Fatalf("%+v, %v", keys, err)
			}
			if got := c.of("k"); !slices.Equal(got, []string{"1"}) {
				t.Errorf("handled %v", got)
			}
			word := orderly.Command{Topic: topic, Key: keys[0].Key, Offset: 2}
			if ans, err := a.Retry(patient(t), word); err != nil || ans.Result != "released" {
				t.Fatalf("%+v, %v", ans, err)
			}
			if got := c.of("k"); !slices.Equal(got, []string{"1", "4", "5", "2"}) {
				t.Errorf("handled %v", got)
			}
			// The key goes on where it was.
			b.Produce(topic, sequenced("k", "6", "w", 1, 6), sequenced("k", "6 again", "w", 1, 6))
			committed(t, b, m, topic, 0, 8)
			if got := c.of("k"); !slices.Equal(got, []string{"1", "4", "5", "2", "6"}) {
				t.Errorf("handled %v", got)
			}
			if got, want := found(&events), []string{"2 gap 2", "5 late", "7 duplicate"}; !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

// Under stop Run ends with the record and the numbers in its error.
func TestRowSequenceGapStops(t *testing.T) {
	t.Parallel()
	for form, use := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			c := &calls{}
			var events seen[orderly.SequenceEvent]
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyBlock,
				Sequence: orderly.SequenceGuard{Headers: true, OnGap: orderly.GapStop}, Events: orderly.Events{Sequence: events.add}}
			use(&cfg, c)
			g := b.Group(cfg)
			b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("k", "2", "w", 1, 2), sequenced("k", "4", "w", 1, 4), sequenced("k", "5", "w", 1, 5))
			err := g.Start().Wait()
			var stop *orderly.StopError
			var gap *orderly.SequenceGapError
			if !errors.As(err, &stop) || !errors.As(err, &gap) || stop.Offset != 2 || stop.Attempts != 0 || *gap != (orderly.SequenceGapError{Writer: "w", Epoch: 1, Number: 4, Last: 2, Missing: 1}) {
				t.Fatalf("Run: %v", err)
			}
			if got := c.of("k"); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("handled %v", got)
			}
			if got := found(&events); !slices.Equal(got, []string{"2 gap 1"}) {
				t.Errorf("found %v", got)
			}
		})
	}
}

// A record that is tried again, or comes again to the same or another owner before it
// was done, is no duplicate of itself; what is new to an owner is skipped by nobody.
func TestRowSequenceLearnsAnew(t *testing.T) {
	t.Parallel()
	for form, use := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			var events seen[orderly.SequenceEvent]
			var heal atomic.Bool
			c := &calls{bad: func(m *orderly.Message) error {
				if string(m.Value) == "3" && !heal.Load() {
					return errBusy
				}
				return nil
			}}
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyBlock, Retry: orderly.Retry{MaxAttempts: 2},
				Sequence: orderly.SequenceGuard{Headers: true}, Events: orderly.Events{Sequence: events.add}}
			use(&cfg, c)
			g := b.Group(cfg)
			for i := range int64(6) {
				b.Produce(topic, sequenced("k", fmt.Sprint(i+1), "w", 1, i+1))
			}
			m := g.Start()
			blocked := func() {
				b.Eventually("the block", func() bool {
					p, ok := stateOf(g.Owner(topic, 0), topic, 0)
					return ok && len(p.Oldest) == 1 && p.Oldest[0].Offset == 2 && p.Oldest[0].Attempts > 2
				})
			}
			blocked()
			g.Rebalance()
			blocked()
			m.Kill()
			second := g.Start()
			blocked()
			heal.Store(true)
			committed(t, b, second, topic, 0, 6)
			complete(t, g, form)
			if got := found(&events); len(got) != 0 {
				t.Errorf("found %v", got)
			}
			// Done here: now it is a duplicate; of before this owner nothing is known.
			b.Produce(topic, sequenced("k", "x", "w", 1, 4), sequenced("k", "unknown", "w", 1, 1))
			committed(t, b, second, topic, 0, 8)
			got := found(&events)
			if len(got) != 2 || got[0] != "6 duplicate" || !slices.Contains([]string{"7 unsure", "7 duplicate"}, got[1]) {
				t.Errorf("found %v", got)
			}
		})
	}
}

// A record that was given up leaves no gap behind, and is handed over when it is sent
// again, by a tool that knows nothing of this or by orderly's own.
func TestSequenceOfRecordsThatWereGivenUp(t *testing.T) {
	t.Parallel()
	for form, use := range forms {
		for _, policy := range []orderly.Policy{orderly.PolicySkip, orderly.PolicyDeadLetter} {
			t.Run(form+" "+string(policy), func(t *testing.T) {
				t.Parallel()
				b := engine(t)
				topic := newTopic(t, b, 1)
				var events seen[orderly.SequenceEvent]
				c := &calls{bad: func(m *orderly.Message) error {
					if strings.HasPrefix(string(m.Value), "bad") {
						return orderly.Permanent(errBusy)
					}
					return nil
				}}
				cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: policy,
					Sequence: orderly.SequenceGuard{Headers: true, OnGap: orderly.GapStop}, Events: orderly.Events{Sequence: events.add}}
				cfg.DeadLetter.Create = policy == orderly.PolicyDeadLetter
				use(&cfg, c)
				g := b.Group(cfg)
				b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("k", "bad", "w", 1, 2), sequenced("k", "3", "w", 1, 3),
					sequenced("k", "mended", "w", 1, 2), // 3
					sequenced("k", "mended again", "w", 1, 2),
					sequenced("k", "redriven", "w", 1, 1).Header("orderly-redriven-from", "t-dlt/0/0"), // 5
					sequenced("k", "4", "w", 1, 4))
				m := g.Start()
				committed(t, b, m, topic, 0, 7)
				if got, want := c.of("k"), []string{"1", "3", "mended", "redriven", "4"}; !slices.Equal(got, want) {
					t.Errorf("handled %v, want %v", got, want)
				}
				if got, want := found(&events), []string{"3 late", "4 duplicate"}; !slices.Equal(got, want) {
					t.Errorf("found %v, want %v", got, want)
				}
			})
		}
	}
}
