package parking

import (
	"fmt"
	"testing"
	"time"
)

// manyDue has so many keys parked and due, at offsets from 0 on, of which two may be
// released at a time.
func manyDue(t *testing.T, keys int) (b *bench, due int64) {
	b = newBench(t, func(r *Rules) { r.Releases = 2 })
	for i := range int64(keys) {
		b.arrive(fmt.Sprint("k", i), i, failed)
	}
	b.did = nil
	return b, (time.Hour).Milliseconds()
}

// A release that has ended well is followed by the next key that is due, without a tick:
// on schedule no more than Rules.Releases would begin in each. Where one has failed, the
// next waits for the tick: what handlers need may be gone.
func TestReleasesFollowEachOther(t *testing.T) {
	b, due := manyDue(t, 7)
	b.do(b.o.Tick(due))
	b.want("run 0", "run 1")
	b.ended("k0", 0, nil)
	b.want("run 2")
	b.ended("k1", 1, failed)
	b.want()
	b.ended("k2", 2, nil)
	b.want("run 3") // for the one that ended well, and none for the other
	b.do(b.o.Tick(due))
	b.want("run 4")
	b.ended("k3", 3, nil)
	b.want("run 5")
	b.ended("k4", 4, nil)
	b.want("run 6")
	b.ended("k5", 5, nil)
	b.ended("k6", 6, nil)
	b.want()
	if n := b.o.Releasing(); n != 0 {
		t.Errorf("%d keys are released", n)
	}
	if keys, _, _, _ := b.o.State().Counts(); keys != 1 {
		t.Errorf("%d keys are parked, and one has failed again", keys)
	}
}

// A key that is retried by word meanwhile, or whose head was skipped, is not released a
// second time when its turn comes.
func TestKeyThatWasDueIsLookedAtAgain(t *testing.T) {
	b, due := manyDue(t, 5)
	b.do(b.o.Tick(due))
	b.want("run 0", "run 1")
	b.command("c1", Retry, "k2", 2)
	b.want("run 2")
	b.command("c2", Skip, "k3", 3)
	b.want("skipped 3")
	b.ended("k0", 0, nil)
	b.want() // two are released still
	b.ended("k1", 1, nil)
	b.want("run 4")
}

// Paused keys that are due take no place from others; resumed they are released.
func TestPausedKeysHoldUpNoRelease(t *testing.T) {
	b, due := manyDue(t, 4)
	for i := range int64(3) {
		b.command(fmt.Sprint("p", i), Pause, fmt.Sprint("k", i), i)
	}
	b.did = nil
	b.do(b.o.Tick(due))
	b.want("run 3")
	b.ended("k3", 3, nil)
	b.want()
	b.command("r0", Resume, "k0", 0)
	b.did = nil
	b.do(b.o.Tick(due + 1))
	b.want("run 0")
}

// A key that is paused during its release gives its place to others, when its record is
// done; resumed it goes on.
func TestKeyThatIsPausedDuringItsRelease(t *testing.T) {
	b, due := manyDue(t, 4)
	for i := range int64(2) {
		b.arrive(fmt.Sprint("k", i), 10+i, nil)
	}
	b.did = nil
	b.do(b.o.Tick(due))
	b.want("run 0", "run 1")
	b.command("p0", Pause, "k0", 0)
	b.command("p1", Pause, "k1", 1)
	b.ended("k0", 0, nil)
	b.want("run 2")
	b.ended("k1", 1, nil)
	b.want("run 3")
	b.ended("k2", 2, nil)
	b.ended("k3", 3, nil)
	b.command("r1", Resume, "k1", 11)
	b.did = nil
	b.do(b.o.Tick(due + 1))
	b.want("run 11")
}

// A key whose time comes while others that are due wait for their turn is looked for after
// some time: here one that is parked longest, behind a head that an operator has skipped.
func TestKeysThatAreDueMeanwhile(t *testing.T) {
	b := newBench(t, func(r *Rules) { r.Releases = 2 })
	b.arrive("old", 0, permanent)
	b.arrive("old", 1, nil)
	const others = 200
	for i := range int64(others) {
		b.arrive(fmt.Sprint("k", i), 2+i, failed)
	}
	b.did = nil
	now := time.Hour.Milliseconds()
	b.do(b.o.Tick(now))
	b.command("s", Skip, "old", 0)
	for range LookAgain/1000 + 1 {
		runs := b.runs
		b.runs = nil
		for _, r := range runs { // all of them fail
			b.ended(fmt.Sprint("k", r.Offset-2), r.Offset, &Failure{Cause: "no", Last: now})
		}
		now += 1000
		b.do(b.o.Tick(now))
		if len(b.runs) > 0 && b.runs[0].Offset == 1 {
			return
		}
	}
	t.Errorf("it is not released within %d ms; done: %q", LookAgain, b.did)
}

// Nothing on schedule begins before Grant.NotBefore, nor in the place of another one, when
// the clock is set back.
func TestNotBeforeHoldsForThoseThatFollow(t *testing.T) {
	b, due := manyDue(t, 5)
	b.do(b.o.Granted(Grant{Token: 6, NotBefore: due}))
	b.do(b.o.Tick(due - 1))
	b.want()
	b.do(b.o.Tick(due))
	b.want("run 0", "run 1")
	b.do(b.o.Tick(due - 1))
	b.ended("k0", 0, nil)
	b.want()
}

// A record that could not be read is handed over again.
func TestUnreadRecordIsHandedOverAgain(t *testing.T) {
	b, due := manyDue(t, 1)
	b.do(b.o.Tick(due))
	b.want("run 0")
	b.o.Unread(b.runs[0])
	b.do(b.o.Tick(due + 1))
	b.want("run 0")
	b.ended("k0", 0, nil)
	b.o.Unread(b.runs[1]) // late: it has ended
	if n := b.o.Releasing(); n != 0 {
		t.Errorf("%d keys are released", n)
	}
}
