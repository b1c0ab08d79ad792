package parking

import (
	"fmt"
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

// of names records that came together.
func of(offset int64, n int) string {
	if n > 1 {
		return fmt.Sprintf(" %d of %d", n, offset)
	}
	return fmt.Sprintf(" %d", offset)
}

func (b *bench) do(actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Write:
			b.sent = append(b.sent, a)
		case Settle:
			b.did = append(b.did, "settle"+of(a.Offset, a.N))
		case Live:
			b.did = append(b.did, "live"+of(a.Offset, a.N))
		case Block:
			b.did = append(b.did, fmt.Sprintf("block %d", a.Offset))
		case Run:
			b.did = append(b.did, fmt.Sprintf("run %d", a.Offset))
			b.runs = append(b.runs, a)
		case Probe:
			b.did = append(b.did, "probe")
		case NeedToken:
			b.did = append(b.did, "token")
		case Commit:
			b.did = append(b.did, "commit")
		case Delete:
			b.did = append(b.did, fmt.Sprintf("delete %d", a.Before))
		case Ask:
			b.did = append(b.did, "ask "+string(a.Command.Verb))
		case Skipped:
			b.did = append(b.did, fmt.Sprintf("skipped %d", a.Offset))
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
	b.do(b.o.Read(int64(len(b.log)-1), e))
}

func (b *bench) arrive(key string, offset int64, f *Failure) {
	it := Item{Key: []byte(key), Offset: offset, Body: &ParkedBody{}}
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
	if e := b.log[2]; e.Offset != 3 || e.After != 2 {
		t.Errorf("%d rests on what is below %d", e.Offset, e.After)
	}
	if keys, records, bytes, _ := b.o.State().Counts(); keys != 1 || records != 2 || bytes != 2*(&Record{}).Size() {
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
	b.do(b.o.Acked(first.ID, 1))
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

// In a topic that no commit names only markers and commands are looked at before
// the own marker: a higher one still means that another owner is newer.
func TestANewTopicWithAHigherMarker(t *testing.T) {
	b := newBench(t, nil)
	b.held = true
	b.do(b.o.Granted(Grant{Token: 6, Fresh: true}))
	mine := b.sent[0].Entry
	b.put(&Entry{Kind: KindMarker, Token: 9, Marker: &MarkerBody{}})
	b.put(mine)
	b.want("token")
	if b.o.Open() {
		t.Error("open under a token that is too low")
	}
}

// Records of a key that is released join its end only until all is done that was parked
// when the release began: from then on they wait, so that it ends, however many come.
func TestAReleaseEndsThoughRecordsKeepComing(t *testing.T) {
	b := newBench(t, func(r *Rules) { r.Join = 0 })
	b.arrive("a", 1, permanent)
	b.arrive("a", 2, nil)
	b.want("settle 1", "settle 2")
	b.command("r", Retry, "a", 1)
	next := int64(3)
	for o := int64(1); o <= 3; o++ {
		b.want(fmt.Sprintf("run %d", o))
		b.ended("a", o, nil)
		b.arrive("a", next, nil) // one for each that is done: the end is never reached
		next++
		if o < 2 {
			b.did = slices.DeleteFunc(b.did, func(s string) bool { return strings.HasPrefix(s, "settle") })
		}
	}
	b.want("live 4", "live 5")
}

// The handler is told how often a release has failed at its record.
func TestARunSaysHowOftenItsRecordFailed(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	for tries := range 3 {
		b.command(fmt.Sprint("r", tries), Retry, "a", 1)
		if got := b.runs[len(b.runs)-1].Tries; got != tries {
			t.Errorf("after %d failed releases: %d", tries, got)
		}
		b.ended("a", 1, permanent)
	}
}

// A write without a known outcome holds up what depends on the topic, and nothing else,
// until the topic takes writes again; then a new token ends the doubt.
func TestADoubtHoldsUpOnlyWhatDependsOnIt(t *testing.T) {
	b := newBench(t, nil)
	b.held = true
	b.arrive("a", 1, permanent)
	w := b.sent[0]
	b.sent = nil
	b.do(b.o.Failed(w.ID, Unknown))
	b.want("probe")
	if !b.o.Open() || b.o.Concerns([]byte("b"), 2) || !b.o.Concerns([]byte("a"), 3) {
		t.Error("the key waits, and no other")
	}
	b.arrive("c", 4, permanent)
	if len(b.sent) > 0 {
		t.Errorf("sent behind a write in doubt: %v", b.sent)
	}
	b.do(b.o.Failed(WriteID{w.ID.Token, probe}, Unknown))
	b.want("probe") // another one
	// The write has landed after all: there is no doubt any more.
	b.held = false
	b.put(w.Entry)
	b.land()
	b.want("settle 1", "settle 4")
	b.do(b.o.Acked(WriteID{w.ID.Token, probe}, 99))
	b.want()

	b.held = true
	b.arrive("d", 5, permanent)
	w = b.sent[0]
	b.sent = nil
	b.do(b.o.Failed(w.ID, Unknown))
	b.do(b.o.Acked(WriteID{w.ID.Token, probe}, 99))
	b.want("probe", "token")
	if b.o.Open() {
		t.Error("open before the new token")
	}
}
