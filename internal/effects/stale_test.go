package effects

import (
	"context"
	"testing"

	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

// A record that was detached under an earlier token, after the present one had read the
// state: its exception row is there, and its effect is not.
func TestDetachedUnderAnEarlierToken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		detach func(o *Owner, r Record) error
	}{
		{"failed", func(o *Owner, r Record) error {
			_, err := o.Detach(t.Context(), 0, r)
			return err
		}},
		{"followed", func(o *Owner, r Record) error {
			r.Behind = true
			_, err := o.Run(t.Context(), 0, []Record{r}, all)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem := storetest.NewMemory()
			was := begin(t, mem, 1)
			now := begin(t, mem, 2)
			r := Record{Offset: 3, Key: []byte("a")}
			if err := tt.detach(was, r); err != nil {
				t.Fatal(err)
			}
			applied, err := now.Release(t.Context(), 0, r, func(context.Context, any) error { return nil })
			if err != nil || !applied {
				t.Errorf("applied %v, %v: the record counts as applied without its effect", applied, err)
			}
			if n := mem.Exceptions(); n != 0 {
				t.Errorf("%d exceptions are left", n)
			}
		})
	}
}

// between is a backend in which something happens between the reading of a lane and
// the reader's knowing of it.
type between struct {
	*storetest.Memory
	then func()
}

func (b *between) Look(ctx context.Context, p store.Part, lane int) (store.State, error) {
	st, err := b.Memory.Look(ctx, p, lane)
	if then := b.then; then != nil {
		b.then = nil
		then()
	}
	return st, err
}

// What a step of the lane has done while the lane was read is not forgotten for what
// was read before it.
func TestReadBesideAStep(t *testing.T) {
	b := &between{Memory: storetest.NewMemory()}
	o := begin(t, b, 1)
	key := []byte("a")
	if _, err := o.Detach(t.Context(), 0, Record{Offset: 1, Key: key}); err != nil {
		t.Fatal(err)
	}
	unknown := true
	b.Fault = func(s store.Step) (error, bool) {
		was := unknown
		unknown = false
		return nil, was
	}
	late := Record{Offset: 3, Key: []byte("b"), Behind: true}
	b.then = func() {
		if _, err := o.Run(t.Context(), 0, []Record{{Offset: 2, Key: []byte("c")}, late}, all); err != nil {
			t.Error(err)
		}
	}
	// Its commit is not answered, and the lane is read while it takes others in.
	if _, err := o.Release(t.Context(), 0, Record{Offset: 1, Key: key}, func(context.Context, any) error { return nil }); err != nil {
		t.Fatal(err)
	}
	late.Behind = false
	if got := o.Fate(0, late); got != Detached {
		t.Errorf("fate %v of a record that was detached meanwhile", got)
	}
}
