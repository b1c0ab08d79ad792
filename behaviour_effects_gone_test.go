package orderly_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/store"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record of a detached key that the log does not have any more holds up its key by name;
// when its row is deleted the key goes on.
func TestEffectsRecordIsGone(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	transaction(t, b, topic, kgo.TryCommit, "0") // of key k, and at offset 1 there is no record
	book := newEffectBook()
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Breaker: orderly.Breaker{Disabled: true},
		Retry: orderly.Retry{Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond}, Effects: book.effects()})
	md, err := b.Admin().Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	part := store.Part{Group: g.Name(), Handler: "default", Topic: topic, TopicID: md.Topics[topic].ID}
	if _, err := book.Begin(t.Context(), part, store.Layout{Lanes: 1, Hash: lane.HashVersion}, 1, 0); err != nil {
		t.Fatal(err)
	}
	gone := store.Exception{Offset: 1, Key: []byte("k")}
	if err := book.Apply(t.Context(), store.Step{Part: part, Advance: &store.Advance{From: store.Unknown, To: 2, Detach: []store.Exception{gone}}}, nil); err != nil {
		t.Fatal(err)
	}
	m := g.Start()
	b.Produce(topic, keyed(1, "k", "other")...)
	b.Eventually("the key to be blocked by name", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && len(p.Oldest) == 1 && p.Oldest[0].State == "unavailable" && strings.Contains(p.Oldest[0].Cause, "waits for offset 1 of the key")
	})
	book.require(t, b, 1) // of the other key
	stopAll(t, m)
	if err := book.Apply(t.Context(), store.Step{Part: part, Release: &store.Release{Exception: gone}}, nil); err != nil {
		t.Fatal(err)
	}
	m = g.Start()
	book.require(t, b, 2)
	caughtUp(t, b, m, topic, 0)
	stopAll(t, m)
}
