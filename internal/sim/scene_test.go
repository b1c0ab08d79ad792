//go:build synctests

package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
)

// scene runs a test in a bubble with a world of its own, and checks the history
// when the test has not already.
func scene(t *testing.T, partitions int, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldConfig{partitions: partitions})
		defer func() {
			if t.Failed() {
				_, _ = w.logText.WriteTo(t.Output())
			}
		}()
		defer w.close()
		f(t, w)
	})
}

// short are the timeouts of most scenes: a session of 6 s, a drain of 4 s.
func short() memberConfig {
	var c memberConfig
	c.SessionTimeout, c.RebalanceTimeout = 6*time.Second, 60*time.Second
	c.HeartbeatInterval, c.CommitInterval = time.Second, time.Second
	c.Retry = orderly.Retry{Backoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond}
	return c
}

// turns makes a member static with the range balancer, which gives the one
// partition to the lowest instance id: so a partition moves to who comes with a
// lower one, and back when that one has gone for a session.
func turns(c memberConfig, instance string) memberConfig {
	c.InstanceID, c.Balancer = instance, orderly.Range
	return c
}

// keys makes one record of partition 0 for each key.
func keys(ks ...string) (recs []keyed) {
	for _, k := range ks {
		recs = append(recs, keyed{key: []byte(k), value: k})
	}
	return recs
}

// many makes n records of partition 0 with keys of their own.
func many(n int) (recs []keyed) {
	for i := range n {
		recs = append(recs, keyed{key: fmt.Appendf(nil, "n%d", i), value: "many"})
	}
	return recs
}

// A script says what handlers do, by the record's key and as the test goes on;
// other records are done at once.
type script struct {
	mu sync.Mutex
	on map[string]act
}

func newScript() *script { return &script{on: make(map[string]act)} }

func (s *script) set(key string, do act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[key] = do
}

func (s *script) act(ctx context.Context, m *orderly.Message) error {
	s.mu.Lock()
	do := s.on[string(m.Key)]
	s.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(ctx, m)
}

// busyFor is an act that takes a time, and ends with its context.
func busyFor(d time.Duration) act {
	return func(ctx context.Context, _ *orderly.Message) error { return busy(ctx, d) }
}

// deafFor is one that takes a time, whatever its context says, and then succeeds.
func deafFor(d time.Duration) act {
	return func(ctx context.Context, m *orderly.Message) error { return deaf(ctx, m, d) }
}

// find returns the events that match.
func (w *world) find(match func(history.Event) bool) []history.Event {
	return slices.DeleteFunc(w.h.events(), func(e history.Event) bool { return !match(e) })
}

// count counts the events of a kind of a member (empty: of any) in partition 0.
func (w *world) count(kind history.Kind, member string) int {
	return len(w.find(func(e history.Event) bool { return e.Kind == kind && (member == "" || e.Member == member) }))
}

// starts are the starts of the record at an offset of partition 0, by all members.
func (w *world) starts(offset int64) []history.Event {
	return w.find(func(e history.Event) bool { return e.Kind == history.Start && e.Partition == 0 && e.Offset == offset })
}

// owns waits until the member has partition 0.
func (w *world) owns(m *member) {
	w.t.Helper()
	w.until(m.name+" owns the partition", 5*time.Minute, func() bool {
		own := w.find(func(e history.Event) bool {
			return e.Partition == 0 && (e.Kind == history.Own || e.Kind == history.Release || e.Kind == history.Kill)
		})
		return len(own) > 0 && own[len(own)-1].Kind == history.Own && own[len(own)-1].Member == m.name
	})
}

// running waits until the record at the offset is with a handler of the member.
func (w *world) running(m *member, offset int64) {
	w.t.Helper()
	w.until(fmt.Sprintf("offset %d is with a handler of %s", offset, m.name), 5*time.Minute, func() bool {
		s := w.starts(offset)
		return len(s) > 0 && s[len(s)-1].Member == m.name
	})
}

// commits are the applied commits of partition 0.
func (w *world) commits() []history.Event {
	return w.find(func(e history.Event) bool { return e.Kind == history.Commit && e.Partition == 0 })
}

// redelivered counts the starts beyond the first of each record.
func (w *world) redelivered() (n int) {
	type record struct {
		place
		offset int64
	}
	seen := make(map[record]bool)
	for _, e := range w.find(func(e history.Event) bool { return e.Kind == history.Start }) {
		r := record{place{e.Topic, e.Partition}, e.Offset}
		if seen[r] {
			n++
		}
		seen[r] = true
	}
	return n
}
