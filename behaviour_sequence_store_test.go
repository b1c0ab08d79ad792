package orderly_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

// With a store a restart does not forget the gap: who starts next stops there again,
// until another OnGap is set.
func TestRowSequenceGapStopsAgainWithAStore(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c, mem := &calls{}, storetest.NewMemory()
	cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyBlock,
		Sequence: orderly.SequenceGuard{Headers: true, OnGap: orderly.GapStop},
		Effects: orderly.Effects{Store: mem, Handler: func(ctx context.Context, tx any, m *orderly.Message) error {
			tx.(*storetest.MemoryTx).Do(func() { _ = c.handle(ctx, m) })
			return nil
		}}}
	g := b.Group(cfg)
	b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("k", "2", "w", 1, 2), sequenced("k", "4", "w", 1, 4), sequenced("k", "5", "w", 1, 5))
	for range 3 {
		var gap *orderly.SequenceGapError
		if err := g.Start().Wait(); !errors.As(err, &gap) || gap.Number != 4 || gap.Last != 2 {
			t.Fatalf("Run: %v", err)
		}
	}
	if got := c.of("k"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("handled %v", got)
	}
	cfg.Group, cfg.Sequence.OnGap = g.Name(), orderly.GapDetect
	m := b.Group(cfg).Start()
	committed(t, b, m, topic, 0, 4)
	if got := c.of("k"); !slices.Equal(got, []string{"1", "2", "4", "5"}) {
		t.Errorf("handled %v", got)
	}
}

// With a store the numbers outlive their owner: a duplicate, a late one, and one that
// was given up, of before a restart or a takeover, are known for what they are.
func TestRowSequenceStoreRemembers(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"restart", "killed", "unknown commits", "a rebalance"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			var events seen[orderly.SequenceEvent]
			mem := storetest.NewMemory()
			c := &calls{bad: func(m *orderly.Message) error {
				if string(m.Value) == "bad" {
					return orderly.Permanent(errBusy)
				}
				return nil
			}}
			if how == "unknown commits" {
				var mu sync.Mutex
				rnd := rand.New(rand.NewPCG(3, 4))
				mem.Fault = func(store.Step) (error, bool) {
					mu.Lock()
					defer mu.Unlock()
					switch rnd.IntN(4) {
					case 0:
						return store.ErrUnknown, false
					case 1:
						return nil, true
					}
					return nil, false
				}
			}
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 4, OnExhausted: orderly.PolicySkip, Retry: orderly.Retry{MaxAttempts: 1},
				Sequence: orderly.SequenceGuard{Headers: true}, Events: orderly.Events{Sequence: events.add},
				Effects: orderly.Effects{Store: mem, Handler: func(ctx context.Context, tx any, m *orderly.Message) error {
					if err := c.bad(m); err != nil {
						return err
					}
					tx.(*storetest.MemoryTx).Do(func() { _ = c.handle(ctx, m) })
					return nil
				}}})
			b.Produce(topic, sequenced("k", "1", "w", 1, 1), sequenced("k", "2", "w", 1, 2), sequenced("k", "4", "w", 1, 4),
				sequenced("k", "bad", "w", 1, 5), sequenced("k", "6", "w", 1, 6),
				sequenced("l", "1", "w", 1, 1), sequenced("m", "1", "v", 2, 1)) // 0 to 6
			m := g.Start()
			committed(t, b, m, topic, 0, 7)
			if got, want := found(&events), []string{"2 gap 1"}; how != "unknown commits" && !slices.Equal(got, want) {
				t.Errorf("the first owner found %v, want %v", got, want)
			}
			switch how {
			case "killed":
				m.Kill()
				m = g.Start()
			case "a rebalance":
				g.Rebalance()
			default:
				if err := m.Stop(); err != nil {
					t.Fatal(err)
				}
				m = g.Start()
			}
			b.Produce(topic, sequenced("k", "again", "w", 1, 2), // 7
				sequenced("k", "late", "w", 1, 4-1), sequenced("k", "again", "w", 1, 3), // 8, 9
				sequenced("k", "mended", "w", 1, 5), sequenced("k", "again", "w", 1, 6), sequenced("k", "7", "w", 1, 7), // 10 to 12
				sequenced("l", "again", "w", 1, 1), sequenced("m", "zombie", "v", 1, 1), sequenced("n", "1", "w", 1, 1)) // 13 to 15
			committed(t, b, m, topic, 0, 16)
			for key, want := range map[string][]string{"k": {"1", "2", "4", "6", "late", "mended", "7"}, "l": {"1"}, "m": {"1", "zombie"}, "n": {"1"}} {
				if got := c.of(key); !slices.Equal(got, want) {
					t.Errorf("key %s: %v, want %v", key, got, want)
				}
			}
			want := []string{"2 gap 1", "7 duplicate", "8 late", "9 duplicate", "10 late", "11 duplicate", "13 duplicate", "14 zombie"}
			if got := slices.Compact(found(&events)); how != "unknown commits" && !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

// The store keeps as many keys as are to be remembered, and those that were seen last.
func TestSequenceStoreIsBounded(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	mem := storetest.NewMemory()
	const keep, keys = 10, 100
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Sequence: orderly.SequenceGuard{Headers: true, Keys: keep},
		Effects: orderly.Effects{Store: mem, MaxRecords: 1, Handler: func(context.Context, any, *orderly.Message) error { return nil }}})
	m := g.Start()
	put := func(from, to int64) {
		for i := from; i < to; i++ {
			b.Produce(topic, sequenced(string(rune('A'+i)), "v", "w", 1, 1))
		}
		committed(t, b, m, topic, 0, to)
	}
	put(0, keys)
	b.Eventually("the store to be pruned", func() bool { return mem.SequenceKeys() < keys })
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	m = g.Start()
	put(keys, keys+1)
	b.Eventually("the next owner to prune", func() bool { return mem.SequenceKeys() <= keep+1 })
}
