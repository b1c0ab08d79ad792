package orderly_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A handler that does not write to the store has handled records between two runs of
// Effects: their effects come again, and that is named, with the command that avoids it.
// Runs of Effects alone are not, whatever has ended them.
func TestEffectsBehindTheGroup(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(*orderly.ConsumerConfig){
		"plain": without(func(context.Context, *orderly.Message) error { return nil }),
		"another name": func(c *orderly.ConsumerConfig) {
			c.Effects = orderly.Effects{Name: "other", Store: storetest.NewMemory(), Handler: func(context.Context, any, *orderly.Message) error { return nil }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			book := newEffectBook()
			var warnings seen[orderly.WarningEvent]
			behind := func() (of []string) {
				for _, w := range warnings.get() {
					if w.Code == "store-behind" {
						of = append(of, w.Message)
					}
				}
				return of
			}
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: book.effects(), Events: orderly.Events{Warning: warnings.add}})
			b.Produce(topic, keyed(5, "a", "b")...)
			m := g.Start()
			committed(t, b, m, topic, 0, 10)
			stopAll(t, m)
			for range 2 { // ended in order, and killed
				m = g.Start()
				b.Produce(topic, keyed(1, "a")...)
				caughtUp(t, b, m, topic, 0)
				m.Kill()
			}
			m = g.Start(other) // which finds nothing to do
			b.Eventually("the partition to be the other handler's", func() bool { return g.Owner(topic, 0) == m })
			stopAll(t, m)
			m = g.Start()
			caughtUp(t, b, m, topic, 0)
			stopAll(t, m)
			if w := behind(); len(w) > 0 {
				t.Errorf("before another handler did anything: %q", w)
			}
			m = g.Start(other)
			b.Produce(topic, keyed(4, "a", "b")...)
			committed(t, b, m, topic, 0, 20)
			stopAll(t, m)
			if w := behind(); len(w) > 0 {
				t.Errorf("of the other handler: %q", w)
			}
			// With the command nothing is repeated.
			a := newAdmin(t, b, g)
			reset := fmt.Sprintf("orderly offsets reset -g %s -t %s --partitions 0 --to 20 --store DSN", g.Name(), topic)
			if name == "plain" {
				if _, err := a.ResetOffsets(t.Context(), orderly.OffsetReset{Topic: topic, To: orderly.ToOffset(20), Store: book.Memory, Reason: "a plain handler was there"}); err != nil {
					t.Fatal(err)
				}
				m = g.Start()
				b.Produce(topic, keyed(1, "a")...)
				caughtUp(t, b, m, topic, 0)
				stopAll(t, m)
				if w := behind(); book.count() != 13 || len(w) > 0 {
					t.Errorf("after a reset: %d effects, want 13; %q", book.count(), w)
				}
				m = g.Start(other)
				b.Produce(topic, keyed(1, "a", "b")...)
				committed(t, b, m, topic, 0, 23)
				stopAll(t, m)
				reset = strings.Replace(reset, "--to 20", "--to 23", 1)
			}
			had := book.count()
			m = g.Start()
			b.Eventually("the effects of what the other one has handled", func() bool { return book.count() > had })
			caughtUp(t, b, m, topic, 0)
			stopAll(t, m)
			if w := behind(); len(w) != 1 || !strings.Contains(w[0], reset) || !strings.Contains(w[0], "handled without it") {
				t.Errorf("%q, want one with %s", w, reset)
			}
			m = g.Start() // said once: the store is the group's again
			b.Produce(topic, keyed(1, "a")...)
			caughtUp(t, b, m, topic, 0)
			stopAll(t, m)
			if w := behind(); len(w) != 1 {
				t.Errorf("and again: %q", w)
			}
		})
	}
}

// A lazyBook never moves its low-water row, as when each owner is killed before it does.
type lazyBook struct{ *effectBook }

func (lazyBook) Low(context.Context, store.Part, int64, int64, func(store.State) error) (bool, error) {
	return false, nil
}

// The group's offset is above the store's where the log ends with offsets that no record
// has.
func TestEffectsBehindGapsAlone(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	transaction(t, b, topic, kgo.TryCommit, "0")
	transaction(t, b, topic, kgo.TryAbort, "x", "y")
	var warnings seen[orderly.WarningEvent]
	book := newEffectBook()
	effects := book.effects()
	effects.Store = lazyBook{book}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Effects: effects, Events: orderly.Events{Warning: warnings.add}})
	for range 3 {
		m := g.Start()
		caughtUp(t, b, m, topic, 0)
		stopAll(t, m)
	}
	if warnings.any(func(w orderly.WarningEvent) bool { return w.Code == "store-behind" }) {
		t.Errorf("%+v", warnings.get())
	}
}
