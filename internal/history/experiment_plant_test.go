package history

import (
	"slices"
	"testing"
)

// spoiled puts one anomaly into a clean experiment; nil when event i gives none.
type spoiler struct {
	class Class
	spoil func(w *trial, i int) []Event
}

func sameRecord(a, b Event) bool {
	return a.Key == b.Key && a.Writer == b.Writer && a.Epoch == b.Epoch && a.Number == b.Number
}

func at(e Event, o Event) bool { return e.Partition == o.Partition && e.Offset == o.Offset }

// witness names the first event of a kind about a record.
type witness struct {
	kind          Kind
	key           Key
	writer        string
	epoch, number int64
}

func witnessOf(kind Kind, e Event) witness { return witness{kind, e.Key, e.Writer, e.Epoch, e.Number} }

// first is where the first event of a kind about a record stands, or -1.
func (w *trial) first(kind Kind, like Event) int {
	if w.index == nil {
		w.index = map[witness]int{}
		for i, e := range w.events {
			if _, ok := w.index[witnessOf(e.Kind, e)]; !ok {
				w.index[witnessOf(e.Kind, e)] = i
			}
		}
	}
	if i, ok := w.index[witnessOf(kind, like)]; ok {
		return i
	}
	return -1
}

// newest says that no record of a newer epoch of its writer and key is in the log.
func (w *trial) newest(i int) bool {
	if w.epochs == nil {
		w.epochs = map[witness]int64{}
		for _, e := range w.events {
			if e.Kind == LogRead {
				k := witness{key: e.Key, writer: e.Writer}
				w.epochs[k] = max(w.epochs[k], e.Epoch)
			}
		}
	}
	e := w.events[i]
	return w.epochs[witness{key: e.Key, writer: e.Writer}] == e.Epoch
}

// swapped exchanges the places of two records of a partition.
func (w *trial) swapped(a, b Event) []Event {
	out := slices.Clone(w.events)
	for i := range out {
		e := &out[i]
		kind := e.Kind
		if kind == Did && a.Key != b.Key {
			kind = Ack // each key is processed as it was, at its new place
		}
		switch kind {
		case Ack:
			if at(*e, a) {
				e.Offset = b.Offset
			} else if at(*e, b) {
				e.Offset = a.Offset
			}
		case LogRead, Poll, Did:
			from := Event{}
			if at(*e, a) {
				from = b
			} else if at(*e, b) {
				from = a
			} else {
				continue
			}
			e.Key, e.Writer, e.Epoch, e.Number = from.Key, from.Writer, from.Epoch, from.Number
		}
	}
	return out
}

// without drops all events of a record of these kinds.
func (w *trial) without(like Event, kinds ...Kind) []Event {
	return slices.DeleteFunc(slices.Clone(w.events), func(e Event) bool {
		return slices.Contains(kinds, e.Kind) && sameRecord(e, like)
	})
}

// appended puts one more record at the end of a partition's log, read and processed.
func (w *trial) appended(part int32, like Event, sent bool) []Event {
	p := w.parts[part]
	e := like
	e.Partition, e.Offset, e.Member = part, p.next+1, ""
	out := slices.Clone(w.events)
	kinds := []Kind{LogRead, Poll, Did}
	if sent {
		kinds = []Kind{Send, Ack, LogRead, Poll, Did}
	}
	for _, k := range kinds {
		e.Kind, e.Member = k, ""
		if k == Poll || k == Did {
			e.Member = p.owner.name
		}
		out = append(out, e)
	}
	return out
}

// neighbours gives the next record of the log, when its place can be swapped.
func (w *trial) neighbour(i int) (Event, bool) {
	for _, e := range w.events[i+1:] {
		if e.Kind == LogRead && e.Partition == w.events[i].Partition {
			return e, true
		}
	}
	return Event{}, false
}

func isRead(w *trial, i int) bool { return w.events[i].Kind == LogRead }

var spoilers = []spoiler{
	{NonmonotonicSend, func(w *trial, i int) []Event {
		if !isRead(w, i) {
			return nil
		}
		a := w.events[i]
		b, ok := w.neighbour(i)
		if !ok || a.Key != b.Key || a.Writer != b.Writer || a.Epoch != b.Epoch || w.first(Ack, a) < w.first(Send, b) || w.first(Ack, b) < 0 {
			return nil
		}
		return w.swapped(a, b)
	}},
	{RealtimeOrder, func(w *trial, i int) []Event {
		if !isRead(w, i) {
			return nil
		}
		a := w.events[i]
		b, ok := w.neighbour(i)
		ack := w.first(Ack, a)
		if !ok || a.Key == b.Key || ack < 0 || w.events[ack].Offset < 0 || ack > w.first(Send, b) || w.first(Ack, b) < 0 {
			return nil
		}
		// The key must be known to belong to the partition when it is sent.
		for _, e := range w.events[:w.first(Send, b)] {
			if (e.Kind == LogRead || e.Kind == Ack && e.Offset >= 0) && e.Key == b.Key {
				return w.swapped(a, b)
			}
		}
		return nil
	}},
	{DuplicateWrite, func(w *trial, i int) []Event {
		if !isRead(w, i) || !w.newest(i) {
			return nil
		}
		return w.appended(w.events[i].Partition, w.events[i], false)
	}},
	{LostWrite, func(w *trial, i int) []Event {
		if !isRead(w, i) || w.first(Ack, w.events[i]) < 0 {
			return nil
		}
		if _, ok := w.neighbour(i); !ok || w.events[w.first(Ack, w.events[i])].Offset < 0 {
			return nil
		}
		return w.without(w.events[i], LogRead, Poll, Did)
	}},
	{Unseen, func(w *trial, i int) []Event {
		if !isRead(w, i) {
			return nil
		}
		e := w.events[i]
		e.Kind, e.Number, e.Offset = Send, 1_000_000, w.parts[e.Partition].next+5
		ack := e
		ack.Kind = Ack
		return append(slices.Clone(w.events), e, ack)
	}},
	{InconsistentOffset, func(w *trial, i int) []Event {
		if w.events[i].Kind != Poll {
			return nil
		}
		out := slices.Clone(w.events)
		out[i].Number += 1_000_000
		return out
	}},
	{AbortedRead, func(w *trial, i int) []Event {
		if !isRead(w, i) || w.first(Ack, w.events[i]) >= 0 {
			return nil
		}
		out := slices.Clone(w.events)
		out[w.first(Unclear, w.events[i])].Kind = Fail
		return out
	}},
	{KeySplit, func(w *trial, i int) []Event {
		if !isRead(w, i) || len(w.parts) < 2 || !w.newest(i) {
			return nil
		}
		e := w.events[i]
		e.Number = 1_000_000
		return w.appended((e.Partition+1)%int32(len(w.parts)), e, true)
	}},
	{ZombieWrite, func(w *trial, i int) []Event {
		if !isRead(w, i) {
			return nil
		}
		e := w.events[i]
		for _, o := range w.events[i:] {
			if o.Kind == LogRead && o.Key == e.Key && o.Writer == e.Writer && o.Epoch > e.Epoch {
				e.Number = 1_000_000
				return w.appended(e.Partition, e, true)
			}
		}
		return nil
	}},
	{NonmonotonicPoll, func(w *trial, i int) []Event {
		if w.events[i].Kind != Poll {
			return nil
		}
		return slices.Insert(slices.Clone(w.events), i+1, w.events[i])
	}},
	{PollSkip, func(w *trial, i int) []Event {
		if !isRead(w, i) {
			return nil
		}
		polls := 0
		for _, e := range w.events {
			if e.Kind == Poll && sameRecord(e, w.events[i]) {
				polls++
			}
		}
		if _, ok := w.neighbour(i); !ok || polls != 1 {
			return nil
		}
		return w.without(w.events[i], Poll, Did)
	}},
	{PollSkip, func(w *trial, i int) []Event { // committed, never finished
		if w.events[i].Kind != Did {
			return nil
		}
		return w.without(w.events[i], Did)
	}},
	{DualOwner, func(w *trial, i int) []Event {
		e := w.events[i]
		if e.Kind != Poll {
			return nil
		}
		former := ""
		for j := i - 1; j >= 0; j-- {
			o := w.events[j]
			switch {
			case o.Kind == Revoke && o.Partition == e.Partition && o.Member != e.Member:
				former = o.Member
			case o.Kind == Assign && o.Partition == e.Partition && o.Member == e.Member, o.Kind == Kill, o.Kind == Freeze:
			case o.Kind == Poll && o.Partition == e.Partition:
				if former != o.Member || o.Offset >= e.Offset {
					return nil
				}
				next, ok := w.neighbour(w.first(LogRead, o))
				if !ok || next.Offset != e.Offset {
					return nil
				}
				e.Member = former
				return slices.Insert(slices.Clone(w.events), i+1, e)
			}
		}
		return nil
	}},
	{CommitRegress, func(w *trial, i int) []Event {
		e := w.events[i]
		if e.Kind != Commit || e.Offset == 0 {
			return nil
		}
		e.Offset--
		return slices.Insert(slices.Clone(w.events), i+1, e)
	}},
	{EffectReorder, func(w *trial, i int) []Event {
		a := w.events[i]
		if a.Kind != Did || a.Cancelled || w.first(Did, a) != i {
			return nil
		}
		for j, b := range w.events[i+1:] {
			switch {
			case b.Kind == Assign && b.Partition == a.Partition:
				return nil
			case b.Kind == Did && b.Key == a.Key && b.Partition == a.Partition:
				if b.Cancelled || b.Member != a.Member || w.first(Did, b) != i+1+j {
					return nil
				}
				out := slices.Clone(w.events)
				out[i], out[i+1+j] = out[i+1+j], out[i]
				return out
			}
		}
		return nil
	}},
	{Duplicate, func(w *trial, i int) []Event {
		if w.events[i].Kind != Did || w.events[i].Cancelled {
			return nil
		}
		return slices.Insert(slices.Clone(w.events), i+1, w.events[i])
	}},
}

// A clean history of 100,000 records holds, and with one anomaly in it that one
// is found, once, and nothing else.
func TestOneAnomalyIn100000RecordsIsFound(t *testing.T) {
	w := trialOf(100, 100_000, 500)
	if len(w.parts) < 2 {
		t.Fatal("the seed gives one partition; take another one")
	}
	requireClasses(t, Check(w.events, complete))
	for _, s := range spoilers {
		t.Run(string(s.class), func(t *testing.T) {
			// From the middle of the history on, the first place that serves.
			var events []Event
			for i := len(w.events) / 2; i < len(w.events) && events == nil; i++ {
				events = s.spoil(w, i)
			}
			if events == nil {
				t.Fatal("no place for it")
			}
			for i := range events {
				events[i].N = 0
			}
			r := Check(events, complete)
			requireClasses(t, r, s.class)
			requireCount(t, "found", r.Total(), 1)
			requireExample(t, events, r.Violations[0])
		})
	}
	for _, c := range Classes() {
		if c.experimental() && !slices.ContainsFunc(spoilers, func(s spoiler) bool { return s.class == c }) {
			t.Errorf("class %s has no anomaly", c)
		}
	}
}

// requireExample fails unless the example of a violation is small, has its
// events, and is about its records.
func requireExample(t *testing.T, events []Event, v Violation) {
	t.Helper()
	xs, err := Examples(func(fn func(Event) error) error {
		for _, e := range events {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}, Smallest([]Violation{v}))
	if err != nil || len(xs) != 1 {
		t.Fatalf("%d examples, %v", len(xs), err)
	}
	x := xs[0]
	if len(x.Events) == 0 || len(x.Events) > maxShown || x.Cut > 0 {
		t.Errorf("the example has %d events, %d were cut: %v", len(x.Events), x.Cut, v)
	}
	for _, n := range v.Events {
		if !slices.ContainsFunc(x.Events, func(s Shown) bool { return s.Event.N == n && s.Role == RoleFinding }) {
			t.Errorf("the example lacks event %d of %v", n, v)
		}
	}
	if len(v.Records) > 0 && v.Records[0].Number > 0 && !slices.ContainsFunc(x.Events, func(s Shown) bool {
		return s.Event.Number == v.Records[0].Number && s.Event.Key == v.Records[0].Key
	}) {
		t.Errorf("the example does not show the record of %v", v)
	}
}
