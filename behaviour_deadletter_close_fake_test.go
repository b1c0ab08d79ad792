package orderly_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Run ends while dead letters are under way, which may be written or not: nobody hears
// of it any more. Nothing is settled, each is counted before Run returns, and the next
// owner writes them all.
func TestRunEndsWhileDeadLettersAreUnderWay(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	dlt, id := deadLetterTopic(t, b, topic)
	const records = 200
	held, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if r := req.(*kmsg.ProduceRequest); len(r.Topics) > 0 && (r.Topics[0].Topic == dlt || r.Topics[0].TopicID == id) {
			once.Do(func() {
				close(held)
				c.SleepControl(func() { <-answer })
			})
		}
		return nil, nil, false
	})
	var dropped, lettered seen[int64]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter, Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Hour},
		Handler: func(context.Context, *orderly.Message) error { return orderly.Permanent(errBusy) },
		Events: orderly.Events{
			DeadLettered: func(e orderly.DeadLetteredEvent) { lettered.add(e.Offset) },
			Dropped: func(e orderly.DroppedEvent) {
				if e.Reason == "late-dead-letter" {
					dropped.add(int64(e.Records))
				}
			},
		}})
	b.Produce(topic, keyed(1, names("k", records)...)...)
	m := g.Start()
	<-held
	b.Eventually("all dead letters to be under way", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.BlockedStates["dead-letter-writing"] == records
	})
	stopAll(t, m)
	if n := dropped.len(); n != records || lettered.len() != 0 {
		t.Errorf("when Run returned %d writes were counted as too late, and %d as dead letters; %d were under way", n, lettered.len(), records)
	}
	close(answer)
	m = g.Start()
	committed(t, b, m, topic, 0, records)
	if n := lettered.len(); n != records {
		t.Errorf("%d dead letters of the next owner, want %d", n, records)
	}
	stopAll(t, m)
	ends, err := b.Admin().ListEndOffsets(t.Context(), dlt)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(dlt, 0)
	got := make(map[string]bool)
	for _, r := range readAll(t, b, dlt, int(end.Offset)) {
		got[string(r.Key)] = true
	}
	if len(got) != records {
		t.Errorf("dead letters of %d keys, want %d", len(got), records)
	}
}
