package parking

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// A trim leaves what a reader that begins at its marker needs: the same state.
func TestATrimKeepsTheState(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, &Failure{Cause: "no", Attempts: 5, Last: 7})
	b.arrive("a", 2, nil)
	b.arrive("b", 3, permanent)
	b.arrive("c", 4, failed)
	b.command("p", Pause, "b", 3)
	b.command("s", Skip, "c", 4)
	b.command("q", Park, "z", 9) // not answered
	notes, _ := b.o.Note(ProgressBody{Attempts: []Attempts{{8, 2}}})
	b.do(notes)
	b.did = nil
	before := fmt.Sprint(describeState(b.o.state))
	b.do(b.o.Trim())
	g, _ := b.o.Guard()
	b.want("commit")
	b.do(b.o.Committed(1, g, true))
	b.want(fmt.Sprintf("delete %d", g.Trim))

	if n := b.o.Noted(); n == nil || n.Pos < g.Trim || len(n.Entry.Progress.Attempts) != 1 || b.log[n.Pos] != n.Entry && !Is(b.log[n.Pos], n.Place()) {
		t.Errorf("the note is %+v, and the topic counts from %d", n, g.Trim)
	}
	after := NewState()
	for pos := g.Trim; pos < int64(len(b.log)); pos++ {
		after.Apply(pos, b.log[pos], &b.rules)
	}
	if got := fmt.Sprint(describeState(after)); got != before {
		t.Errorf("after  %s\nbefore %s", got, before)
	}
	if !reflect.DeepEqual(after, b.o.state) {
		t.Error("the owner goes on with another state than a reader has")
	}
}

// A trim waits with the deletion until what a handler was given is surely read.
func TestATrimSparesWhatAHandlerReads(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	b.command("r", Retry, "a", 1)
	b.want("settle 1", "run 1")
	b.do(b.o.Trim())
	g, _ := b.o.Guard()
	b.do(b.o.Committed(1, g, true))
	b.want("commit")
	b.ended("a", 1, nil)
	b.want(fmt.Sprintf("delete %d", g.Trim))
	if got := b.answer("r"); got != "done released" {
		t.Errorf("answer %q", got)
	}
}

func describeState(s *State) (out []string) {
	for id, k := range s.keys {
		line := fmt.Sprint(id, k.upTo, k.due)
		for _, r := range k.recs {
			line += fmt.Sprint(" ", r.offset, r.last, r.tries, r.permanent)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	for _, c := range s.commands {
		out = append(out, c.cmd.Command.ID)
	}
	for _, a := range s.answers {
		out = append(out, a.Answer.Command.ID)
	}
	return append(out, fmt.Sprint(len(s.paused)))
}

// The last record of a key was skipped while the first is still parked: what is
// parked next rests on both, also for who begins at the trim.
func TestATrimKeepsWhatLaterEntriesRestOn(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	b.arrive("a", 2, nil)
	b.command("s", Skip, "a", 2)
	b.do(b.o.Committed(5, Guard{}, true))
	b.do(b.o.Trim())
	g, _ := b.o.Guard()
	b.do(b.o.Committed(5, g, true))
	b.arrive("a", 7, nil)
	next := NewState()
	for pos := g.Trim; pos < int64(len(b.log)); pos++ {
		next.Apply(pos, b.log[pos], &b.rules)
	}
	if settled, _ := next.Settled(ID([]byte("a")), 7); !settled || next.records != 2 {
		t.Errorf("settled %t, %d records", settled, next.records)
	}
}

// The same when the commit of the trim was taken without an answer: the owner's next
// grant names it, and the owner goes on with what a reader from there knows.
func TestATrimThatIsCommittedWithoutAnAnswer(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	b.arrive("a", 2, nil)
	b.command("s", Skip, "a", 2)
	b.do(b.o.Committed(5, Guard{}, true))
	b.do(b.o.Trim())
	g, _ := b.o.Guard()
	b.do(b.o.Granted(Grant{Token: b.o.token + 1, Watermark: 5, Guard: g}))
	b.arrive("a", 7, nil)
	next := NewState()
	for pos := g.Trim; pos < int64(len(b.log)); pos++ {
		next.Apply(pos, b.log[pos], &b.rules)
	}
	if settled, _ := next.Settled(ID([]byte("a")), 7); !settled || next.records != 2 {
		t.Errorf("settled %t, %d records", settled, next.records)
	}
}

// Two rules that random runs of the model meet seldom, each with its schedule.

// a is parked, released and done at 1 while the watermark stays at 0; a trim drops
// both entries. Who begins now must not handle 1 again behind 2.
func TestSettledUpToSurvivesATrim(t *testing.T) {
	for _, x := range []rule{ruleNone, ruleSettled} {
		b := newBench(t, func(r *Rules) { r.without = x })
		b.arrive("a", 1, permanent)
		b.command("r", Retry, "a", 1)
		b.ended("a", 1, nil)
		b.do(b.o.Trim())
		g, _ := b.o.Guard()
		b.do(b.o.Committed(0, g, true))
		next := NewState()
		for pos := g.Trim; pos < int64(len(b.log)); pos++ {
			next.Apply(pos, b.log[pos], &b.rules)
		}
		if settled, _ := next.Settled(ID([]byte("a")), 1); settled != (x == ruleNone) {
			t.Errorf("without rule %d: settled %t", x, settled)
		}
	}
}

// The first write of 1 has no known outcome. Sent again under the same token it is
// parked, released and done, and forgotten by a trim behind which the first lands.
func TestAWriteWithoutAnOutcomeNeedsANewToken(t *testing.T) {
	for _, x := range []rule{ruleNone, ruleNewToken} {
		b := newBench(t, func(r *Rules) { r.without = x })
		b.held = true
		b.arrive("a", 1, permanent)
		late := b.sent[0]
		b.sent, b.held = nil, false
		b.do(b.o.Failed(late.ID, Unknown))
		if x == ruleNone {
			b.want("probe")
			b.do(b.o.Acked(WriteID{late.ID.Token, probe}, 99))
			b.want("token")
			b.do(b.o.Granted(Grant{Token: 6}))
		} else {
			b.do(b.o.Tick(1))
		}
		b.want("settle 1")
		b.command("r", Retry, "a", 1)
		b.want("run 1")
		b.ended("a", 1, nil)
		b.do(b.o.Committed(2, Guard{}, true))
		b.do(b.o.Trim())
		g, _ := b.o.Guard()
		b.do(b.o.Committed(2, g, true))
		b.put(late.Entry)
		if _, parked := b.o.State().Settled(ID([]byte("a")), 1); parked == (x == ruleNone) {
			t.Errorf("without rule %d: parked again %t", x, parked)
		}
	}
}
