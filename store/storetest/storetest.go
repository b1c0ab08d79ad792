package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/orderly-go/orderly/store"
)

// A Target is a backend under test, with a table of effects beside its own.
type Target struct {
	Backend store.Backend
	// Effect adds one to what is counted for place, in the transaction.
	Effect func(ctx context.Context, tx any, place int64) error
	// Effects reads the counts.
	Effects func(ctx context.Context) (map[int64]int, error)
	// End ends the transaction as a handler must not: with the method of its type,
	// and with a statement. EndBySQL nil: the transaction cannot be ended by its
	// effects, and that is not tested.
	End      func(tx any) error
	EndBySQL func(ctx context.Context, tx any) error
	// OneWriter: a transaction that has begun keeps all others waiting.
	OneWriter bool
}

// Run runs the suite. open returns an empty, migrated database each time.
func Run(t *testing.T, open func(t *testing.T) Target) {
	for _, tc := range []struct {
		name string
		test func(*suite)
	}{
		{"a partition that is not known begins where it is told", (*suite).beginsAtLow},
		{"a token is taken once, and only upwards", (*suite).tokenRises},
		{"several begin at once: one token each, the highest stays", (*suite).beginTogether},
		{"another layout is refused", (*suite).layoutIsCompared},
		{"a topic that was made again is refused", (*suite).topicIsCompared},
		{"partitions, groups, handlers and topics keep apart", (*suite).partsKeepApart},
		{"an effect and its position are one", (*suite).effectAndPosition},
		{"effects that fail leave nothing", (*suite).failureLeavesNothing},
		{"effects that panic leave nothing", (*suite).panicLeavesNothing},
		{"an ended context leaves nothing", (*suite).endedContextLeavesNothing},
		{"a position moves only from where it is expected", (*suite).compareAndSet},
		{"of two owners at the same position one is stale", (*suite).twoOwners},
		{"a detached record keeps its key, and its lane goes on", (*suite).detach},
		{"exceptions are released lowest of the key first", (*suite).lowestFirst},
		{"an exception is released once", (*suite).releasedOnce},
		{"parking changes an exception and never makes one", (*suite).parkNeverInserts},
		{"several are parked, or none", (*suite).parkTogether},
		{"a step that is stale in part leaves nothing", (*suite).partly},
		{"a parked payload comes back as it was", (*suite).payload},
		{"skipping is audited in the transaction", (*suite).skip},
		{"the low-water row rises under its own token only", (*suite).low},
		{"a null key is not the empty key", (*suite).nullKey},
		{"a handler that ends the transaction is told so", (*suite).handlerEnds},
		{"a rewind begins anew, and closes what was before", (*suite).rewind},
		{"what the sequence guard knows is kept with its step", (*suite).sequences},
		{"random owners against a model", (*suite).model},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.test(&suite{T: t, Target: open(t), part: store.Part{Group: "g", Handler: "h", Topic: "t", TopicID: [16]byte{1}, Partition: 3}})
		})
	}
}

type suite struct {
	*testing.T
	Target
	part store.Part
}

var layout = store.Layout{Lanes: 4, Hash: 1}

func (s *suite) begin(token, low int64) store.State {
	s.Helper()
	st, err := s.Backend.Begin(s.Context(), s.part, layout, token, low)
	if err != nil {
		s.Fatalf("Begin with token %d: %v", token, err)
	}
	return st
}

func (s *suite) look(lane int) store.State {
	s.Helper()
	st, err := s.Backend.Look(s.Context(), s.part, lane)
	if err != nil {
		s.Fatalf("Look: %v", err)
	}
	return st
}

// advance is an Apply whose effects count the offsets.
func (s *suite) advance(lane int, from, to int64, effects []int64, detach ...store.Exception) error {
	return s.Backend.Apply(s.Context(), store.Step{Part: s.part, Token: 1, Advance: &store.Advance{Lane: lane, From: from, To: to, Detach: detach}}, s.effects(effects...))
}

func (s *suite) effects(offsets ...int64) func(context.Context, any) error {
	return func(ctx context.Context, tx any) error {
		for _, o := range offsets {
			if err := s.Effect(ctx, tx, o); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *suite) release(e store.Exception) error {
	return s.Backend.Apply(s.Context(), store.Step{Part: s.part, Token: 1, Release: &store.Release{Exception: e}}, s.effects(e.Offset))
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) stale(what string, err error) {
	s.Helper()
	if !errors.Is(err, store.ErrStale) {
		s.Fatalf("%s: %v, want ErrStale", what, err)
	}
}

// applied checks that exactly these offsets had their effect, once each.
func (s *suite) applied(offsets ...int64) {
	s.Helper()
	got, err := s.Effects(s.Context())
	s.must(err)
	for _, o := range offsets {
		if got[o] != 1 {
			s.Fatalf("offset %d had its effect %d times; all: %v", o, got[o], got)
		}
	}
	if len(got) != len(offsets) {
		s.Fatalf("effects %v, want those of %v", got, offsets)
	}
}

func (s *suite) position(lane int, want int64) {
	s.Helper()
	st := s.look(lane)
	got := store.Unknown
	if len(st.Lanes) > 0 {
		got = st.Lanes[0].Position
	}
	if got != want {
		s.Fatalf("lane %d is at %d, want %d", lane, got, want)
	}
}

func (s *suite) exceptions(lane int, want ...int64) {
	s.Helper()
	var got []int64
	for _, e := range s.look(lane).Exceptions {
		got = append(got, e.Offset)
	}
	if !slices.Equal(got, want) {
		s.Fatalf("exceptions of lane %d: %v, want %v", lane, got, want)
	}
}

func exc(lane int, offset int64, key string) store.Exception {
	return store.Exception{Lane: lane, Offset: offset, Key: []byte(key)}
}

func (s *suite) beginsAtLow() {
	if token, err := s.Backend.Token(s.Context(), s.part); token != 0 || err != nil {
		s.Fatalf("token of a partition that is not known: %d, %v", token, err)
	}
	st := s.begin(5, 40)
	if st.Token != 5 || st.Low != 40 || len(st.Lanes)+len(st.Exceptions) != 0 {
		s.Fatalf("%+v", st)
	}
	if token, err := s.Backend.Token(s.Context(), s.part); token != 5 || err != nil {
		s.Fatalf("token %d, %v", token, err)
	}
	if st := s.begin(6, 90); st.Low != 40 {
		s.Fatalf("a later owner's hint moved the low-water row: %+v", st)
	}
}

func (s *suite) tokenRises() {
	s.begin(5, 0)
	for _, token := range []int64{5, 4} {
		var fenced *store.FencedError
		if _, err := s.Backend.Begin(s.Context(), s.part, layout, token, 0); !errors.As(err, &fenced) || fenced.Have != 5 {
			s.Fatalf("token %d after 5: %v", token, err)
		}
	}
	if st := s.look(0); st.Token != 5 {
		s.Fatalf("token %d", st.Token)
	}
}

func (s *suite) beginTogether() {
	const n = 8
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			for try := 0; ; try++ {
				_, errs[i] = s.Backend.Begin(s.Context(), s.part, layout, int64(i/2)+1, 7)
				if errs[i] == nil || s.Backend.Classify(errs[i]) != store.Again || try > 50 {
					return
				}
			}
		})
	}
	wg.Wait()
	got := map[int]int{}
	for i, err := range errs {
		var fenced *store.FencedError
		if err == nil {
			got[i/2+1]++
		} else if !errors.As(err, &fenced) {
			s.Fatal(err)
		}
	}
	for token, owners := range got {
		if owners > 1 {
			s.Errorf("token %d was given %d times", token, owners)
		}
	}
	if st := s.look(0); st.Token != n/2 || got[n/2] > 1 {
		s.Errorf("token %d, given %v; the highest asked for was %d", st.Token, got, n/2)
	}
}

func (s *suite) layoutIsCompared() {
	s.begin(1, 0)
	for _, other := range []store.Layout{{Lanes: 5, Hash: 1}, {Lanes: 4, Hash: 2}, {Lanes: 4, Hash: 1, OrderBy: "customer"}} {
		var wrong *store.LayoutError
		if _, err := s.Backend.Begin(s.Context(), s.part, other, 9, 0); !errors.As(err, &wrong) || wrong.Have != layout || wrong.Want != other {
			s.Fatalf("%+v: %v", other, err)
		}
	}
	if st := s.look(0); st.Token != 1 {
		s.Fatalf("a refused owner left its token %d", st.Token)
	}
}

func (s *suite) partsKeepApart() {
	s.begin(1, 0)
	s.must(s.advance(0, store.Unknown, 10, []int64{9}))
	mine := s.part
	for _, other := range []store.Part{
		{Group: "g2", Handler: "h", Topic: "t", TopicID: [16]byte{1}, Partition: 3},
		{Group: "g", Handler: "h2", Topic: "t", TopicID: [16]byte{1}, Partition: 3},
		{Group: "g", Handler: "h", Topic: "t2", TopicID: [16]byte{2}, Partition: 3},
		{Group: "g", Handler: "h", Topic: "t", TopicID: [16]byte{1}, Partition: 4},
	} {
		s.part = other
		if st := s.begin(1, 5); st.Low != 5 || len(st.Lanes) != 0 {
			s.Fatalf("%s: %+v", other, st)
		}
	}
	s.part = mine
	s.position(0, 10)
}

func (s *suite) topicIsCompared() {
	s.begin(1, 0)
	old := s.part
	s.part.TopicID = [16]byte{2}
	for range 2 { // a refusal leaves nothing
		var wrong *store.TopicError
		if _, err := s.Backend.Begin(s.Context(), s.part, layout, 9, 0); !errors.As(err, &wrong) || wrong.Have != old.TopicID {
			s.Fatalf("a topic of the same name with another id: %v", err)
		}
	}
	s.part.Handler = "h2" // the way out
	s.begin(9, 0)
	s.part = old
	s.begin(2, 0)
}

func (s *suite) effectAndPosition() {
	s.begin(1, 0)
	s.must(s.advance(2, store.Unknown, 12, []int64{4, 7, 11}))
	s.must(s.advance(2, 12, 20, []int64{19}))
	s.applied(4, 7, 11, 19)
	s.position(2, 20)
	s.position(1, store.Unknown)
}

func (s *suite) failureLeavesNothing() {
	s.begin(1, 0)
	broken := errors.New("broken")
	err := s.Backend.Apply(s.Context(), store.Step{Part: s.part, Advance: &store.Advance{Lane: 0, From: store.Unknown, To: 5}},
		func(ctx context.Context, tx any) error {
			if err := s.Effect(ctx, tx, 4); err != nil {
				return err
			}
			return broken
		})
	if !errors.Is(err, broken) {
		s.Fatal(err)
	}
	s.applied()
	s.position(0, store.Unknown)
}

func (s *suite) panicLeavesNothing() {
	s.begin(1, 0)
	func() {
		defer func() { _ = recover() }()
		_ = s.Backend.Apply(s.Context(), store.Step{Part: s.part, Advance: &store.Advance{Lane: 0, From: store.Unknown, To: 5}},
			func(ctx context.Context, tx any) error {
				if err := s.Effect(ctx, tx, 4); err != nil {
					return err
				}
				panic("broken")
			})
	}()
	s.applied()
	s.must(s.advance(0, store.Unknown, 5, []int64{4})) // nothing holds the row
	s.applied(4)
}

func (s *suite) endedContextLeavesNothing() {
	s.begin(1, 0)
	ctx, cancel := context.WithCancel(s.Context())
	err := s.Backend.Apply(ctx, store.Step{Part: s.part, Advance: &store.Advance{Lane: 0, From: store.Unknown, To: 5}},
		func(ctx context.Context, tx any) error {
			defer cancel()
			return s.Effect(ctx, tx, 4)
		})
	if err == nil {
		s.Fatal("a step whose context has ended was committed")
	}
	s.applied()
	s.position(0, store.Unknown)
}

func (s *suite) compareAndSet() {
	s.begin(1, 0)
	s.must(s.advance(0, store.Unknown, 10, []int64{9}))
	s.stale("from nothing, again", s.advance(0, store.Unknown, 12, []int64{11}))
	s.stale("from below", s.advance(0, 9, 12, []int64{11}))
	s.stale("from above", s.advance(0, 11, 12, []int64{11}))
	s.stale("a lane without a row", s.advance(1, 10, 12, []int64{11}))
	s.applied(9)
	s.position(0, 10)
}

func (s *suite) twoOwners() {
	s.begin(1, 0)
	s.begin(2, 0)
	for round, from := 0, store.Unknown; round < 5; round++ {
		to := int64(round+1) * 10
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				for errs[i] = s.advance(0, from, to, []int64{to}); s.Backend.Classify(errs[i]) == store.Again; {
					errs[i] = s.advance(0, from, to, []int64{to})
				}
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			s.Fatalf("round %d: %v and %v; exactly one must be through", round, errs[0], errs[1])
		}
		s.stale("the other one", errors.Join(errs...))
		from = to
	}
	s.applied(10, 20, 30, 40, 50)
}

func (s *suite) detach() {
	s.begin(1, 0)
	s.must(s.advance(0, store.Unknown, 11, nil, exc(0, 10, "k")))
	s.must(s.advance(0, 11, 14, []int64{11, 13}, exc(0, 12, "k")))
	s.applied(11, 13)
	s.exceptions(0, 10, 12)
	if e := s.look(0).Exceptions[0]; string(e.Key) != "k" || e.Parked() || e.Lane != 0 {
		s.Fatalf("%+v", e)
	}
	// A second owner that is as far as the first was.
	s.stale("a detach that happened", s.advance(0, store.Unknown, 11, nil, exc(0, 10, "k")))
	s.exceptions(0, 10, 12)
	if st := s.begin(2, 0); len(st.Exceptions) != 2 || len(st.Lanes) != 1 || st.Lanes[0].Position != 14 {
		s.Fatalf("what the next owner reads: %+v", st)
	}
}

func (s *suite) lowestFirst() {
	s.begin(1, 0)
	s.must(s.advance(0, store.Unknown, 20, nil, exc(0, 10, "k"), exc(0, 11, "other"), exc(0, 12, "k")))
	s.stale("a higher one before", s.release(exc(0, 12, "k")))
	s.must(s.release(exc(0, 11, "other")))
	s.must(s.release(exc(0, 10, "k")))
	s.must(s.release(exc(0, 12, "k")))
	s.applied(10, 11, 12)
	s.exceptions(0)
}

func (s *suite) releasedOnce() {
	s.begin(1, 0)
	s.must(s.advance(0, store.Unknown, 20, nil, exc(0, 10, "k")))
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for errs[i] = s.release(exc(0, 10, "k")); s.Backend.Classify(errs[i]) == store.Again; {
				errs[i] = s.release(exc(0, 10, "k"))
			}
		})
	}
	wg.Wait()
	through := 0
	for _, err := range errs {
		if err == nil {
			through++
		} else {
			s.stale("the others", err)
		}
	}
	if through != 1 {
		s.Fatalf("%d were through", through)
	}
	s.applied(10)
}

func (s *suite) parkNeverInserts() {
	s.begin(1, 0)
	e := exc(0, 10, "k")
	e.Payload = []byte("{}")
	park := func() error {
		return s.Backend.Apply(s.Context(), store.Step{Part: s.part, Park: &store.Park{Exceptions: []store.Exception{e}}}, nil)
	}
	s.stale("parking what is not there", park())
	s.must(s.advance(0, store.Unknown, 11, nil, exc(0, 10, "k")))
	s.must(park())
	s.must(s.release(e))
	s.stale("parking what was released", park())
	s.exceptions(0)
}

func (s *suite) parkTogether() {
	s.begin(1, 0)
	a, b, gone := exc(0, 10, "k"), exc(0, 11, "k"), exc(0, 12, "k")
	for _, e := range []*store.Exception{&a, &b, &gone} {
		e.Payload = []byte{byte(e.Offset)}
	}
	// Whatever an error's text is made of.
	a.Failure = store.Failure{Cause: "größer \x00 \xff", Attempts: 3, First: 1, Last: 2}
	park := func(all ...store.Exception) error {
		return s.Backend.Apply(s.Context(), store.Step{Part: s.part, Park: &store.Park{Exceptions: all}}, nil)
	}
	s.must(s.advance(0, store.Unknown, 13, nil, exc(0, 10, "k"), exc(0, 11, "k")))
	for _, all := range [][]store.Exception{{gone, a, b}, {a, gone, b}, {a, b, gone}} {
		s.stale("parking three of which one is not there", park(all...))
		for _, e := range s.look(0).Exceptions {
			if e.Parked() {
				s.Fatalf("offset %d is parked", e.Offset)
			}
		}
	}
	s.must(park(a, b))
	got := s.look(0).Exceptions
	if len(got) != 2 || !got[0].Parked() || !got[1].Parked() || got[0].Failure.Attempts != 3 || got[1].Failure != (store.Failure{}) || got[0].Size != 1 {
		s.Fatalf("%+v", got)
	}
	s.must(s.advance(1, store.Unknown, 200, nil, many(1, 20, 150)...))
	s.stale("many of which one is there", s.advance(2, store.Unknown, 400, nil, many(2, 149, 349)...))
	if n := len(s.begin(2, 0).Exceptions); n != 132 {
		s.Errorf("%d exceptions, want 132", n)
	}
}

// partly: of a step of which the first statement fits, and a later one does not, nothing
// stays: no effect, no position, no exception, no decision and no numbers.
func (s *suite) partly() {
	s.begin(1, 0)
	s.must(s.advance(0, store.Unknown, 11, nil, exc(0, 10, "k")))
	s.stale("effects, and an exception that is there", s.advance(1, store.Unknown, 13, []int64{11}, exc(1, 12, "l"), exc(1, 10, "k")))
	s.applied()
	s.exceptions(0, 10)
	s.exceptions(1)
	key := store.SequenceKeyOf([]byte("k"))
	numbers := func() []store.Sequence { return []store.Sequence{{Key: key, Offset: 12, State: []byte("x")}} }
	s.stale("the same with a decision and numbers", s.Backend.Apply(s.Context(), store.Step{Part: s.part, Token: 1,
		Advance:   &store.Advance{Lane: 1, From: store.Unknown, To: 13, Detach: []store.Exception{exc(1, 12, "l"), exc(1, 10, "k")}},
		Audit:     &store.Audit{Offset: 12, Decision: "park", By: "me"},
		Sequences: numbers}, s.effects(11)))
	s.applied()
	if b, ok := s.Backend.(store.Sequencer); ok {
		got, err := b.Sequences(s.Context(), s.part, []store.SequenceKey{key})
		s.must(err)
		if len(got) > 0 {
			s.Fatalf("numbers of a step that was stale: %v", got)
		}
	}
	s.must(s.advance(1, store.Unknown, 13, []int64{11}, exc(1, 12, "l")))
	s.applied(11)
	s.position(1, 13)
}

// many are exceptions of a lane.
func many(lane int, from, to int64) (out []store.Exception) {
	for o := from; o < to; o++ {
		e := exc(lane, o, "m")
		e.Payload = []byte("x")
		out = append(out, e)
	}
	return out
}

func (s *suite) payload() {
	s.begin(1, 0)
	for i, want := range [][]byte{{}, {0, 1, 0xff}, make([]byte, 100_000)} {
		e := exc(0, int64(10+i), "k")
		e.Payload = want
		from := store.Unknown
		if i > 0 {
			from = int64(10 + i)
		}
		s.must(s.advance(0, from, int64(11+i), nil, e))
		got, err := s.Backend.Payload(s.Context(), s.part, e.Offset)
		s.must(err)
		if !slices.Equal(got, want) {
			s.Fatalf("%d bytes became %d", len(want), len(got))
		}
	}
	for _, e := range s.look(0).Exceptions {
		if !e.Parked() || len(e.Payload) != 0 {
			s.Fatalf("parked %v, %d bytes of payload read with the state", e.Parked(), len(e.Payload))
		}
	}
	s.must(s.advance(1, store.Unknown, 21, nil, exc(1, 20, "k")))
	_, err := s.Backend.Payload(s.Context(), s.part, 20)
	s.stale("the payload of one that is not parked", err)
}

func (s *suite) skip() {
	s.begin(1, 0)
	audit := &store.Audit{Offset: 10, Key: []byte("k"), Decision: "skip", By: "an operator", Why: "a test"}
	step := store.Step{Part: s.part, Token: 1, Advance: &store.Advance{Lane: 0, From: store.Unknown, To: 11}, Audit: audit}
	s.must(s.Backend.Apply(s.Context(), step, nil))
	s.stale("the same again", s.Backend.Apply(s.Context(), step, nil))
	s.position(0, 11)
	s.applied()
}

func (s *suite) low() {
	s.begin(3, 10)
	for _, tc := range []struct {
		token, low int64
		moved      bool
	}{{3, 15, true}, {3, 15, false}, {3, 12, false}, {2, 20, false}, {4, 20, false}, {3, 20, true}} {
		moved, err := s.Backend.Low(s.Context(), s.part, tc.token, tc.low, unchecked)
		s.must(err)
		if moved != tc.moved {
			s.Fatalf("token %d to %d: moved %v", tc.token, tc.low, moved)
		}
	}
	if st := s.begin(4, 0); st.Low != 20 {
		s.Fatalf("%+v", st)
	}
}

func (s *suite) nullKey() {
	s.begin(1, 0)
	null, empty := exc(0, 10, ""), exc(0, 11, "")
	null.Key = nil
	s.must(s.advance(0, store.Unknown, 12, nil, null, empty))
	got := s.look(0).Exceptions
	if len(got) != 2 || got[0].Key != nil || got[1].Key == nil {
		s.Fatalf("%#v", got)
	}
	s.must(s.release(empty)) // the null key's lower one is another key's
	s.must(s.release(null))
	s.applied(10, 11)
}

func (s *suite) handlerEnds() {
	if s.EndBySQL == nil {
		return
	}
	s.begin(1, 0)
	for lane, end := range []func(context.Context, any) error{
		func(_ context.Context, tx any) error { return s.End(tx) }, // by its method
		s.EndBySQL, // by a statement
	} {
		err := s.Backend.Apply(s.Context(), store.Step{Part: s.part, Advance: &store.Advance{Lane: lane, From: store.Unknown, To: 5}},
			func(ctx context.Context, tx any) error {
				_ = end(ctx, tx) // as a handler that takes no notice
				return nil
			})
		if !errors.Is(err, store.ErrEnded) {
			s.Errorf("%d: %v, want ErrEnded", lane, err)
		}
		if st := s.look(lane); len(st.Lanes) > 0 && st.Lanes[0].Position != 5 {
			s.Errorf("%d: the lane is at %+v: nowhere that it was ever to be", lane, st.Lanes)
		}
	}
	s.must(s.advance(2, store.Unknown, 5, []int64{4}))
	s.position(2, 5)
}

func (s *suite) String() string { return fmt.Sprint(s.part) }
