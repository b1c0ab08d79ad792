//go:build synctests

package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A result that comes when the partition is another's changes nothing: brokers
// would take the commit, for they do not ask who owns a partition.
func TestLateResultNeverRewindsTheNewOwner(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		s.set("late", deafFor(30*time.Second))
		c := short()
		c.act = s.act
		old := w.start("old", turns(c, "b"))
		w.produce(keys("k1", "late", "k2"))
		w.running(old, 1)
		s.set("late", nil)
		next := w.start("next", turns(c, "a"))
		w.owns(next)
		w.caughtUp(time.Minute)
		w.produce(many(50))
		w.caughtUp(time.Minute)
		at := w.commits()
		w.until("the late handler has returned", time.Minute, func() bool {
			return len(w.find(func(e history.Event) bool { return e.Kind == history.End && e.Member == "old" && e.Offset == 1 })) == 1
		})
		time.Sleep(20 * time.Second)
		if now := w.commits(); len(now) != len(at) {
			t.Errorf("after the late result there was a commit: %+v", now[len(at):])
		}
		for _, e := range w.commits() {
			if e.Member == "old" && e.Token > 0 && e.N > w.starts(1)[1].N {
				t.Errorf("the old owner committed after the new one had begun: %+v", e)
			}
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

// A revoke waits for the commit that is on its way, and the next one waits for its
// answer: never two at a time.
func TestAnswerThatIsLateHoldsUpTheRelease(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		c := short()
		old := w.start("old", turns(c, "b"))
		w.owns(old)
		free := make(chan struct{})
		old.host.add(hold{key: kmsg.OffsetCommit, until: free, answer: true})
		w.produce(many(10))
		w.until("a commit is applied, and not answered", time.Minute, func() bool {
			st, ok := w.h.committed(topicName, 0)
			return ok && st.offset == 10
		})
		sent := w.h.commits.Load()
		w.produce(many(10))
		w.running(old, 19)
		old.end()
		time.Sleep(time.Second)
		if n := w.count(history.Release, "old"); n != 0 {
			t.Errorf("the partition was released while a commit was outstanding")
		}
		if w.h.commits.Load() != sent {
			t.Errorf("a second commit was sent while one was outstanding")
		}
		close(free)
		<-old.done
		if st, _ := w.h.committed(topicName, 0); st.offset != 20 || !st.meta.Clean {
			t.Errorf("released with offset %d committed, clean %v; all 20 were done", st.offset, st.meta.Clean)
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

// A commit without an answer may land later, over a newer one. The next commit
// waits for a generation in which the coordinator refuses the old one.
func TestCommitWithoutAnAnswerNeverLandsOnALaterOne(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		c := short()
		m := w.start("m", c)
		w.owns(m)
		free := make(chan struct{})
		m.host.add(hold{key: kmsg.OffsetCommit, until: free})
		w.produce(many(10)) // the commit of these is on its way for long
		w.until("the step was taken again in a new generation", time.Minute, func() bool { return w.count(history.Own, "m") == 2 })
		w.produce(many(10))
		w.caughtUp(time.Minute)
		before := m.c.State().Generation
		close(free)
		time.Sleep(10 * time.Second)
		refused := 0
		w.h.mu.Lock()
		for _, e := range w.h.entries {
			if e.Kind == history.Commit && e.void && e.Offset == 10 {
				refused++
			}
		}
		w.h.mu.Unlock()
		if refused != 1 {
			t.Errorf("the late commit was refused %d times; it should have landed once, and been refused", refused)
		}
		if st, _ := w.h.committed(topicName, 0); st.offset != 20 || m.c.State().Generation != before {
			t.Errorf("the group is at offset %d, generation %d (was %d)", st.offset, m.c.State().Generation, before)
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

// In cooperative rebalances generations move under partitions that are kept: no
// callback says so, and commits have to go on in the new one.
func TestCommitsFollowTheGenerationOfKeptPartitions(t *testing.T) {
	scene(t, 2, func(t *testing.T, w *world) {
		c := short()
		a := w.start("a", c)
		w.owns(a)
		first := a.c.State().Generation
		b := w.start("b", c)
		w.until("b has a partition", time.Minute, func() bool { return w.count(history.Own, "b") == 1 })
		kept := w.find(func(e history.Event) bool { return e.Kind == history.Release })[0].Partition ^ 1
		if gen := a.c.State().Generation; gen <= first {
			t.Fatalf("the generation has not moved: %d, %d", first, gen)
		}
		w.produce([]keyed{{partition: kept, key: []byte("k"), value: "1"}})
		w.caughtUp(10 * time.Second)
		own := w.find(func(e history.Event) bool { return e.Kind == history.Own && e.Member == "a" && e.Partition == kept })
		if len(own) != 1 {
			t.Errorf("the kept partition was granted %d times; nothing had been refused", len(own))
		}
		b.leave()
		w.caughtUp(time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}

// A commit that is refused in this generation: nothing starts, and nothing is
// committed, until the whole step was taken again in the next one.
func TestRefusedCommitTakesTheWholeStepAgain(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.IllegalGeneration, kerr.RebalanceInProgress} {
		t.Run(refusal.Message, func(t *testing.T) {
			scene(t, 1, func(t *testing.T, w *world) {
				m := w.start("m", short())
				w.owns(m)
				w.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: refusal})
				w.produce(many(5))
				w.until("the refusal is noticed", time.Minute, func() bool {
					p := m.c.State().Partitions
					return len(p) == 1 && slices.Contains(p[0].Reasons, "awaiting-grant")
				})
				was := w.starts(0)[0].Token
				w.produce(many(5))
				w.until("another generation has come", time.Minute, func() bool {
					if n := len(w.starts(5)); n != 0 {
						t.Errorf("a handler began although the commit was refused")
					}
					if n := len(w.commits()); n != 1 {
						t.Errorf("%d commits were applied in a generation that refused one", n)
					}
					return m.c.State().Generation > 1 || t.Failed()
				})
				w.caughtUp(time.Minute)
				if now := w.starts(5)[0].Token; now <= was {
					t.Errorf("the token is %d, and was %d before the whole step", now, was)
				}
				w.verdict(orderly.ScopeKey, true)
			})
		})
	}
}
