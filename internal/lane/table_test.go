package lane

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The table behaves as a map, with ids that collide as badly as can be.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tab table
		model := map[uint64]*unit{}
		near := rapid.Bool().Draw(t, "near") // few homes: long ways, around the end too
		id := rapid.Custom(func(t *rapid.T) uint64 {
			n := rapid.Uint64Range(0, 40).Draw(t, "n")
			if !near {
				return n * 0x9e3779b97f4a7c15
			}
			return inverse(scatter) * (^uint64(0) - n%3<<59 - n)
		})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := id.Draw(t, "id")
				if model[id] == nil {
					u := &unit{id: id}
					tab.add(u)
					model[id] = u
				}
			},
			"remove": func(t *rapid.T) {
				id := id.Draw(t, "id")
				tab.remove(id)
				delete(model, id)
			},
			"resize": func(t *rapid.T) {
				tab.resize(64 << rapid.IntRange(0, 3).Draw(t, "size"))
			},
			"": func(t *rapid.T) {
				if tab.n != len(model) {
					t.Fatalf("%d units, want %d", tab.n, len(model))
				}
				for id, u := range model {
					if tab.get(id) != u {
						t.Fatalf("unit %x is not found", id)
					}
				}
				for n := range uint64(41) {
					if id := n * 0x9e3779b97f4a7c15; tab.get(id) != model[id] {
						t.Fatalf("unit %x is found", id)
					}
				}
				seen := 0
				tab.all(func(u *unit) {
					if model[u.id] != u {
						t.Fatalf("unit %x is listed", u.id)
					}
					seen++
				})
				if seen != len(model) {
					t.Fatalf("%d units listed, want %d", seen, len(model))
				}
			},
		})
	})
}

// inverse of an odd number modulo 2^64.
func inverse(x uint64) uint64 {
	y := x
	for range 6 {
		y *= 2 - x*y
	}
	return y
}

// Memory follows the records that wait, not the keys that were ever seen, and a
// load that swings costs no allocation.
func TestMemoryFollowsOutstandingRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		pl := NewPool(Config{
			Concurrency: 2, Clock: clock,
			Apply: one(func(r *Run, it *Item) error {
				if it.Attempts == 0 {
					return errTest
				}
				return nil
			}),
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Millisecond} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		next := 0
		swing := func(n int) {
			its := make([]*Item, n)
			for i := range its {
				its[i] = &Item{Hash: uint64(next), Offset: int64(next)}
				next++
			}
			p.Enqueue(its)
			synctest.Wait()
			clock.advance(time.Millisecond)
			synctest.Wait()
			if st := p.Stat(); st.Records != 0 {
				t.Fatalf("%+v, want all done", st)
			}
		}
		const large = 20_000
		swing(large)
		if len(p.units.slots) < large || p.free.n != large {
			t.Fatalf("table of %d, %d free units after %d keys at once", len(p.units.slots), p.free.n, large)
		}
		for range 5 {
			clock.advance(tidyEvery)
			kept := p.free.n
			if swing(large); kept != large || p.free.n != large {
				t.Fatalf("%d units stay for a load of %d that comes again and again", p.free.n, large)
			}
		}
		clock.advance(tidyEvery)
		clock.advance(tidyEvery)
		if len(p.units.slots) > tableSmall || p.free.n > tableSmall || cap(p.timers) > tableSmall {
			t.Errorf("table of %d, %d free units, room for %d timers long after the last record", len(p.units.slots), p.free.n, cap(p.timers))
		}
		if k := clock.pending(); k > 0 {
			t.Errorf("%d timers are set with nothing to do", k)
		}
		closePool(t, pl)
	})
}
