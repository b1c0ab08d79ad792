package history

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A planted anomaly: events put in at a place, or in place of what is there.
type plant struct {
	at      int
	replace bool
	events  []Event
}

func (p plant) into(events []Event) []Event {
	out := slices.Clone(events[:p.at])
	out = append(out, p.events...)
	if p.replace {
		p.at++
	}
	return append(out, events[p.at:]...)
}

type planter struct {
	class Class
	also  []Class // what may follow from it
	// places gives what can be planted before or in place of event i.
	places func(v *view, i int) []plant
}

// view is what the history has said up to an event.
type view struct {
	events []Event
	log    map[int32][]Event
	state  map[int32]map[int64]Kind // End or Done: done. Park: parked
	tokens map[string]map[int32]int64
	max    map[int32]int64
}

func (v *view) see(e Event) {
	tokens := v.tokens[e.Member]
	if tokens == nil {
		tokens = map[int32]int64{}
		v.tokens[e.Member] = tokens
	}
	if v.state[e.Partition] == nil {
		v.state[e.Partition] = map[int64]Kind{}
	}
	state := v.state[e.Partition]
	switch e.Kind {
	case Log:
		v.log[e.Partition] = append(v.log[e.Partition], e)
	case Own:
		tokens[e.Partition] = e.Token
		v.max[e.Partition] = e.Token
	case Release, Lost:
		delete(tokens, e.Partition)
	case Kill:
		clear(tokens)
	case End:
		if e.OK && !e.Cancelled {
			state[e.Offset] = End
		}
	case Done:
		state[e.Offset] = Done
	case Park:
		if state[e.Offset] == "" {
			state[e.Offset] = Park
		}
	}
}

func (v *view) done(p int32, offset int64) bool {
	return v.state[p][offset] == End || v.state[p][offset] == Done
}

const planted = 100_000 // attempt of planted handlers

// attempt is a planted handler: its start, and its end if it has one.
func attempt(e Event, ok bool) []Event {
	e.Kind, e.Attempt, e.Cancelled = Start, planted, false
	end := e
	end.Kind, end.OK = End, ok
	return []Event{e, end}
}

var planters = []planter{
	{Overlap, nil, func(v *view, i int) []plant {
		e := v.events[i]
		if e.Kind != Start {
			return nil
		}
		return []plant{{at: i + 1, events: attempt(e, false)}}
	}},
	{Order, nil, func(v *view, i int) []plant {
		e := v.events[i]
		if e.Kind != Start || v.done(e.Partition, e.Offset) {
			return nil
		}
		for _, later := range v.log[e.Partition] {
			if later.Key == e.Key && later.Offset > e.Offset {
				e.Offset = later.Offset
				return []plant{{at: i, events: attempt(e, false)}}
			}
		}
		return nil
	}},
	{Duplicate, nil, func(v *view, i int) []plant {
		e := v.events[i]
		if e.Kind != End || !e.OK || e.Cancelled || v.tokens[e.Member][e.Partition] != e.Token {
			return nil
		}
		for _, l := range v.log[e.Partition] {
			if l.Offset == e.Offset {
				e.Key = l.Key
			}
		}
		return []plant{{at: i + 1, events: attempt(e, true)}}
	}},
	{Loss, nil, func(v *view, i int) []plant {
		for _, e := range v.events[i:] {
			if e.Kind == Log && e.Partition == 0 {
				return nil
			}
		}
		log := v.log[0]
		lost := log[len(log)-1]
		lost.Offset += 2
		return []plant{{at: i, events: []Event{lost}}}
	}},
	{Unknown, nil, func(v *view, i int) []plant {
		e := v.events[i]
		if e.Kind != Own {
			return nil
		}
		e.Offset, e.Key = planted, StringKey("a")
		return []plant{{at: i + 1, events: attempt(e, true)}}
	}},
	{CommitPast, []Class{CommitRegress, Duplicate}, func(v *view, i int) []plant {
		var out []plant
		for p, log := range v.log {
			for _, l := range log {
				if v.state[p][l.Offset] == "" {
					out = append(out, plant{at: i, events: []Event{{Kind: Commit, Member: "m1", Topic: topic, Partition: p, Offset: l.Offset + 1}}})
				}
			}
		}
		slices.SortFunc(out, func(a, b plant) int { return int(a.events[0].Partition - b.events[0].Partition) })
		return out
	}},
	{CommitRegress, nil, func(v *view, i int) []plant {
		e := v.events[i]
		if e.Kind != Commit || e.Offset == 0 {
			return nil
		}
		e.Offset, e.Ahead = e.Offset-1, nil
		return []plant{{at: i + 1, events: []Event{e}}}
	}},
	{Token, nil, func(v *view, i int) []plant {
		e := v.events[i]
		if e.Kind != Own || v.max[e.Partition] == 0 {
			return nil
		}
		e.Token = v.max[e.Partition]
		return []plant{{at: i, replace: true, events: []Event{e}}}
	}},
}

func newView(events []Event) *view {
	return &view{
		events: events, log: map[int32][]Event{}, state: map[int32]map[int64]Kind{},
		tokens: map[string]map[int32]int64{}, max: map[int32]int64{},
	}
}

func TestCleanHistoriesHold(t *testing.T) {
	var sum Report
	rapid.Check(t, func(t *rapid.T) {
		r := Check(clean(t), complete)
		requireClasses(t, r)
		sum.Redelivered += r.Redelivered
		sum.ExcusedOverlaps += r.ExcusedOverlaps
		sum.Parked += r.Parked
		sum.DoneOtherwise += r.DoneOtherwise
	})
	// How much befell the worlds is for people to look at: it depends on the seed.
	t.Logf("redelivered %d, excused overlaps %d, done otherwise %d", sum.Redelivered, sum.ExcusedOverlaps, sum.DoneOtherwise)
	requireCount(t, "parked and left", sum.Parked, 0)
}

func TestForgettingChangesNoVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewChecker(complete)
		c.behind = 0
		for _, e := range clean(t) {
			c.Add(e)
		}
		requireClasses(t, c.Finish())
	})
}

func TestPlantedAnomaliesAreFound(t *testing.T) {
	for _, pl := range planters {
		t.Run(string(pl.class), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				events := clean(t)
				var places []plant
				v := newView(events)
				for i, e := range events {
					places = append(places, pl.places(v, i)...)
					v.see(e)
				}
				if len(places) == 0 {
					t.Fatalf("no place for it in %v", events)
				}
				p := rapid.SampledFrom(places).Draw(t, "place")
				r := Check(p.into(events), complete)
				found := maps.Clone(r.Counts)
				for _, c := range pl.also {
					delete(found, c)
				}
				if len(found) != 1 || found[pl.class] == 0 {
					t.Fatalf("planted %s (%v before event %d), found %v\n%s", pl.class, p.events, p.at+1, r.Counts, r)
				}
			})
		})
	}
}
