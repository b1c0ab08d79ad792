package parking

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCommandsDoNothingTwice(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	b.arrive("a", 2, nil)
	b.did = nil
	b.command("s", Skip, "a", 1)
	b.command("s", Skip, "a", 1)
	if e := b.log[len(b.log)-2]; b.answer("s") != "done skipped" || e.Kind != KindAnswer {
		t.Errorf("answer %q, then %s", b.answer("s"), e.Kind)
	}
	if e := b.log[4]; e.Kind != KindResolved || !e.Resolved.Skipped || e.Resolved.By != "s" || e.Resolved.Reason != "because" {
		t.Errorf("%+v", e)
	}
	b.do(b.o.Tick(1)) // what stood in the way is gone
	b.want("skipped 1", "run 2")

	b.command("p", Pause, "a", 0)
	b.command("r", Resume, "a", 0)
	b.command("p", Pause, "a", 0) // a repeat that lands late
	if b.o.Paused(ID([]byte("a"))) {
		t.Error("a repeat has paused the key again")
	}
	b.command("x", Park, "q", 9)
	b.want("ask park")
	b.do(b.o.Answer("x", Done, "parked"))
	b.command("x", Park, "q", 9)
	b.want()

	b.do(b.o.Granted(Grant{Token: 6}))
	if e := b.log[len(b.log)-1]; e.Kind != KindMarker {
		t.Errorf("a repeat is acted on under a new token: %s", e.Kind)
	}

	b.do(b.o.Tick(b.rules.Remember.Milliseconds() + 1))
	b.command("old", Pause, "a", 0)
	if got := b.answer("old"); !strings.HasPrefix(got, "refused") {
		t.Errorf("answer %q", got)
	}
}

func TestCommandsThatChangeNothingSayWhy(t *testing.T) {
	b := newBench(t, func(r *Rules) { r.MaxPerKey = 1 })
	b.arrive("a", 1, permanent)
	b.arrive("a", 2, nil)
	b.command("s", Skip, "a", 2)
	b.command("p", Park, "a", 1)
	b.command("r", Retry, "a", 1)
	b.ended("a", 1, nil)
	b.command("q", Retry, "a", 1)
	for id, want := range map[string]string{"s": "refused", "p": "done its key is parked", "r": "done released", "q": "done it was settled before"} {
		if got := b.answer(id); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, not %q", id, got, want)
		}
	}
	if b.o.Idle() {
		t.Error("idle, although 1 is not committed yet and would be handled again if it came again")
	}
	b.do(b.o.Committed(2, Guard{}, true))
	if !b.o.Idle() {
		t.Error("not idle with nothing parked")
	}
}

func TestAPausedKeyIsNotReleased(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, failed)
	b.command("p", Pause, "a", 1)
	b.do(b.o.Tick(time.Hour.Milliseconds()))
	b.want("settle 1")
	b.command("r", Resume, "a", 1)
	b.do(b.o.Tick(time.Hour.Milliseconds() + 1))
	b.want("run 1")
}

// A skip waits until the running attempt has returned.
func TestASkipWaitsForTheAttempt(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	b.did = nil
	b.command("r", Retry, "a", 1)
	b.command("s", Skip, "a", 1)
	if got := b.answer("s"); got != "none" {
		t.Errorf("answered while the handler runs: %q", got)
	}
	b.ended("a", 1, &Failure{Cause: "still"})
	if got := b.answer("r"); got != "done failed again: still" {
		t.Errorf("answer %q", got)
	}
	if got := b.answer("s"); got != "done skipped" {
		t.Errorf("answer %q", got)
	}
}

// A skip of a record that is blocked in place is an entry: it settles the record when it
// is read back, is told, and answered then.
func TestASkipOfABlockedRecord(t *testing.T) {
	b := newBench(t, nil)
	b.command("s", Skip, "a", 3)
	b.want("ask skip")
	b.do(b.o.Answer("s", Accepted, ""))
	b.held = true
	c := &CommandBody{ID: "s", Verb: Skip, Who: "w", Reason: "because"}
	b.do(b.o.Arrive(Item{Key: []byte("a"), Offset: 3, Body: &ParkedBody{}, Skip: c}))
	b.want()
	b.held = false
	b.land()
	b.want("skipped 3", "settle 3")
	if got := b.answer("s"); got != "done skipped" {
		t.Errorf("answer %q", got)
	}
	b.arrive("a", 3, nil) // it comes again, after a handover say
	b.want("settle 3")
	b.arrive("a", 4, nil)
	b.want("live 4")
	b.command("s", Skip, "a", 3)
	b.want()
}

// An owner ends after its skip was written, and before it has said so: the next one tells
// of it, and answers that the command did it. What was answered is told by nobody again.
func TestASkipIsToldByTheNextOwner(t *testing.T) {
	for _, answered := range []bool{false, true} {
		b := newBench(t, nil)
		b.arrive("a", 1, permanent)
		b.arrive("a", 2, nil)
		b.held = true
		b.command("s", Skip, "a", 1)
		log := slices.Concat(b.log, []*Entry{b.sent[0].Entry})
		if answered {
			b.held = false
			b.land()
			log = b.log
		}
		next := newBench(t, nil)
		next.held = true
		next.do(next.o.Granted(Grant{Token: 6}))
		for _, e := range log {
			next.put(e)
		}
		next.did, next.sent = nil, next.sent[len(next.sent)-1:] // the marker of the new token
		next.held = false
		next.land()
		if answered {
			next.want()
			continue
		}
		next.want("skipped 1")
		if got := next.answer("s"); got != "done skipped" {
			t.Errorf("answer %q", got)
		}
	}
}

// A record is parked by word as one is that has used up its attempts, and the word is
// answered when that is read back.
func TestParkByWord(t *testing.T) {
	b := newBench(t, nil)
	b.command("p", Park, "a", 3)
	b.want("ask park")
	b.arrive("a", 3, permanent)
	b.want("settle 3")
	if got := b.answer("p"); got != "done its key is parked" {
		t.Errorf("answer %q", got)
	}
}

// What of a paused key has come waits until the key is resumed, across a new token; what
// has failed is parked nevertheless.
func TestAPausedKeyWaits(t *testing.T) {
	b := newBench(t, nil)
	b.command("p", Pause, "a", 0)
	if !b.o.Concerns([]byte("a"), 1) || b.o.Concerns([]byte("b"), 2) {
		t.Error("a record of a paused key is not asked about, or one of another key is")
	}
	b.arrive("a", 1, nil)
	b.arrive("b", 2, nil)
	b.want("live 2")
	if p := b.o.PauseOf(ID([]byte("a"))); p == nil || p.Command.Reason != "because" || !b.o.Concerns([]byte("a"), 1) {
		t.Errorf("%+v", p)
	}
	b.do(b.o.Granted(Grant{Token: 6}))
	b.want()
	b.command("r", Resume, "a", 0)
	b.want("live 1")
	whole := func(id string, v Verb) {
		b.put(&Entry{Kind: KindCommand, Command: &CommandBody{ID: id, Verb: v, Whole: true, Who: "w"}})
	}
	whole("w", Pause)
	b.arrive("c", 3, nil)
	b.arrive("d", 4, failed)
	b.want("settle 4")
	if h := b.o.Held(); h == nil || h.Command.Who != "w" {
		t.Errorf("%+v", h)
	}
	whole("x", Resume)
	b.want("live 3")
	if b.o.Held() != nil {
		t.Error("still held")
	}
}
