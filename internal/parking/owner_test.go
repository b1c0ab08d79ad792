package parking

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// bench is one owner whose writes land at once and are read at once, unless held.
type bench struct {
	t     *testing.T
	o     *Owner
	rules Rules
	log   []*Entry
	held  bool
	sent  []Write // while held
	did   []string
	runs  []Run
}

func newBench(t *testing.T, change func(*Rules)) *bench {
	b := &bench{t: t, rules: DefaultRules()}
	if change != nil {
		change(&b.rules)
	}
	b.o = NewOwner(&b.rules, MarkerBody{Owner: "a"})
	b.do(b.o.Granted(Grant{Token: 5}))
	return b
}

func (b *bench) do(actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Write:
			b.sent = append(b.sent, a)
		case Settle:
			b.did = append(b.did, fmt.Sprintf("settle %d", a.Offset))
		case Live:
			b.did = append(b.did, fmt.Sprintf("live %d", a.Offset))
		case Block:
			b.did = append(b.did, fmt.Sprintf("block %d", a.Offset))
		case Run:
			b.did = append(b.did, fmt.Sprintf("run %d", a.Offset))
			b.runs = append(b.runs, a)
		case NeedToken:
			b.did = append(b.did, "token")
		case Commit:
			b.did = append(b.did, "commit")
		case Delete:
			b.did = append(b.did, fmt.Sprintf("delete %d", a.Before))
		case Ask:
			b.did = append(b.did, "ask "+string(a.Command.Verb))
		}
	}
	if !b.held {
		b.land()
	}
}

// land lets what was sent be written and read.
func (b *bench) land() {
	for len(b.sent) > 0 {
		w := b.sent[0]
		b.sent = b.sent[1:]
		e := w.Entry
		if w.From >= 0 {
			e = Complete(e, b.log[w.From])
		}
		b.put(e)
	}
}

func (b *bench) put(e *Entry) {
	b.log = append(b.log, e)
	b.do(b.o.Read(int64(len(b.log)-1), e, 100))
}

func (b *bench) arrive(key string, offset int64, f *Failure) {
	it := Item{Key: []byte(key), Offset: offset, Size: 100, Body: &ParkedBody{}}
	if f != nil {
		it.Failed, it.Body.Failure = true, *f
	}
	b.do(b.o.Arrive(it))
}

func (b *bench) ended(key string, offset int64, f *Failure) { b.do(b.o.Ended([]byte(key), offset, f)) }

func (b *bench) command(id string, verb Verb, key string, offset int64) {
	b.put(&Entry{Kind: KindCommand, Key: []byte(key), Offset: offset, Command: &CommandBody{ID: id, Verb: verb, Reason: "because"}})
}

// want compares what was done since the last call.
func (b *bench) want(want ...string) {
	b.t.Helper()
	if !slices.Equal(b.did, want) {
		b.t.Fatalf("done %q\nwant %q", b.did, want)
	}
	b.did = nil
}

func (b *bench) answer(id string) string {
	for _, e := range slices.Backward(b.log) {
		if e.Kind == KindAnswer && e.Answer.Command.ID == id {
			return strings.TrimSpace(string(e.Answer.State) + " " + e.Answer.Result)
		}
	}
	return "none"
}

var (
	failed    = &Failure{Cause: "no", Attempts: 5}
	permanent = &Failure{Cause: "no", Attempts: 1, Permanent: true}
)

func TestSuccessorsFollowWithoutAHandler(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, nil)
	b.want("live 1")
	b.arrive("a", 1, failed)
	b.arrive("a", 3, nil)
	b.arrive("b", 4, nil)
	b.want("settle 1", "settle 3", "live 4")
	if keys, records, bytes, _ := b.o.State().Counts(); keys != 1 || records != 2 || bytes != 200 {
		t.Errorf("%d keys, %d records, %d bytes", keys, records, bytes)
	}
}

// Nothing is settled by being sent: only by being read.
func TestOnlyWhatIsReadSettles(t *testing.T) {
	b := newBench(t, nil)
	b.held = true
	b.arrive("a", 1, failed)
	b.arrive("a", 2, nil)
	first := b.sent[0]
	b.do(b.o.Acked(first.ID, 1, 100))
	b.want()
	b.land()
	b.want("settle 1", "settle 2")
}

// A record whose predecessor did not make it does not count, and is written again
// behind it.
func TestAChainBreaksAtAHole(t *testing.T) {
	b := newBench(t, nil)
	b.held = true
	b.arrive("a", 1, failed)
	b.arrive("a", 2, nil)
	b.do(b.o.Failed(b.sent[0].ID, NotWritten))
	b.put(b.sent[1].Entry)
	if _, _, _, void := b.o.State().Counts(); void != 1 {
		t.Errorf("%d entries are void", void)
	}
	b.want()
	b.sent = b.sent[2:]
	b.land()
	b.want("settle 1", "settle 2")
}

func TestReleaseOnSchedule(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, failed)
	b.arrive("a", 2, nil)
	b.arrive("p", 3, permanent)
	b.want("settle 1", "settle 2", "settle 3")
	at := int64(0)
	for _, wait := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 360, 360} {
		next := at + (wait * time.Minute).Milliseconds()
		b.do(b.o.Tick(next - 1))
		b.want()
		b.do(b.o.Tick(next))
		b.want("run 1")
		b.ended("a", 1, &Failure{Cause: "no", Last: next})
		b.want()
		at = next
	}
	b.do(b.o.Tick(at + (6 * time.Hour).Milliseconds()))
	b.ended("a", 1, nil)
	b.ended("a", 2, &Failure{Cause: "no", Permanent: true})
	b.want("run 1", "run 2")
	b.do(b.o.Tick(at + (1000 * time.Hour).Milliseconds()))
	b.want() // both keys wait for an operator now
}

// A hot key: live records join the end until what is left fits, then wait behind
// it; the release ends.
func TestAReleaseEndsForAHotKey(t *testing.T) {
	b := newBench(t, func(r *Rules) { r.Join = 2 })
	for o := range int64(4) {
		var f *Failure
		if o == 0 {
			f = permanent
		}
		b.arrive("a", o, f)
	}
	b.did = nil
	b.command("c", Retry, "a", 0)
	b.arrive("a", 4, nil)
	b.want("run 0", "settle 4")
	if got := b.answer("c"); got != "accepted" {
		t.Errorf("answer %q", got)
	}
	for o := range int64(3) {
		b.ended("a", o, nil)
	}
	b.arrive("a", 5, nil)
	b.want("run 1", "run 2", "run 3")
	b.ended("a", 3, nil)
	b.arrive("a", 6, nil)
	b.ended("a", 4, nil)
	b.want("run 4", "live 5", "live 6")
	if got := b.answer("c"); got != "done released" {
		t.Errorf("answer %q", got)
	}
	b.arrive("a", 7, nil)
	b.want("live 7")
}

// Handlers run ahead of what is read back; the key is live only when all is.
func TestReleaseRunsAheadOfItsResolutions(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 0, permanent)
	b.arrive("a", 1, nil)
	b.arrive("a", 2, nil)
	b.did = nil
	b.command("c", Retry, "a", 0)
	b.held = true
	for o := range int64(3) {
		b.ended("a", o, nil)
	}
	b.arrive("a", 3, nil)
	b.want("run 0", "run 1", "run 2")
	if len(b.sent) != 1 || b.sent[0].Entry.Resolved.Last != 0 {
		t.Fatalf("written: %+v", b.sent)
	}
	b.put(b.sent[0].Entry)
	b.sent = b.sent[1:]
	b.want()
	if len(b.sent) != 1 || b.sent[0].Entry.Resolved.Last != 2 {
		t.Fatalf("written: %+v", b.sent)
	}
	b.land()
	b.want("live 3")
}

func TestCapsFallBackToBlock(t *testing.T) {
	b := newBench(t, func(r *Rules) { r.MaxPerKey, r.MaxKeys, r.MaxBytes, r.Join = 2, 2, 350, 1 })
	b.arrive("a", 1, failed)
	b.arrive("a", 2, nil)
	b.arrive("a", 3, nil) // waits behind its key
	b.want("settle 1", "settle 2")
	b.arrive("b", 4, failed)
	b.want("settle 4")
	b.arrive("c", 5, failed)
	b.want("block 5") // a third key, and a fourth hundred of bytes
	b.command("r", Retry, "a", 1)
	b.ended("a", 1, nil)
	b.ended("a", 2, nil)
	b.want("run 1", "run 2", "live 3")
}

func TestTooLargeBlocksOrWaits(t *testing.T) {
	b := newBench(t, nil)
	b.held = true
	b.arrive("a", 1, failed)
	b.do(b.o.Failed(b.sent[0].ID, TooLarge))
	b.sent = nil
	b.do(b.o.Tick(1))
	b.want("block 1")
	b.arrive("b", 2, permanent)
	b.land()
	b.arrive("b", 3, nil)
	b.do(b.o.Failed(b.sent[0].ID, TooLarge))
	b.sent = nil
	b.do(b.o.Tick(2))
	b.want("settle 2")
	b.held = false
	b.command("r", Retry, "b", 2)
	b.ended("b", 2, nil)
	b.want("run 2", "live 3")
}

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
	b.want("run 2")

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

// A zombie's entries behind a newer marker are void, and counted; its owner hears
// of it by reading.
func TestWhatAZombieWritesIsVoid(t *testing.T) {
	b := newBench(t, nil)
	b.put(&Entry{Kind: KindMarker, Token: 6, Marker: &MarkerBody{}})
	b.want("token")
	b.put(&Entry{Kind: KindParked, Token: 5, Seq: 99, Key: []byte("a"), Parked: &ParkedBody{}})
	if keys, _, _, void := b.o.State().Counts(); keys != 0 || void != 1 {
		t.Errorf("%d keys, %d void", keys, void)
	}
}

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

	after := NewState()
	for pos := g.Trim; pos < int64(len(b.log)); pos++ {
		after.Apply(pos, b.log[pos], 100, &b.rules)
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
	return append(out, fmt.Sprint(s.Progress(), len(s.paused)))
}

func TestWhatStopsAPartitionAtItsStart(t *testing.T) {
	r := DefaultRules()
	id, other := TopicID{1}, TopicID{2}
	for _, c := range []struct {
		name  string
		f     Found
		from  int64
		fresh bool
		stops string
	}{
		{"no topic, none named", Found{Committed: true}, 0, false, ""},
		{"the first time", Found{Topic: true, TopicID: id}, 0, true, ""},
		{"a new topic", Found{Committed: true, Topic: true, TopicID: id, Start: 3, HasState: true}, 3, true, ""},
		{"as it was left", Found{Committed: true, Topic: true, TopicID: id, Start: 3, Guard: &Guard{TopicID: id, Trim: 5, Holds: true}}, 5, false, ""},
		{"the commit is gone", Found{Topic: true, TopicID: id, HasState: true}, 0, false, "no commit"},
		{"the topic is gone", Found{Committed: true, Guard: &Guard{TopicID: id, Holds: true}}, 0, false, "gone"},
		{"gone, but nothing was in it", Found{Committed: true, Guard: &Guard{TopicID: id}}, 0, false, ""},
		{"created again", Found{Committed: true, Topic: true, TopicID: other, Guard: &Guard{TopicID: id, Holds: true}}, 0, false, "created again"},
		{"created again, empty", Found{Committed: true, Topic: true, TopicID: other, Guard: &Guard{TopicID: id}}, 0, true, ""},
		{"shortened", Found{Committed: true, Topic: true, TopicID: id, Start: 6, Guard: &Guard{TopicID: id, Trim: 5}}, 0, false, "begins at 6"},
	} {
		from, fresh, err := Check(c.f, &r)
		if (err != nil) != (c.stops != "") || err != nil && !strings.Contains(err.Error(), c.stops) || from != c.from || fresh != c.fresh {
			t.Errorf("%s: %d, %t, %v", c.name, from, fresh, err)
		}
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
			next.Apply(pos, b.log[pos], 1, &b.rules)
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
