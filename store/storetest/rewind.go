package storetest

import (
	"context"
	"errors"
	"slices"

	"github.com/orderly-go/orderly/store"
)

// rewind: the partition begins anew, and nothing of an owner of before fits any more,
// not even what was under way.
func (s *suite) rewind() {
	b, ok := s.Backend.(store.Rewinder)
	if !ok {
		s.Log("not a store.Rewinder")
		return
	}
	ctx := s.Context()
	to := func(offset, token int64) error {
		return b.Rewind(ctx, store.Rewind{Part: s.part, To: offset, Token: token, By: "me", Why: "to see"})
	}
	if err := to(5, 7); err != nil {
		s.Errorf("of a partition that is not known: %v", err)
	}
	if all, err := b.Standings(ctx, s.part.Group, s.part.Topic); err != nil || len(all) != 0 {
		s.Errorf("it made rows: %+v, %v", all, err)
	}
	s.begin(10, 0)
	s.must(s.advance(1, store.Unknown, 5, []int64{4}))
	s.must(s.advance(2, store.Unknown, 7, nil, exc(2, 6, "k")))
	all, err := b.Standings(ctx, s.part.Group, s.part.Topic)
	if err != nil || len(all) != 1 || all[0].Part != s.part || all[0].Layout != layout || all[0].State.Token != 10 || len(all[0].State.Lanes) != 2 || len(all[0].State.Exceptions) != 1 {
		s.Fatalf("Standings: %+v, %v", all, err)
	}
	var fenced *store.FencedError
	if err := to(3, 10); !errors.As(err, &fenced) || fenced.Have != 10 {
		s.Errorf("under a token that is there: %v", err)
	}
	s.position(1, 5)

	// One is in the middle of its transaction when it happens: it is through before, or
	// not at all.
	before := 0
	if !s.OneWriter {
		frozen, goOn, result, rewound := make(chan struct{}), make(chan struct{}), make(chan error, 1), make(chan error, 1)
		go func() {
			result <- s.Backend.Apply(ctx, store.Step{Part: s.part, Advance: &store.Advance{Lane: 3, From: store.Unknown, To: 9}},
				func(ctx context.Context, tx any) error {
					err := s.Effect(ctx, tx, 8)
					close(frozen)
					<-goOn
					return err
				})
		}()
		<-frozen
		go func() { rewound <- to(3, 11) }()
		close(goOn)
		err := <-result
		s.must(<-rewound)
		if err == nil {
			before = 1
		} else {
			s.stale("a transaction that was under way", err)
		}
	} else {
		s.must(to(3, 11))
	}

	s.stale("the position of before", s.advance(1, 5, 6, []int64{5}))
	s.stale("the position of a lane that was on its way", s.advance(3, 9, 10, []int64{9}))
	s.stale("a lane without a row before", s.advance(0, store.Unknown, 6, []int64{5}))
	s.stale("the exception of before", s.release(exc(2, 6, "k")))
	if moved, err := s.Backend.Low(ctx, s.part, 10, 4, unchecked); moved || err != nil {
		s.Errorf("the low-water row moved under the token of before: %v", err)
	}
	if st := s.look(1); st.Token != 11 {
		s.Errorf("the owner of before sees token %d: it would not know that it is none", st.Token)
	}
	if _, err := s.Backend.Begin(ctx, s.part, layout, 11, 0); !errors.As(err, &fenced) {
		s.Errorf("Begin under its token: %v", err)
	}
	st := s.begin(12, 99)
	if st.Low != 3 || len(st.Lanes) != 0 || len(st.Exceptions) != 0 {
		s.Errorf("it begins with %+v, want offset 3 and nothing else", st)
	}
	s.must(s.advance(1, store.Unknown, 5, []int64{4})) // again, on purpose
	s.stale("the position of the generation before", s.advance(2, 7, 8, nil))
	counts, err := s.Effects(ctx)
	if err != nil || counts[4] != 2 || counts[5] != 0 || counts[8] != before {
		s.Errorf("effects: %v, %v", counts, err)
	}
	s.keepsParked(b)
	s.must(to(0, 20))
	all, err = b.Standings(ctx, s.part.Group, s.part.Topic)
	if err != nil || !slices.EqualFunc(all, []int64{0}, func(st store.Standing, low int64) bool {
		return st.State.Low == low && st.State.Token == 20 && len(st.State.Lanes) == 0
	}) {
		s.Errorf("after a second one: %+v, %v", all, err)
	}
}

// keepsParked: what is parked is taken over, if that is wanted, and what is not goes.
func (s *suite) keepsParked(b store.Rewinder) {
	parked := exc(2, 3, "p")
	parked.Payload, parked.Failure = []byte("whole"), store.Failure{Cause: "no", Permanent: true, Attempts: 2, First: 5, Last: 6, Releases: 1}
	s.must(s.advance(2, store.Unknown, 9, nil, parked, exc(2, 8, "q")))
	s.must(b.Rewind(s.Context(), store.Rewind{Part: s.part, To: 1, Token: 13, By: "me", Why: "to see", Keep: true}))
	s.stale("the parked exception of before", s.release(parked))
	st := s.begin(14, 99)
	if len(st.Exceptions) != 1 || st.Exceptions[0].Offset != 3 || !st.Exceptions[0].Parked() || st.Exceptions[0].Failure != parked.Failure || len(st.Lanes) != 0 {
		s.Errorf("kept: %+v", st)
	}
	if raw, err := s.Backend.Payload(s.Context(), s.part, 3); err != nil || string(raw) != "whole" {
		s.Errorf("its payload: %q, %v", raw, err)
	}
	s.must(s.release(parked))
}
