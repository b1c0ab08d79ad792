//go:build synctests

package sim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A partition leaves while a handler ignores its context, and comes back to the
// same consumer before that handler has returned: its key stays closed until then,
// other keys run, and its result is not counted.
func TestStuckHandlerOfAnEarlierOwnershipIsNotOverlapped(t *testing.T) {
	for _, other := range []bool{false, true} {
		name := "back at once"
		if other {
			name = "another owner in between"
		}
		t.Run(name, func(t *testing.T) {
			scene(t, 1, func(t *testing.T, w *world) {
				s := newScript()
				s.set("stuck", deafFor(time.Minute))
				c := short()
				c.act = s.act
				a := w.start("a", turns(c, "b"))
				w.produce(keys("k", "stuck", "stuck"))
				w.running(a, 1)
				s.set("stuck", nil)
				if other {
					b := w.start("b", turns(c, "a"))
					w.owns(b)
					b.kill(true)
				} else {
					a.c.Rebalance()
				}
				w.until("a has the partition again", time.Minute, func() bool { return w.count(history.Own, "a") == 2 })
				w.produce(keys("k", "l"))
				w.running(a, 4)
				if n := len(w.find(func(e history.Event) bool { return e.Kind == history.End && e.Member == "a" && e.Offset == 1 })); n != 0 {
					t.Fatalf("the stuck handler has returned: this test shows nothing")
				}
				w.caughtUp(5 * time.Minute)
				st := w.starts(1)
				if len(st) < 2 || st[len(st)-1].Member != "a" {
					t.Errorf("the record was begun as %+v; its first result came after its ownership, so it comes again", st)
				}
				w.verdict(orderly.ScopeKey, true)
			})
		})
	}
}

// At the drain deadline contexts end. What is done by then is committed before the
// partition is released, also what is done ahead; what comes later is not.
func TestDrainDeadline(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var cause error
		var took time.Duration
		s := newScript()
		s.set("slow", func(ctx context.Context, m *orderly.Message) error {
			began := time.Now()
			err := busy(ctx, time.Hour)
			mu.Lock()
			cause, took = context.Cause(ctx), time.Since(began)
			mu.Unlock()
			return err
		})
		s.set("late", deafFor(7*time.Second))
		var freed orderly.RevokedEvent
		var then stored
		c := short()
		c.act, c.DrainTimeout = s.act, 2*time.Second
		c.Events.Revoked = func(e orderly.RevokedEvent) {
			mu.Lock()
			defer mu.Unlock()
			freed = e
			then, _ = w.h.committed(topicName, 0)
		}
		a := w.start("a", c)
		w.produce(keys("k0", "slow", "k1", "late", "slow", "k2"))
		w.running(a, 1)
		w.running(a, 5)
		time.Sleep(5*time.Second - time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		began := time.Now()
		a.end()
		w.until("the partition is released", time.Minute, func() bool { return w.count(history.Release, "a") == 1 })
		if d := time.Since(began); d < 2*time.Second || d > 4*time.Second {
			t.Errorf("released after %s; the drain deadline is 2s", d)
		}
		<-a.done
		mu.Lock()
		if !errors.Is(cause, orderly.ErrDrainDeadline) {
			t.Errorf("the context ended with %v after %s", cause, took)
		}
		if freed.Clean || !freed.Committed || freed.Drain < 2*time.Second {
			t.Errorf("the release was told as %+v", freed)
		}
		if then.offset != 1 || len(then.meta.Ahead) != 2 || then.meta.Clean {
			t.Errorf("committed before the release: offset %d, ahead %v, clean %v; want 1, [2,3) and [5,6), not clean", then.offset, then.meta.Ahead, then.meta.Clean)
		}
		mu.Unlock()
		s.set("slow", nil)
		s.set("late", nil)
		w.start("b", c)
		w.caughtUp(time.Minute)
		if n := len(w.starts(3)); n != 2 {
			t.Errorf("the record with the late result was begun %d times, want 2", n)
		}
		if n := len(w.starts(5)); n != 1 {
			t.Errorf("a record that was done ahead was begun %d times", n)
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

const exitChild = "ORDERLY_SIM_EXIT_CHILD"

// With StuckExit the process ends instead of releasing the partition.
func TestStuckExitEndsTheProcess(t *testing.T) {
	if os.Getenv(exitChild) == "1" {
		scene(t, 1, func(t *testing.T, w *world) {
			s := newScript()
			s.set("stuck", deafFor(time.Hour))
			c := short()
			c.act, c.OnStuckHandler = s.act, orderly.StuckExit
			c.Events.Revoked = func(orderly.RevokedEvent) { os.Stdout.WriteString("released\n") }
			a := w.start("a", c)
			w.produce(keys("stuck"))
			w.running(a, 0)
			a.leave()
			os.Stdout.WriteString("survived\n")
		})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStuckExitEndsTheProcess$")
	cmd.Env = append(os.Environ(), exitChild+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the process ended with %v, want exit code 1\n%s", err, out.String())
	}
	if s := out.String(); strings.Contains(s, "released") || strings.Contains(s, "survived") {
		t.Errorf("the partition was released all the same:\n%s", s)
	}
}

// One record is stuck, and thousands behind it are done: the next owner repeats
// what was running, and nothing that a commit had recorded. Attempts go on from
// where they were.
func TestDoneAheadSurvivesAHandover(t *testing.T) {
	const behind = 20_000
	for _, killed := range []bool{false, true} {
		name := "in order"
		if killed {
			name = "killed"
		}
		t.Run(name, func(t *testing.T) {
			scene(t, 1, func(t *testing.T, w *world) {
				s := newScript()
				var tries atomic.Int32
				s.set("stuck", func(ctx context.Context, m *orderly.Message) error {
					if tries.Add(1) <= 3 {
						return errHandler
					}
					return busy(ctx, time.Hour)
				})
				c := short()
				c.act = s.act
				a := w.start("a", c)
				w.produce(keys("stuck"))
				w.produce(many(behind))
				w.until("all that can be done is recorded", time.Minute, func() bool {
					st, ok := w.h.committed(topicName, 0)
					return ok && len(st.meta.Ahead) == 1 && st.meta.Ahead[0].To == behind+1 && len(st.meta.Attempts) == 1 && tries.Load() == 4
				})
				if killed {
					a.kill(true)
				} else {
					a.leave()
				}
				s.set("stuck", nil)
				w.start("b", c)
				w.caughtUp(5 * time.Minute)
				again := w.find(func(e history.Event) bool { return e.Kind == history.Start && e.Member == "b" })
				if len(again) != 1 || again[0].Offset != 0 {
					t.Errorf("the next owner began %d records; only the stuck one was not done", len(again))
				}
				if len(again) > 0 && again[0].Attempt != 4 {
					t.Errorf("it was handed over as attempt %d; 3 had failed, and the one that was cut short is not counted", again[0].Attempt)
				}
				w.verdict(orderly.ScopeKey, true)
			})
		})
	}
}

// A member whose join never reached the coordinator is dropped, joins again under
// another id, and is given its partition as if it had kept it: the client says
// nothing. Another member has owned it in between.
func TestPartitionKeptUnderAnotherMemberID(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		c := short()
		a := w.start("a", c)
		w.owns(a)
		b := w.start("b", c)
		w.produce(many(10))
		w.caughtUp(time.Minute)
		time.Sleep(5 * time.Second)
		thaw := a.freeze()
		a.c.Rebalance()
		w.owns(b)
		w.produce(many(10))
		w.caughtUp(time.Minute)
		b.leave()
		thaw()
		w.produce(many(10))
		w.caughtUp(5 * time.Minute)
		// Until the join is answered it may believe that it is a member, and begin
		// what it reads; nothing of that may count.
		own := w.find(func(e history.Event) bool { return e.Kind == history.Own })
		if last := own[len(own)-1]; len(own) != 3 || last.Member != "a" || last.Token <= own[1].Token {
			t.Errorf("ownerships: %+v; the last has to be new, above the one in between", own)
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

// A member that learns of a rebalance when most of its time has passed ends its
// handlers earlier: the group does not wait longer for it.
func TestDrainOfOneThatLearnsLateOfTheRebalance(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		s.set("slow", busyFor(time.Minute))
		c := short()
		c.act = s.act
		c.SessionTimeout, c.RebalanceTimeout = 45*time.Second, 12*time.Second
		a := w.start("a", turns(c, "b"))
		w.produce(keys("slow"))
		w.running(a, 0)
		thaw := a.freeze()
		b := w.start("b", turns(c, "a"))
		time.Sleep(8 * time.Second)
		thaw()
		w.owns(b)
		s.set("slow", nil)
		w.caughtUp(5 * time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}

// Who is cut off is dropped when a rebalance has waited for it, which may be
// earlier than its session's end.
func TestCutOffIsNoticedWithinTheRebalanceTimeout(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		s.set("slow", busyFor(time.Minute))
		c := short()
		c.act = s.act
		c.SessionTimeout, c.RebalanceTimeout = 45*time.Second, 6*time.Second
		a := w.start("a", c)
		w.produce(keys("slow"))
		w.running(a, 0)
		thaw := a.freeze()
		b := w.start("b", c)
		w.owns(b)
		time.Sleep(5 * time.Second)
		thaw()
		s.set("slow", nil)
		w.caughtUp(5 * time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}

// holdUp is a hook of the client that takes its time over the records of a key.
type holdUp struct {
	key      string
	d        time.Duration
	returned atomic.Pointer[time.Time]
}

func (h *holdUp) OnFetchRecordUnbuffered(r *kgo.Record, _ bool) {
	if string(r.Key) != h.key || h.returned.Load() != nil {
		return
	}
	time.Sleep(h.d)
	now := time.Now()
	h.returned.Store(&now)
}

// A partition leaves and comes back while records of its earlier ownership are on
// their way out of the client: whoever sees them there, by a hook, is not told of the
// new ownership before they have come.
func TestAssignedAfterRecordsOfAnEarlierOwnership(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		hook := &holdUp{key: "held", d: 10 * time.Second}
		c := short()
		c.KafkaOpts = append(c.KafkaOpts, kgo.WithHooks(hook))
		a := w.start("a", turns(c, "a"))
		w.owns(a)
		w.produce(keys("k"))
		w.running(a, 0)
		w.produce(keys("held"))
		time.Sleep(time.Second)
		a.c.Rebalance()
		w.until("the partition is given up", time.Minute, func() bool { return w.count(history.Release, "a") == 1 })
		if hook.returned.Load() != nil {
			t.Fatal("the records came before the partition was given up: this test shows nothing")
		}
		w.until("a has the partition again", time.Minute, func() bool { return w.count(history.Own, "a") == 2 })
		if hook.returned.Load() == nil {
			t.Error("the event of the new ownership came before the records of the earlier one")
		}
		w.caughtUp(time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
