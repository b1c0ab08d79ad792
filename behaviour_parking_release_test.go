package orderly_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// A release goes on when its record meets an outage: no attempt is spent, the record is
// tried again and is then done as a parked one, and so are those behind it.
func TestReleaseThroughAnOutage(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var down atomic.Int64
	down.Store(100)
	c := &calls{bad: func(m *orderly.Message) error {
		switch left := down.Add(-1); {
		case left > 50: // until the key is parked
			return orderly.Permanent(errBusy)
		case left > 0 && left < 10:
			return orderly.Unavailable(errors.New("down"))
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Retry: orderly.Retry{Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond},
		Breaker: orderly.Breaker{Disabled: true}, Handler: c.handle})
	b.Produce(topic, keyed(3, "bad")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 3)
	down.Store(3)
	ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
	if err != nil || ans.Result != "released" {
		t.Fatalf("%+v, %v", ans, err)
	}
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("handled %v", got)
	}
	parkedRecords(t, b, m, topic, 0, 0)
	stopAll(t, m)
}

// Message.Attempt goes on counting through the releases of a record, and so it does for
// one that was parked without having been tried.
func TestAttemptsOfReleasesAreCounted(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var mu sync.Mutex
	attempts := map[int64][]int{}
	c := &calls{bad: func(m *orderly.Message) error {
		mu.Lock()
		defer mu.Unlock()
		attempts[m.Offset] = append(attempts[m.Offset], m.Attempt)
		if m.Attempt < 4 {
			return errBusy
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 2},
		Parking: orderly.Parking{First: time.Millisecond, Longest: time.Millisecond}, Breaker: orderly.Breaker{Disabled: true}, Handler: c.handle})
	b.Produce(topic, keyed(2, "k")...)
	m := g.Start()
	b.Eventually("both to be done", func() bool { return len(c.of("k")) == 2 })
	mu.Lock()
	defer mu.Unlock()
	if got := attempts[0]; !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("the first: attempts %v", got)
	}
	if got := attempts[1]; !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("the one behind it: attempts %v", got)
	}
	stopAll(t, m)
}
