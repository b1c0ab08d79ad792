//go:build synctests

package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dying is an act that ends its process.
func dying(ctx context.Context, _ *orderly.Message) error {
	ctx.Value(memberKey{}).(*member).kill(true)
	<-ctx.Done()
	return context.Cause(ctx)
}

// twoDeaths ends two processes by the record of the key "die" of partition 0.
func twoDeaths(t *testing.T, w *world, s *script, c memberConfig) {
	t.Helper()
	s.set("die", dying)
	for _, name := range []string{"first", "second"} {
		m := w.start(name, c)
		w.until(name+" is killed", 5*time.Minute, m.isKilled)
	}
}

// A partition goes over from one at a time to side by side while a record waits for
// its announcement: no commit will make that any more.
func TestAnnouncementOutlivedByOneAtATime(t *testing.T) {
	scene(t, 2, func(t *testing.T, w *world) {
		s := newScript()
		c := short()
		c.act = s.act
		c.CommitInterval = 300 * time.Millisecond
		w.produce(keys("die", "slow"))
		twoDeaths(t, w, s, c)
		s.set("die", nil)
		s.set("slow", busyFor(5*time.Second))
		third := w.start("third", c)
		w.running(third, 1)
		if !third.warned("one-at-a-time") {
			t.Fatal("the partition does not run one at a time: this test shows nothing")
		}
		// What is announced next waits for a commit of the other partition.
		free := make(chan struct{})
		w.produce(keys("late"))
		time.Sleep(3 * time.Second)
		third.host.add(hold{key: kmsg.OffsetCommit, until: free, answer: true})
		w.produce([]keyed{{partition: 1, key: []byte("k"), value: "1"}})
		time.Sleep(3 * time.Second)
		close(free)
		w.caughtUp(time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}

// Under block a record that used up its attempts is tried again also where records
// run one at a time, and where owners have ended uncleanly for other reasons.
func TestBlockTriesAgainOneAtATime(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		c := short()
		c.act, c.Retry.MaxAttempts = s.act, 2
		c.Breaker.Disabled = true
		s.set("bad", func(context.Context, *orderly.Message) error { return errors.New("not now") })
		m := w.start("before", c)
		w.produce(keys("bad", "bad"))
		w.until("its attempts are used up, and recorded", time.Minute, func() bool {
			st, ok := w.h.committed(topicName, 0)
			return ok && len(st.meta.Attempts) == 1 && st.meta.Attempts[0].Count >= 2
		})
		m.leave()
		w.produce(keys("die"))
		twoDeaths(t, w, s, c)
		s.set("die", nil)
		s.set("bad", nil)
		m = w.start("after", c)
		w.caughtUp(5 * time.Minute)
		if !m.warned("one-at-a-time") {
			t.Error("the partition did not run one at a time: this test shows nothing")
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

// Attempts that failed in an ordinary way are not told as deaths, although owners have
// ended uncleanly since: the record is tried once more, and its own error is the cause.
func TestFailuresBeforeADeathAreNotDeaths(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		c := short()
		c.act, c.Retry.MaxAttempts = s.act, 2
		c.Breaker.Disabled = true
		bad := errors.New("not now")
		s.set("bad", func(context.Context, *orderly.Message) error { return bad })
		m := w.start("before", c)
		w.produce(keys("bad"))
		w.until("its attempts are used up, and recorded", time.Minute, func() bool {
			st, ok := w.h.committed(topicName, 0)
			return ok && len(st.meta.Attempts) == 1 && st.meta.Attempts[0].Count >= 2
		})
		m.leave()
		w.produce(keys("die"))
		twoDeaths(t, w, s, c)
		s.set("die", nil)
		c.OnExhausted = orderly.PolicyStop
		m = w.start("after", c)
		<-m.done
		var stop *orderly.StopError
		if !errors.As(m.err, &stop) || stop.Offset != 0 || !errors.Is(stop.Err, bad) || errors.Is(stop.Err, orderly.ErrProcessEnded) {
			t.Errorf("Run ended with %v", m.err)
		}
		if !m.warned("one-at-a-time") {
			t.Error("the partition did not run one at a time: this test shows nothing")
		}
		s.set("bad", nil)
		c.OnExhausted = orderly.PolicyBlock
		w.start("last", c)
		w.caughtUp(5 * time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
