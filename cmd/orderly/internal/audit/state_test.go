package audit

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// resumed makes an audit without a cluster, as Run does.
func resumed(t *testing.T, file string, budget int64) *audit {
	t.Helper()
	a := &audit{o: Options{State: file, Topic: "t", Now: time.Now, Limit: everything / 2}, config: config{Topic: "t"}, starts: map[int32]int64{}, positions: map[int32]int64{},
		writers: map[string]uint32{}, tally: newTally(everything / 2)}
	a.table = newTable(Rules{}, a.tally, budget, spillDir(file))
	a.table.keep = true
	return a
}

// An audit that dies anywhere and goes on from its state file finds what one finds
// that does not die; what was written after the state does not count.
func TestGoesOnFromItsStateAfterADeath(t *testing.T) {
	r := seeded(t)
	changes := history(t)
	for _, budget := range []int64{1 << 40, 60_000, 5_000} {
		w := topicOf(changes)
		w.plant(r, 200)
		file := filepath.Join(t.TempDir(), "audit")
		var a *audit
		for life := range 5 {
			a = resumed(t, file, budget)
			if err := a.restore(); err != nil {
				t.Fatal(err)
			}
			most := 20 + r.IntN(40)
			if life == 4 {
				most = everything
			}
			feed(t, r, a.tally, a.table, w, a.positions, most)
			if err := a.save(); err != nil {
				t.Fatal(err)
			}
			if life < 4 { // goes on, and dies without another word
				feed(t, r, a.tally, a.table, w, a.positions, 10)
				for i := range a.table.parts {
					if f := a.table.parts[i].file; f != nil {
						if err := f.w.Flush(); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := a.table.discard(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := a.table.end(); err != nil {
			t.Fatal(err)
		}
		a.tally.finish()
		differ(t, words(a.tally), w.fault)

		// The end took nothing away: the state can be read again, to the same end.
		again := resumed(t, file, budget)
		if err := again.restore(); err != nil {
			t.Fatal(err)
		}
		if err := again.table.end(); err != nil {
			t.Fatal(err)
		}
		again.tally.finish()
		if !reflect.DeepEqual(again.tally.found, a.tally.found) {
			t.Errorf("budget %d: the state read again says something else", budget)
		}
	}
}

func TestStateFilesThatCannotBeUsed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	w := topicOf(history(t))
	w.number()
	file := filepath.Join(t.TempDir(), "audit")
	a := resumed(t, file, 60_000)
	feed(t, r, a.tally, a.table, w, a.positions, everything)
	if err := errors.Join(a.save(), a.table.discard()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spills, err := filepath.Glob(filepath.Join(spillDir(file), "keys-*"))
	if err != nil || len(spills) == 0 {
		t.Fatalf("%v: %v", spills, err)
	}
	for _, c := range []struct {
		name   string
		damage func()
		want   string
	}{
		{"another file", func() { _ = os.WriteFile(file, []byte("hello\nworld"), 0o600) }, "no state of orderly audit"},
		{"empty", func() { _ = os.WriteFile(file, nil, 0o600) }, "no state of orderly audit"},
		{"a newer one", func() {
			_ = os.WriteFile(file, []byte(strings.Replace(string(good), "state\":1", "state\":2", 1)), 0o600)
		}, "version 2"},
		{"another topic", func() {
			_ = os.WriteFile(file, []byte(strings.Replace(string(good), `"topic":"t"`, `"topic":"u"`, 1)), 0o600)
		}, "another audit"},
		{"cut off", func() { _ = os.WriteFile(file, good[:len(good)-7], 0o600) }, "damaged"},
		{"a spill is cut", func() { _ = os.Truncate(spills[0], 10) }, "begin again"},
		{"a spill gone", func() { _ = os.Remove(spills[0]) }, "begin again"},
	} {
		c.damage()
		b := resumed(t, file, 1<<40)
		err := b.restore()
		var se *StateError
		if !errors.As(err, &se) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		_ = b.table.discard()
		_ = os.WriteFile(file, good, 0o600)
	}
}

// Whatever is in a spill file, reading it ends, and does not panic.
func FuzzSpillFiles(f *testing.F) {
	o := Observation{Key: []byte("key"), Partition: 3, Offset: 9, PID: -1, Numbered: true, Number: -5}
	s := state{id: idOf([]byte("key"))}
	tl := newTally(10)
	for _, n := range []int64{1, 5, 3, 9} {
		o.Number = n
		s.on(&o, Rules{}, tl)
	}
	f.Add(o.append(nil), s.append(nil))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if got, err := observation(a); err == nil {
			again, err := observation(got.append(nil))
			if err != nil || !reflect.DeepEqual(got, again) {
				t.Errorf("%+v, %+v, %v", got, again, err)
			}
		}
		if got, _, err := stateOf(b); err == nil {
			again, _, err := stateOf(got.append(nil))
			if err != nil || !reflect.DeepEqual(got, again) {
				t.Errorf("%+v, %+v, %v", got, again, err)
			}
		}
	})
}
