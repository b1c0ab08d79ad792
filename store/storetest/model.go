package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"

	"github.com/orderly-go/orderly/store"
)

// A reference is a Backend's partition as it ought to be, in memory.
type reference struct {
	token, low int64
	pos        map[int]int64
	exc        map[int64]store.Exception
	effects    map[int64]int
	seq        map[store.SequenceKey]store.Sequence
}

func (r *reference) begin(token, low int64) bool {
	if r.pos == nil {
		*r = reference{token: token, low: low, pos: map[int]int64{}, exc: map[int64]store.Exception{}, effects: map[int64]int{}, seq: map[store.SequenceKey]store.Sequence{}}
		return true
	}
	if token <= r.token {
		return false
	}
	r.token = token
	return true
}

// passed is what the low-water row would pass.
func (r *reference) passed(low int64) store.State {
	st := store.State{Token: r.token, Low: r.low}
	for l, pos := range r.pos {
		st.Lanes = append(st.Lanes, store.Lane{Lane: l, Position: pos})
	}
	for o, e := range r.exc {
		if o >= r.low && o < low && !e.Parked() {
			st.Exceptions = append(st.Exceptions, store.Exception{Offset: o, Lane: e.Lane})
		}
	}
	return inOrder(st)
}

func unchecked(store.State) error { return nil }

func inOrder(st store.State) store.State {
	slices.SortFunc(st.Lanes, func(a, b store.Lane) int { return a.Lane - b.Lane })
	slices.SortFunc(st.Exceptions, func(a, b store.Exception) int { return int(a.Offset - b.Offset) })
	return st
}

func (r *reference) advance(a *store.Advance, effects []int64) bool {
	at, ok := r.pos[a.Lane]
	if !ok {
		at = store.Unknown
	}
	if at != a.From {
		return false
	}
	for _, e := range a.Detach {
		if _, there := r.exc[e.Offset]; there {
			return false
		}
	}
	for _, e := range a.Detach {
		r.exc[e.Offset] = e
	}
	r.pos[a.Lane] = a.To
	for _, o := range effects {
		r.effects[o]++
	}
	return true
}

func (r *reference) release(e store.Exception) bool {
	if _, ok := r.exc[e.Offset]; !ok {
		return false
	}
	for o, other := range r.exc {
		if o < e.Offset && other.Lane == e.Lane && (other.Key == nil) == (e.Key == nil) && string(other.Key) == string(e.Key) {
			return false
		}
	}
	delete(r.exc, e.Offset)
	r.effects[e.Offset]++
	return true
}

func (r *reference) park(all []store.Exception) bool {
	for _, e := range all {
		if _, ok := r.exc[e.Offset]; !ok {
			return false
		}
	}
	for _, e := range all {
		have := r.exc[e.Offset]
		have.Payload, have.Failure = e.Payload, e.Failure
		r.exc[e.Offset] = have
	}
	return true
}

func (r *reference) tried(e store.Exception) bool {
	have, ok := r.exc[e.Offset]
	if !ok || !have.Parked() {
		return false
	}
	have.Failure = e.Failure
	r.exc[e.Offset] = have
	return true
}

// model takes random steps of several owners, of which each knows only what it was
// told, and compares each answer, and the end, with the reference.
func (s *suite) model() {
	seed := rand.Uint64()
	if text := os.Getenv("ORDERLY_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			s.Fatalf("ORDERLY_SEED: %v", err)
		}
	}
	runs := 30
	if os.Getenv("ORDERLY_SOAK") == "1" {
		runs = 1000
	}
	s.Logf("seed %d; ORDERLY_SEED repeats it", seed)
	for run := range runs {
		s.part.Partition++ // an empty one
		s.random(rand.New(rand.NewPCG(seed, uint64(run))))
	}
}

// random is one run of the model, on an empty partition.
func (s *suite) random(r *rand.Rand) {
	t, part := s.T, s.part
	var ref reference
	same := func(what string, err error, want bool) {
		var fenced *store.FencedError
		switch {
		case err == nil && want:
		case (errors.Is(err, store.ErrStale) || errors.As(err, &fenced)) && !want:
		default:
			t.Fatalf("%s: %v, want success %v", what, err, want)
		}
	}
	place := func(offset int64) int64 { return int64(part.Partition)*1000 + offset }
	effects := func(offsets ...int64) []int64 {
		out := make([]int64, len(offsets))
		for i, o := range offsets {
			out[i] = place(o)
		}
		return out
	}
	ctx := s.Context()
	_, err := s.Backend.Begin(ctx, part, layout, 1, 0)
	same("the first owner", err, ref.begin(1, 0))
	key := func(offset int64) []byte { return []byte([]string{"a", "b", ""}[offset%3]) }
	for range 1 + r.IntN(25) {
		lane := r.IntN(2)
		offset := r.Int64N(10)
		e := store.Exception{Lane: lane, Offset: offset, Key: key(offset)}
		step := store.Step{Part: part, Token: 1}
		switch pick(r, []string{"advance", "advance", "advance", "release", "park", "tried", "begin", "low"}) {
		case "begin":
			token := 1 + r.Int64N(4)
			_, err := s.Backend.Begin(ctx, part, layout, token, 50)
			same(fmt.Sprintf("begin with %d", token), err, ref.begin(token, 50))
		case "advance":
			from := pick(r, []int64{store.Unknown, 2, 4, 6, 8})
			to := max(from, 0) + 2
			a := &store.Advance{Lane: lane, From: from, To: to}
			// Its records: the last is detached, or all are applied.
			applied := []int64{to - 2, to - 1}
			switch r.IntN(4) {
			case 0:
				a.Detach = []store.Exception{{Lane: lane, Offset: to - 1, Key: key(to - 1)}}
				applied = applied[:1]
			case 1: // both are parked
				for i, o := range []int64{to - 2, to - 1} {
					a.Detach = append(a.Detach, store.Exception{Lane: lane, Offset: o, Key: key(o), Payload: make([]byte, i)})
				}
				a.Detach[0].Failure = failure(r)
				applied = nil
			}
			step.Advance = a
			err := s.Backend.Apply(ctx, step, s.effects(effects(applied...)...))
			same(fmt.Sprintf("advance %+v", *a), err, ref.advance(a, applied))
		case "release":
			step.Release = &store.Release{Exception: e}
			same(fmt.Sprintf("release %d", offset), s.Backend.Apply(ctx, step, s.effects(place(offset))), ref.release(e))
		case "park":
			// As its owner knows it: under its own lane and key.
			if known, ok := ref.exc[offset]; ok {
				e = known
			}
			e.Payload, e.Failure = []byte{byte(offset)}, failure(r)
			all := []store.Exception{e}
			if other, ok := ref.exc[r.Int64N(10)]; ok && other.Offset != e.Offset { // all of them, or none
				other.Payload, other.Failure = []byte{byte(other.Offset), 1}, failure(r)
				all = append([]store.Exception{other}, all...)
			}
			step.Park = &store.Park{Exceptions: all}
			same(fmt.Sprintf("park %d", offset), s.Backend.Apply(ctx, step, nil), ref.park(all))
		case "tried":
			e.Failure = failure(r)
			step.Tried = &store.Tried{Exception: e}
			same(fmt.Sprintf("tried %d", offset), s.Backend.Apply(ctx, step, nil), ref.tried(e))
		case "low":
			token, low := 1+r.Int64N(4), r.Int64N(10)
			var seen *store.State
			var refused error
			if r.IntN(3) == 0 {
				refused = errors.New("it has lost something")
			}
			moved, err := s.Backend.Low(ctx, part, token, low, func(st store.State) error { seen = &st; return refused })
			want := token == ref.token && low > ref.low
			if (seen != nil) != want {
				t.Fatalf("low to %d under %d: looked at %v; want %v", low, token, seen, want)
			}
			if !want {
				refused = nil
			} else if got, at := inOrder(*seen), ref.passed(low); fmt.Sprint(got) != fmt.Sprint(at) {
				t.Fatalf("low to %d: it would pass %v, want %v", low, got, at)
			}
			if !errors.Is(err, refused) || moved != (want && refused == nil) {
				t.Fatalf("low to %d under %d: %v, %v; want %v, %v", low, token, moved, err, want, refused)
			}
			if moved {
				ref.low = low
			}
		}
	}
	counts, err := s.Effects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for o := range int64(12) {
		if counts[place(o)] != ref.effects[o] {
			t.Fatalf("offset %d had its effect %d times, want %d", o, counts[place(o)], ref.effects[o])
		}
	}
	for lane := range 2 {
		st, err := s.Backend.Look(ctx, part, lane)
		if err != nil {
			t.Fatal(err)
		}
		pos, ok := ref.pos[lane]
		if ok != (len(st.Lanes) == 1) || ok && st.Lanes[0].Position != pos || st.Token != ref.token || st.Low != ref.low {
			t.Fatalf("lane %d: %+v, want position %d (%v), token %d, low %d", lane, st, pos, ok, ref.token, ref.low)
		}
		var want []int64
		for o, e := range ref.exc {
			if e.Lane == lane {
				want = append(want, o)
			}
		}
		slices.Sort(want)
		var got []int64
		for _, e := range st.Exceptions {
			got = append(got, e.Offset)
			want := ref.exc[e.Offset]
			if e.Parked() != want.Parked() || e.Failure != want.Failure || e.Size != len(want.Payload) {
				t.Fatalf("exception %d: %+v, want %+v", e.Offset, e, want)
			}
			if want.Parked() {
				if b, err := s.Backend.Payload(ctx, part, e.Offset); err != nil || !bytes.Equal(b, want.Payload) {
					t.Fatalf("payload of %d: %v, %v, want %v", e.Offset, b, err, want.Payload)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("exceptions of lane %d: %v, want %v", lane, got, want)
		}
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func failure(r *rand.Rand) store.Failure {
	return store.Failure{Cause: pick(r, []string{"", "no", "größer"}), Permanent: r.IntN(2) == 0, Attempts: r.IntN(20), First: r.Int64N(1 << 41), Last: r.Int64N(1 << 41), Releases: r.IntN(5)}
}
