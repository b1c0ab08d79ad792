package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orderly-go/orderly/store"
)

// sequences: what the sequence guard knows is kept with the step that it is of, or not
// at all, and the oldest make room.
func (s *suite) sequences() {
	b, ok := s.Backend.(store.Sequencer)
	if !ok {
		s.Log("not a store.Sequencer")
		return
	}
	ctx := s.Context()
	key := func(i int) store.SequenceKey { return store.SequenceKeyOf(fmt.Append(nil, i)) }
	of := func(offset int64, keys ...int) (out []store.Sequence) {
		for _, k := range keys {
			out = append(out, store.Sequence{Key: key(k), Offset: offset, State: fmt.Append(nil, k, " at ", offset)})
		}
		return out
	}
	have := func(keys ...int) (out []string) {
		s.Helper()
		var ask []store.SequenceKey
		for _, k := range keys {
			ask = append(ask, key(k))
		}
		got, err := b.Sequences(ctx, s.part, ask)
		s.must(err)
		for _, q := range got {
			if i := slices.Index(ask, q.Key); i < 0 || string(q.State) != fmt.Sprint(keys[i], " at ", q.Offset) {
				s.Fatalf("%v: %q", q.Key, q.State)
			}
			out = append(out, string(q.State))
		}
		slices.Sort(out)
		return out
	}
	want := func(got []string, want ...string) {
		s.Helper()
		if !slices.Equal(got, want) {
			s.Fatalf("%q, want %q", got, want)
		}
	}
	s.begin(1, 0)
	want(have(1, 2, 3))
	var after []store.Sequence // only there when the effects are through
	step := store.Step{Part: s.part, Advance: &store.Advance{Lane: 0, From: store.Unknown, To: 10}, Sequences: func() []store.Sequence { return after }}
	s.must(b.Apply(ctx, step, func(context.Context, any) error { after = of(9, 1, 2); return nil }))
	want(have(1, 2, 3), "1 at 9", "2 at 9")
	after = of(11, 1)
	s.stale("a step that does not fit", b.Apply(ctx, step, nil))
	want(have(1), "1 at 9")
	step.Advance = &store.Advance{Lane: 0, From: 10, To: 12, Detach: []store.Exception{exc(0, 11, "k")}}
	broken := errors.New("broken")
	if err := b.Apply(ctx, step, func(context.Context, any) error { return broken }); !errors.Is(err, broken) {
		s.Fatal(err)
	}
	want(have(1), "1 at 9")
	s.must(b.Apply(ctx, step, nil))
	want(have(1, 2), "1 at 11", "2 at 9")
	after = of(11, 3)
	s.must(b.Apply(ctx, store.Step{Part: s.part, Release: &store.Release{Exception: exc(0, 11, "k")}, Sequences: step.Sequences}, nil))
	want(have(3), "3 at 11")

	// Any number of keys, also twice the same.
	const many = 150
	all := make([]int, many)
	for i := range all {
		all[i] = 100 + i
	}
	after = nil
	for _, k := range all {
		after = append(after, of(int64(k), k)...)
	}
	s.must(b.Apply(ctx, store.Step{Part: s.part, Advance: &store.Advance{Lane: 1, From: store.Unknown, To: 20}, Sequences: step.Sequences}, nil))
	if got := have(append(slices.Clone(all), 1, 2, 3)...); len(got) != many+3 {
		s.Fatalf("%d of %d", len(got), many+3)
	}
	mine := s.part
	s.part.Partition++
	s.begin(1, 0)
	want(have(1, 2, 3)) // another partition's
	s.must(b.Prune(ctx, s.part, 0))
	s.part = mine
	s.must(b.Prune(ctx, s.part, many+3))
	if got := have(append(slices.Clone(all), 1, 2, 3)...); len(got) != many+3 {
		s.Fatalf("%d of %d, and no more were to be kept", len(got), many+3)
	}
	s.must(b.Prune(ctx, s.part, 2))
	want(have(append(slices.Clone(all), 1, 2, 3)...), "248 at 248", "249 at 249")
	if r, ok := s.Backend.(store.Rewinder); ok {
		s.must(r.Rewind(ctx, store.Rewind{Part: s.part, To: 0, Token: 50, By: "me", Why: "to see"}))
		s.begin(51, 0)
		want(have(249)) // what is handled again is no duplicate
	}
}
