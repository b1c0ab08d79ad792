package effects

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

var rules = parking.DefaultRules()

func begin(t *testing.T, mem store.Backend, token int64) *Owner {
	t.Helper()
	o, err := Begin(t.Context(), mem, part, layout, token, 0, &rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func all(_ context.Context, _ any, fresh []int) (int, error) { return len(fresh), nil }

// A record whose key's earlier ones are not through leaves its lane, although the
// store has nothing of them any more.
func TestBehind(t *testing.T) {
	mem := storetest.NewMemory()
	o := begin(t, mem, 1)
	recs := []Record{{Offset: 3, Key: []byte("a")}, {Offset: 4, Key: []byte("b"), Behind: true}, {Offset: 5, Key: []byte("b"), Behind: true}}
	fates, err := o.Run(t.Context(), 0, recs, all)
	if want := []Fate{Fresh, Detached, Detached}; err != nil || !slices.Equal(fates, want) {
		t.Fatalf("%v, %v, want %v", fates, err, want)
	}
	// The next owner finds them.
	if ex := begin(t, mem, 2).Exceptions(); len(ex) != 2 {
		t.Errorf("%+v", ex)
	}
}

// A run that ends early ends before the first record that was not applied, and what
// comes behind it is none of its.
func TestRunEndsEarly(t *testing.T) {
	mem := storetest.NewMemory()
	o := begin(t, mem, 1)
	if ok, err := o.Detach(t.Context(), 0, Record{Offset: 1, Key: []byte("b")}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	recs := []Record{{Offset: 2, Key: []byte("a")}, {Offset: 3, Key: []byte("b")}, {Offset: 4, Key: []byte("a")}, {Offset: 5, Key: []byte("b")}}
	fates, err := o.Run(t.Context(), 0, recs, func(context.Context, any, []int) (int, error) { return 1, nil })
	if want := []Fate{Fresh, Detached}; err != nil || !slices.Equal(fates, want) {
		t.Fatalf("%v, %v, want %v", fates, err, want)
	}
	st, err := mem.Look(t.Context(), part, 0)
	if err != nil || st.Lanes[0].Position != 4 || len(st.Exceptions) != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	fates, err = o.Run(t.Context(), 0, recs[2:], func(context.Context, any, []int) (int, error) { return 0, nil })
	if err != nil || len(fates) != 0 {
		t.Errorf("%v, %v: nothing was applied", fates, err)
	}
}

// A record is passed where it stands, with the decision: at its lane's head, or
// detached; once.
func TestSkip(t *testing.T) {
	mem := storetest.NewMemory()
	o := begin(t, mem, 1)
	why := store.Audit{Decision: "skip", By: "policy", Why: "bad"}
	for range 2 {
		if err := o.Skip(t.Context(), 0, Record{Offset: 1, Key: []byte("a")}, why); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Detach(t.Context(), 0, Record{Offset: 2, Key: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.Skip(t.Context(), 0, Record{Offset: 2, Key: []byte("a")}, why); err != nil {
			t.Fatal(err)
		}
	}
	if a := mem.Audits(); len(a) != 2 || a[0].Offset != 1 || a[1].Offset != 2 || mem.Exceptions() != 0 {
		t.Errorf("%+v, %d exceptions", a, mem.Exceptions())
	}
	if f := o.Fate(0, Record{Offset: 3, Key: []byte("a")}); f != Fresh {
		t.Errorf("the key is not back: %v", f)
	}
}

// slow is a backend whose transactions are chosen to lose, after a while.
type slow struct{ *storetest.Memory }

func (slow) Apply(ctx context.Context, _ store.Step, _ func(context.Context, any) error) error {
	select {
	case <-time.After(patience + time.Second):
		return storetest.ErrAgain
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A database that lets no transaction through counts as one that is down.
func TestLockedOutIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := begin(t, slow{storetest.NewMemory()}, 1)
		_, err := o.Run(t.Context(), 0, []Record{{Offset: 1}}, all)
		var down *DownError
		if !errors.As(err, &down) || !errors.Is(err, storetest.ErrAgain) {
			t.Errorf("%v", err)
		}
	})
}

// lossy is a Memory that says it has done what it has not.
type lossy struct {
	*storetest.Memory
	on bool
}

func (l *lossy) Apply(ctx context.Context, s store.Step, effects func(context.Context, any) error) error {
	if l.on {
		return nil
	}
	return l.Memory.Apply(ctx, s, effects)
}

// The low-water row does not go past what the database had acknowledged and has lost:
// nobody would read it again.
func TestLowStaysBelowWhatIsLost(t *testing.T) {
	one := func(context.Context, any) error { return nil }
	for name, tc := range map[string]struct {
		lose func(o *Owner) error
		want LostError
	}{
		"nothing": {func(*Owner) error { return nil }, LostError{}},
		"a run": {func(o *Owner) error {
			_, err := o.Run(t.Context(), 1, []Record{{Offset: 6, Key: []byte("b")}}, all)
			return err
		}, LostError{Lane: 1, Known: 7, Have: 5}},
		"a release": {func(o *Owner) error {
			_, err := o.Release(t.Context(), 0, Record{Offset: 2, Key: []byte("a")}, one)
			return err
		}, LostError{Known: 2, Have: 2, Row: true}},
	} {
		t.Run(name, func(t *testing.T) {
			db := &lossy{Memory: storetest.NewMemory()}
			o := begin(t, db, 1)
			for _, r := range []Record{{Offset: 1, Key: []byte("c")}, {Offset: 2, Key: []byte("a")}} { // of the first the log has no record any more
				if ok, err := o.Detach(t.Context(), 0, r); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			if _, err := o.Run(t.Context(), 1, []Record{{Offset: 4, Key: []byte("b")}}, all); err != nil {
				t.Fatal(err)
			}
			db.on = true
			if err := tc.lose(o); err != nil {
				t.Fatal(err)
			}
			db.on = false
			if name == "nothing" {
				if _, err := o.Release(t.Context(), 0, Record{Offset: 2, Key: []byte("a")}, one); err != nil {
					t.Fatal(err)
				}
			}
			err := o.Low(t.Context(), 5)
			st, lookErr := db.Look(t.Context(), part, 0)
			if lookErr != nil {
				t.Fatal(lookErr)
			}
			if lost := new(LostError); tc.want != (LostError{}) {
				if !errors.As(err, &lost) || *lost != tc.want || st.Low != 0 {
					t.Errorf("%v, and low is %d; want %v", err, st.Low, &tc.want)
				}
			} else if err != nil || st.Low != 5 {
				t.Errorf("%v, and low is %d", err, st.Low)
			}
		})
	}
}

// An owner before detaches a record after this one has begun, and compaction removes it
// before this one reads it: nothing is lost by that.
func TestLowPassesALateRowThatCompactionRemoved(t *testing.T) {
	db := storetest.NewMemory()
	before := begin(t, db, 1)
	o := begin(t, db, 2)
	if ok, err := before.Detach(t.Context(), 0, Record{Offset: 2, Key: []byte("a")}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	err := o.Low(t.Context(), 5)
	st, lookErr := db.Look(t.Context(), part, 0)
	if err != nil || lookErr != nil || st.Low != 5 {
		t.Errorf("%v, %v, and low is %d", err, lookErr, st.Low)
	}
}
