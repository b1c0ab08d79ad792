package effects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
	"github.com/orderly-go/orderly/store/storetest"
)

func rec(offset int64, key string) Record {
	return Record{Offset: offset, Key: []byte(key), Payload: func() []byte { return fmt.Append(nil, offset) }, Size: 10}
}

// park parks the record at an offset, and those of its key behind it.
func park(t *testing.T, o *Owner, f store.Failure, offsets ...int64) {
	t.Helper()
	if err := o.ParkHead(t.Context(), 0, rec(offsets[0], "k"), f, nil); err != nil {
		t.Fatal(err)
	}
	for _, at := range offsets[1:] {
		fates, err := o.Run(t.Context(), 0, []Record{rec(at, "k")}, all)
		if err != nil || !slices.Equal(fates, []Fate{Parked}) {
			t.Fatalf("offset %d: %v, %v", at, fates, err)
		}
	}
}

func minutes(n int) int64 { return (time.Duration(n) * time.Minute).Milliseconds() }

// A parked key is due by how its head has failed, also at the next owner; behind a head
// that was released the next one is due at once.
func TestDueKeys(t *testing.T) {
	for _, tc := range []struct {
		f   store.Failure
		due int64
	}{
		{store.Failure{Cause: "no", Last: minutes(1)}, minutes(6)},
		{store.Failure{Cause: "no", Last: minutes(1), Releases: 2}, minutes(21)},
		{store.Failure{Cause: "no", Last: minutes(1), Releases: 60}, minutes(361)},
		{store.Failure{Cause: "no", Last: minutes(1), Permanent: true}, parking.Waits},
	} {
		mem := storetest.NewMemory()
		park(t, begin(t, mem, 1), tc.f, 1, 2)
		for token := range int64(2) {
			o := begin(t, mem, 2+token)
			if keys := o.DueKeys(tc.due - 1); len(keys) != 0 {
				t.Errorf("%+v: due too early", tc.f)
			}
			if tc.due == parking.Waits {
				continue
			}
			if keys := o.DueKeys(tc.due); len(keys) != 1 || string(keys[0]) != "k" {
				t.Errorf("%+v: %q are due", tc.f, keys)
			}
			if e, ok := o.Take([]byte("k"), tc.due); !ok || e.Offset != 1 {
				t.Errorf("%+v, %v", e, ok)
			}
		}
	}
	o := begin(t, storetest.NewMemory(), 1)
	park(t, o, store.Failure{Cause: "no", Permanent: true, Last: 1}, 1, 2)
	if err := o.Skip(t.Context(), 0, rec(1, "k"), store.Audit{Decision: "skip"}); err != nil {
		t.Fatal(err)
	}
	if keys := o.DueKeys(0); len(keys) != 1 {
		t.Errorf("behind a skipped head: %q are due", keys)
	}
}

// That a release has failed is in the store: the next owner goes on with the schedule.
func TestTriedIsKept(t *testing.T) {
	mem := storetest.NewMemory()
	o := begin(t, mem, 1)
	park(t, o, store.Failure{Cause: "no", Attempts: 3, First: 1, Last: minutes(1)}, 1, 2)
	f := store.Failure{Cause: "again", Attempts: 3, First: 1, Last: minutes(7), Releases: 1}
	if err := o.Tried(t.Context(), 1, f); err != nil {
		t.Fatal(err)
	}
	next := begin(t, mem, 2)
	if early := next.DueKeys(minutes(17) - 1); len(early) != 0 {
		t.Errorf("%q are due too early", early)
	}
	if keys := next.DueKeys(minutes(17)); len(keys) != 1 {
		t.Errorf("%q are due", keys)
	}
	if e, ok := next.Take([]byte("k"), minutes(17)); !ok || e.Failure != f {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, err := next.Release(t.Context(), 0, rec(1, "k"), func(context.Context, any) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := o.Tried(t.Context(), 1, f); err == nil || mem.Exceptions() != 1 {
		t.Errorf("noted by an owner that was replaced, of a record that is done: %v, %d exceptions", err, mem.Exceptions())
	}
}

// Before the time that is set nothing is released on schedule; by word it is.
func TestNotBefore(t *testing.T) {
	o := begin(t, storetest.NewMemory(), 1)
	park(t, o, store.Failure{Cause: "no", Last: minutes(1)}, 1, 2)
	o.NotBefore(minutes(30))
	if keys := o.DueKeys(minutes(30) - 1); len(keys) != 0 {
		t.Errorf("%q are due too early", keys)
	}
	if parked, began := o.Free([]byte("k")); !parked || !began {
		t.Error("not by word")
	}
	o.Stop([]byte("k"), 0)
	if keys := o.DueKeys(minutes(30)); len(keys) != 1 {
		t.Errorf("%q are due", keys)
	}
}

// No more keys are released at a time than the rules say, and a release that has ended
// makes room.
func TestReleasesAtATime(t *testing.T) {
	o := begin(t, storetest.NewMemory(), 1)
	o.rules = &parking.Rules{First: time.Minute, Max: time.Minute, Releases: 2, MaxPerKey: 10, MaxKeys: 10, MaxBytes: 1000}
	for i := range int64(3) {
		r := rec(i, string(rune('a'+i)))
		if err := o.ParkHead(t.Context(), 0, r, store.Failure{Cause: "no", First: 1, Last: 1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	due := o.DueKeys(minutes(2))
	if len(due) != 2 || string(due[0]) != "a" || string(due[1]) != "b" {
		t.Fatalf("%q", due)
	}
	if more := o.DueKeys(minutes(2)); len(more) != 0 {
		t.Errorf("%q too", more)
	}
	if _, ok := o.Take([]byte("a"), minutes(2)); !ok {
		t.Fatal("nothing to take")
	}
	o.Back([]byte("a"), 0, &store.Failure{Cause: "no", Last: minutes(2)})
	if more := o.DueKeys(minutes(2)); len(more) != 1 || string(more[0]) != "c" {
		t.Errorf("then %q", more)
	}
}

// A key that is due follows a release that has ended, without a look at all keys, unless it
// is not due any more.
func TestNextDue(t *testing.T) {
	o := begin(t, storetest.NewMemory(), 1)
	o.rules = &parking.Rules{First: time.Minute, Max: time.Minute, Releases: 2, MaxPerKey: 10, MaxKeys: 10, MaxBytes: 1000}
	for i := range int64(6) {
		if err := o.ParkHead(t.Context(), 0, rec(i, string(rune('a'+i))), store.Failure{Cause: "no", First: 1, Last: 1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	next := func(want string) {
		t.Helper()
		if key, ok := o.NextDue(minutes(2)); string(key) != want || ok != (want != "") {
			t.Fatalf("the next one is %q, %v; want %q", key, ok, want)
		}
	}
	next("") // nobody has looked for them
	if due := o.DueKeys(minutes(2)); len(due) != 2 {
		t.Fatalf("%q", due)
	}
	next("") // there is no room
	if _, began := o.Free([]byte("c")); !began {
		t.Fatal("c is not released by word")
	}
	o.Stop([]byte("a"), minutes(9))
	next("")
	o.Stop([]byte("b"), minutes(9))
	next("d") // c is released already
	next("")
	if err := o.Skip(t.Context(), 0, rec(4, "e"), store.Audit{Decision: "skip", By: "x", Why: "because"}); err != nil {
		t.Fatal(err)
	}
	o.Stop([]byte("c"), minutes(9))
	next("f") // e is not there
	o.Stop([]byte("d"), minutes(9))
	next("")
	if due := o.DueKeys(minutes(9)); len(due) != 1 || string(due[0]) != "a" {
		t.Errorf("then %q", due)
	}
}

// At each cap nothing more is parked, and it is said which; what is left waits detached.
func TestCaps(t *testing.T) {
	for name, tc := range map[string]struct {
		rules parking.Rules
		next  Record
	}{
		"records": {parking.Rules{MaxPerKey: 2, MaxKeys: 9, MaxBytes: 1000}, rec(5, "k")},
		"keys":    {parking.Rules{MaxPerKey: 9, MaxKeys: 1, MaxBytes: 1000}, rec(5, "other")},
		"bytes":   {parking.Rules{MaxPerKey: 9, MaxKeys: 9, MaxBytes: 11}, rec(5, "k")}, // with one byte each by now
	} {
		o := begin(t, storetest.NewMemory(), 1)
		o.rules = &tc.rules
		park(t, o, store.Failure{Cause: "no"}, 1, 2)
		var full *FullError
		if err := o.ParkHead(t.Context(), 0, tc.next, store.Failure{}, nil); !errors.As(err, &full) {
			t.Errorf("%s: %v", name, err)
		}
		fates, err := o.Run(t.Context(), 0, []Record{rec(3, "k"), rec(4, "k")}, all)
		want := map[string][]Fate{"records": {Detached, Detached}, "keys": {Parked, Parked}, "bytes": {Detached, Detached}}[name]
		if err != nil || !slices.Equal(fates, want) {
			t.Errorf("%s: %v, %v", name, fates, err)
		}
		if turn := o.Turn(rec(3, "k")); want[0] == Detached && turn != Full {
			t.Errorf("%s: the turn of one behind it is %v", name, turn)
		}
	}
	// What one step parks counts together.
	o := begin(t, storetest.NewMemory(), 1)
	o.rules = &parking.Rules{MaxPerKey: 3, MaxKeys: 9, MaxBytes: 1000}
	park(t, o, store.Failure{Cause: "no"}, 1)
	fates, err := o.Run(t.Context(), 0, []Record{rec(2, "k"), rec(3, "k"), rec(4, "k")}, all)
	if want := []Fate{Parked, Parked, Detached}; err != nil || !slices.Equal(fates, want) {
		t.Errorf("%v, %v", fates, err)
	}
}

// during is a backend that does something while a step is under way.
type during struct {
	*storetest.Memory
	do func()
}

func (d *during) Apply(ctx context.Context, s store.Step, effects func(context.Context, any) error) error {
	if do := d.do; do != nil {
		d.do = nil
		do()
	}
	return d.Memory.Apply(ctx, s, effects)
}

// What steps park that are under way counts too, and no more when they have failed.
func TestCapsCountWhatIsUnderWay(t *testing.T) {
	ten := func(offset int64, key string) Record {
		r := rec(offset, key)
		r.Payload = func() []byte { return make([]byte, r.Size) }
		return r
	}
	for _, tc := range []struct {
		name     string
		rules    parking.Rules
		existing bool // the two are of a key that is parked
	}{
		{"records", parking.Rules{MaxPerKey: 2, MaxKeys: 9, MaxBytes: 1000}, true},
		{"keys", parking.Rules{MaxPerKey: 9, MaxKeys: 1, MaxBytes: 1000}, false},
		{"bytes of a key", parking.Rules{MaxPerKey: 9, MaxKeys: 9, MaxBytes: 25}, true},
		{"bytes of two keys", parking.Rules{MaxPerKey: 9, MaxKeys: 9, MaxBytes: 15}, false},
	} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fails %v", tc.name, fails), func(t *testing.T) {
				mem := &during{Memory: storetest.NewMemory()}
				o := begin(t, mem, 1)
				o.rules = &tc.rules
				parks := func(r Record) (bool, error) {
					err := o.ParkHead(t.Context(), 0, r, store.Failure{}, nil)
					if full := new(*FullError); errors.As(err, full) {
						return false, nil
					}
					return true, err
				}
				first := func() error { _, err := parks(ten(3, "other")); return err }
				second := func() (bool, error) { return parks(ten(4, "k")) }
				if tc.existing {
					if _, err := o.Detach(t.Context(), 0, ten(1, "k")); err != nil {
						t.Fatal(err)
					}
					if _, err := o.Detach(t.Context(), 0, ten(2, "k")); err != nil {
						t.Fatal(err)
					}
					if ok, err := parks(ten(1, "k")); !ok || err != nil {
						t.Fatal(ok, err)
					}
					first = func() error { _, err := o.Run(t.Context(), 0, []Record{ten(3, "k")}, all); return err }
					second = func() (bool, error) {
						n, err := o.ParkBehind(t.Context(), 0, []Record{ten(2, "k")})
						return n == 1, err
					}
				}
				met := false
				mem.do = func() {
					met = true
					if parked, err := second(); parked || err != nil {
						t.Errorf("meanwhile: parked %v, %v", parked, err)
					}
					mem.Down(fails)
				}
				if err := first(); (err != nil) != fails || !met {
					t.Fatal(err, met)
				}
				mem.Down(false)
				if parked, err := second(); parked != fails || err != nil {
					t.Errorf("afterwards: parked %v, %v", parked, err)
				}
			})
		}
	}
}

// A parked record that was kept over a rewind is not released before its lane has gone
// past it: it would come again afterwards.
func TestKeptOverARewind(t *testing.T) {
	mem := storetest.NewMemory()
	park(t, begin(t, mem, 1), store.Failure{Cause: "no", Last: 1}, 4, 9)
	if err := mem.Rewind(t.Context(), store.Rewind{Part: part, To: 3, Token: 2, Keep: true}); err != nil {
		t.Fatal(err)
	}
	o := begin(t, mem, 3)
	if keys := o.DueKeys(minutes(100)); len(keys) != 0 {
		t.Fatalf("%q are due before the lane has passed them", keys)
	}
	o.Free([]byte("k"))
	if e, ok := o.Take([]byte("k"), 0); ok {
		t.Fatalf("offset %d is released before the lane has passed it", e.Offset)
	}
	fates, err := o.Run(t.Context(), 0, []Record{rec(3, "k"), rec(4, "k"), rec(7, "k")}, all)
	if want := []Fate{Parked, Kept, Parked}; err != nil || !slices.Equal(fates, want) {
		t.Fatalf("%v, %v", fates, err)
	}
	o.Free([]byte("k"))
	for _, want := range []int64{3, 4, 7} {
		e, ok := o.Take([]byte("k"), 0)
		if !ok || e.Offset != want {
			t.Fatalf("%+v, %v, want offset %d", e, ok, want)
		}
		if _, err := o.Release(t.Context(), 0, rec(want, "k"), func(context.Context, any) error { return nil }); err != nil {
			t.Fatal(err)
		}
		o.Back([]byte("k"), want, nil)
	}
	if e, ok := o.Take([]byte("k"), 0); ok {
		t.Fatalf("offset %d is released before the lane has passed it", e.Offset)
	}
}

// A parked record at its lane's head after a rewind takes the lane past it: once it is
// released there is no other trace of it.
func TestKeptRecordIsPassed(t *testing.T) {
	mem := storetest.NewMemory()
	park(t, begin(t, mem, 1), store.Failure{Cause: "no", Last: 1}, 4)
	if err := mem.Rewind(t.Context(), store.Rewind{Part: part, To: 4, Token: 2, Keep: true}); err != nil {
		t.Fatal(err)
	}
	o := begin(t, mem, 3)
	if fates, err := o.Run(t.Context(), 0, []Record{rec(4, "k")}, all); err != nil || !slices.Equal(fates, []Fate{Kept}) {
		t.Fatalf("%v, %v", fates, err)
	}
	if _, err := o.Release(t.Context(), 0, rec(4, "k"), func(context.Context, any) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if f := begin(t, mem, 4).Fate(0, rec(4, "k")); f != Applied {
		t.Errorf("it would be applied again: %v", f)
	}
}

// While a released record is with its handler nothing of its key starts, though its row is
// gone already.
func TestKeyInHand(t *testing.T) {
	o := begin(t, storetest.NewMemory(), 1)
	park(t, o, store.Failure{Cause: "no"}, 1)
	if parked, began := o.Free([]byte("k")); !parked || !began {
		t.Fatal(parked, began)
	}
	if _, ok := o.Take([]byte("k"), 0); !ok || !o.InHand([]byte("k"), 1) {
		t.Fatal("nothing to take")
	}
	release := func(offset int64) {
		t.Helper()
		if _, err := o.Release(t.Context(), 0, rec(offset, "k"), func(context.Context, any) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	release(1)
	if fates, err := o.Run(t.Context(), 0, []Record{rec(2, "k")}, all); err != nil || !slices.Equal(fates, []Fate{Detached}) {
		t.Fatalf("%v, %v", fates, err)
	}
	if turn := o.Turn(rec(2, "k")); turn != Wait || o.Freed([]byte("k")) {
		t.Errorf("its turn is %v", turn)
	}
	o.Back([]byte("k"), 1, nil)
	if turn := o.Turn(rec(2, "k")); turn != Handle || !o.Freed([]byte("k")) || o.InHand([]byte("k"), 1) {
		t.Errorf("then its turn is %v", turn)
	}
	release(2)
	if f := o.Fate(0, rec(3, "k")); f != Fresh {
		t.Errorf("the key is not back: %v", f)
	}
}

// Detached records behind a parked one get their payloads in one step, and are settled.
func TestParkBehind(t *testing.T) {
	mem := storetest.NewMemory()
	o := begin(t, mem, 1)
	for at := range int64(4) {
		if _, err := o.Detach(t.Context(), 0, rec(at, "k")); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.ParkHead(t.Context(), 0, rec(0, "k"), store.Failure{Cause: "no"}, nil); err != nil {
		t.Fatal(err)
	}
	o.rules = &parking.Rules{MaxPerKey: 3, MaxKeys: 1, MaxBytes: 1000}
	n, err := o.ParkBehind(t.Context(), 0, []Record{rec(1, "k"), rec(2, "k"), rec(3, "k")})
	if n != 2 || err != nil { // the cap is 3
		t.Fatal(n, err)
	}
	next := begin(t, mem, 2)
	for at, want := range []Fate{Kept, Kept, Kept, Detached} {
		if f := next.Fate(0, rec(int64(at), "k")); f != want {
			t.Errorf("offset %d is %v, want %v", at, f, want)
		}
	}
	if raw, err := next.Payload(t.Context(), 2); err != nil || string(raw) != "2" {
		t.Errorf("%q, %v", raw, err)
	}
	if keys, records, size := next.Counts(); keys != 1 || records != 3 || size != 3 {
		t.Error(keys, records, size)
	}
}

// What a run under the token before has parked after the takeover is found by a refresh.
func TestParkedUnderTheTokenBefore(t *testing.T) {
	mem := storetest.NewMemory()
	o := begin(t, mem, 1)
	if _, err := o.Detach(t.Context(), 0, rec(1, "k")); err != nil {
		t.Fatal(err)
	}
	next := begin(t, mem, 2)
	park(t, o, store.Failure{Cause: "no", Last: 1}, 1)
	if lanes := next.DetachedLanes(); !slices.Equal(lanes, []int{0}) {
		t.Fatalf("%v", lanes)
	}
	if err := next.Refresh(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if keys := next.DueKeys(minutes(10)); len(keys) != 1 || len(next.DetachedLanes()) != 0 {
		t.Errorf("%q are due", keys)
	}
}

// The form of payloads is fixed: what one release has parked the next one reads.
func TestPayloadForm(t *testing.T) {
	for name, p := range map[string]Payload{
		"full": {Timestamp: 1_700_000_000_123, Record: parking.Record{Key: []byte("k"), Value: []byte(`{"n":1}`),
			Headers: []parking.Header{{Key: "a", Value: []byte{0, 0xff}}, {Key: "", Value: nil}, {Key: "b", Value: []byte{}}}}},
		"null": {Timestamp: -1, Record: parking.Record{Value: []byte{}}},
	} {
		raw := p.Encode()
		file := filepath.Join("testdata", "payload-v1-"+name+".bin")
		if os.Getenv("ORDERLY_UPDATE") == "1" {
			if err := os.WriteFile(file, raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(golden, raw) {
			t.Errorf("%s: %x, want %x (%v)", name, raw, golden, err)
		}
		got, err := DecodePayload(golden)
		if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", p) {
			t.Errorf("%s: %#v, %v, want %#v", name, got, err, p)
		}
		for n := range raw {
			if _, err := DecodePayload(raw[:n]); err == nil {
				t.Errorf("%s: cut to %d bytes it is read", name, n)
			}
		}
		if _, err := DecodePayload(append(bytes.Clone(raw), 0)); err == nil {
			t.Errorf("%s: with a byte more it is read", name)
		}
		raw[0] = payloadVersion + 1
		if _, err := DecodePayload(raw); err == nil {
			t.Errorf("%s: a newer one is read", name)
		}
	}
}

// What a million parked records take up in memory is stated in docs/effects.md.
func BenchmarkParkedIndex(b *testing.B) {
	rules := parking.DefaultRules()
	st := store.State{Token: 1}
	for i := range int64(100_000) {
		e := store.Exception{Lane: int(i % 64), Offset: i, Key: fmt.Appendf(nil, "key-%d", i/10), Payload: []byte{}, Size: 100}
		if i%10 == 0 {
			e.Failure = store.Failure{Cause: "no", First: 1, Last: 1}
		}
		st.Exceptions = append(st.Exceptions, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Begin(context.Background(), stated{storetest.NewMemory(), st}, part, layout, 1, 0, &rules, nil); err != nil {
			b.Fatal(err)
		}
	}
}

type stated struct {
	*storetest.Memory
	st store.State
}

func (s stated) Begin(context.Context, store.Part, store.Layout, int64, int64) (store.State, error) {
	return s.st, nil
}
