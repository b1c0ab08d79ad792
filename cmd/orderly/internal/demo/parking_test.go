package demo

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The faulty keys are parked whole and in order, the others do not wait for them, and in
// the end nothing is missing; a scene in which something is wrong says so.
func TestParkingScene(t *testing.T) {
	t.Parallel()
	o := testOptions(t, 1500)
	if err := o.withDefaults(); err != nil {
		t.Fatal(err)
	}
	var said []string
	s, err := o.parkingScene(t.Context(), o.input, func(text string) { said = append(said, text) })
	if err != nil {
		t.Fatal(err)
	}
	if f := s.faults(); len(f) > 0 || s.Stalled != "" {
		t.Fatalf("%v: %+v", f, s)
	}
	want := 0
	faulty := faultyKeys(o.Seed, o.input.Changes)
	for _, c := range o.input.Changes {
		if faulty[c.Path] {
			want++
		}
	}
	if s.FaultyKeys != len(faulty) || len(faulty) != max(1, o.input.Keys()/100) || s.Parked != want || want < 2*len(faulty) || !s.InOrder || s.Rate <= 0 || s.P99 <= 0 || s.QuietP99 <= 0 ||
		len(s.Listed) == 0 || s.Listed[0].First != 1 || s.Listed[0].Last != s.Listed[0].Records || !strings.Contains(s.Listed[0].Cause, errNoRate.Error()) {
		t.Errorf("%+v, want %d parked", s, want)
	}
	if text := s.text(); !strings.Contains(text, "All files are as they must be") || !strings.Contains(text, "0 overtook") || !strings.Contains(text, s.Listed[0].Cause) {
		t.Errorf("the text:\n%s", text)
	}
	if len(said) < 3 {
		t.Errorf("said %q", said)
	}
	for _, bad := range []func(*ParkingScene){
		func(s *ParkingScene) { s.Overtakes = 1 }, func(s *ParkingScene) { s.HandedOver = 1 }, func(s *ParkingScene) { s.InOrder = false },
		func(s *ParkingScene) { s.Different = 1 }, func(s *ParkingScene) { s.Stalled = "waited" },
	} {
		wrong := *s
		bad(&wrong)
		r := Result{Naive: Column{Lost: 1}, Orderly: Column{EndStateEqual: true}, Parking: &wrong}
		if r.judge(); r.Verdict != Violated {
			t.Errorf("%+v is %s", wrong, r.Verdict)
		}
	}
}

// What the handler of the scene counts is what it has to: a record that is handed over
// behind a parked one, and one that overtakes another.
func TestParkingSceneCounts(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	c := &crew{faulty: map[string]bool{"bad": true}, mended: &mended, plan: plan{maxWork: 1}, files: NewFiles(), seqs: map[string]int{}}
	give := func(path string, seq int, op string) error {
		ch := Change{Path: path, Seq: seq, Op: op, Commit: "c"}
		return c.handle(t.Context(), &orderly.Message{Record: &kgo.Record{Value: ch.encode()}})
	}
	if give("bad", 1, "A") == nil || c.early != 0 || give("bad", 2, "M") == nil || c.early != 1 {
		t.Errorf("%d handed over behind the first", c.early)
	}
	mended.Store(true)
	for _, x := range []struct {
		path      string
		seq       int
		op        string
		overtakes int
	}{{"a", 1, "A", 0}, {"bad", 1, "A", 0}, {"a", 3, "M", 1}, {"a", 2, "M", 2}, {"bad", 2, "M", 2}} {
		if err := give(x.path, x.seq, x.op); err != nil || c.overtakes != x.overtakes {
			t.Errorf("%+v: %d, %v", x, c.overtakes, err)
		}
	}
	if done, healthy := c.count(); done != 5 || healthy != 3 {
		t.Errorf("%d done, %d of them healthy", done, healthy)
	}
}
