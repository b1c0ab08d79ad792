package parking

import (
	"strings"
	"testing"
)

// storeOwner is an owner whose store keeps what is parked, and that finds what others have
// written.
func storeOwner(t *testing.T, found ...*Entry) (b *bench, stopped error) {
	b = &bench{t: t, rules: DefaultRules(), held: true}
	b.o = NewOwner(&b.rules, MarkerBody{Owner: "s", Store: "default"})
	b.do(b.o.Granted(Grant{Token: 9, Guard: Guard{Trim: 0}}))
	for _, e := range found {
		b.put(e)
	}
	for len(b.sent) > 0 && stopped == nil {
		w := b.sent[0]
		b.sent = b.sent[1:]
		b.log = append(b.log, w.Entry)
		actions := b.o.Read(int64(len(b.log)-1), w.Entry)
		for _, a := range actions {
			if s, ok := a.(Stop); ok {
				stopped = s.Err
			}
		}
		b.do(actions)
	}
	return b, stopped
}

func byPlain(e *Entry) *Entry {
	e.Token = 5
	return e
}

var plainMarker = byPlain(&Entry{Kind: KindMarker, Marker: &MarkerBody{Owner: "p"}})

// Records that a handler without a store has parked, and whose commit did not live to say
// so, stop an owner with a store: it would never hand them over.
func TestStoreStopsAtWhatIsParkedInTheTopic(t *testing.T) {
	b, err := storeOwner(t, plainMarker,
		byPlain(&Entry{Kind: KindParked, Key: []byte("k"), Offset: 3, Parked: &ParkedBody{}}),
		byPlain(&Entry{Kind: KindRun, Key: []byte("k"), Offset: 4, After: 4, Run: &RunBody{N: 1, Records: []Follower{{Offset: 4}}}}))
	if err == nil || !strings.Contains(err.Error(), "Effects would pass them") {
		t.Fatalf("stopped by %v", err)
	}
	if b.o.Open() {
		t.Error("its records may be started")
	}
	if g, _ := b.o.Guard(); !g.Holds {
		t.Error("its commits say that nothing is parked there")
	}
	// A record of the key that waits without a body is looked at no further.
	b.do(b.o.Arrive(Item{Key: []byte("k"), Offset: 5}))
	b.do(b.o.Tick(1 << 50))
	b.want()
}

// What handlers without a store have settled above the commit is none of a store's
// business: a paused record waits for its resume, and a command is not told that it was
// settled.
func TestStoreLooksAtItsRowsAlone(t *testing.T) {
	b, err := storeOwner(t, plainMarker,
		byPlain(&Entry{Kind: KindParked, Key: []byte("k"), Offset: 3, Parked: &ParkedBody{}}),
		byPlain(&Entry{Kind: KindResolved, Key: []byte("k"), Offset: 3, Resolved: &ResolvedBody{Last: 3}}))
	if err != nil || !b.o.Open() {
		t.Fatalf("stopped by %v", err)
	}
	if g, _ := b.o.Guard(); g.Holds {
		t.Error("its commits say that records are parked there")
	}
	b.held = false
	b.command("p", Pause, "k", 0)
	b.do(b.o.Arrive(Item{Key: []byte("k"), Offset: 3}))
	b.want()
	b.command("s", Skip, "k", 3)
	b.want("ask skip")
	b.command("r", Resume, "k", 0)
	b.want("live 3")
}
