package history

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// way is one record's whole way, of a key in its partition.
func way(add func(Event), key, number int64, partitions, keys int64) {
	e := Event{Topic: topic, Key: keyNames[key], Writer: "w", Number: number, Partition: int32(key % partitions)}
	e.Offset = (number-1)*((keys+partitions-1)/partitions) + key/partitions
	for _, e.Kind = range []Kind{Send, Ack, LogRead, Poll, Did} {
		e.Member = ""
		if e.Kind == Poll || e.Kind == Did {
			e.Member = "m"
		}
		add(e)
	}
}

var keyNames = func() (out [100_000]Key) {
	for i := range out {
		out[i] = StringKey(fmt.Sprintf("customer-%08d", i))
	}
	return out
}()

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What the checker keeps depends on the keys, not on how many records they have.
func TestMemoryIsByKeysNotByRecords(t *testing.T) {
	const keys = 400
	c := NewChecker(complete)
	rounds := func(from, to int64) {
		for n := from; n < to; n++ {
			for k := range int64(keys) {
				way(c.Add, k, n, 4, keys)
			}
		}
	}
	rounds(1, 700) // the window of values is full: 70,000 offsets in each partition
	before := heap()
	rounds(700, 1400)
	if grown := int64(heap()) - int64(before); grown > 256<<10 {
		t.Errorf("another %d records grew the heap by %d KiB", 700*keys, grown>>10)
	}
	requireClasses(t, c.Finish())
	requireCount(t, "not compared", int(c.Finish().Uncompared), 0)
	runtime.KeepAlive(c)
}

// Beyond its bounds the checker says that it does not know, and nothing false.
func TestBeyondTheBoundsNothingIsClaimed(t *testing.T) {
	// Acknowledgements that lie further back than the window of values.
	var events []Event
	const n = 3 * maxValues
	for i := range int64(n) {
		events = append(events, x(Send, i+1))
	}
	for i := range int64(n) {
		events = append(events, xo(Ack, i+1, i))
	}
	events = append(events, inLog(n)...)
	r := Check(events, complete)
	requireClasses(t, r)
	if r.Uncompared < n/2 {
		t.Errorf("%d observations of %d were not compared", r.Uncompared, n)
	}

	// More gaps in a key's numbers than are kept: every second record is lost in
	// the end, and filled later in any order.
	rnd := rand.New(rand.NewPCG(1, 2))
	events = events[:0]
	for i := range int64(4 * maxKeyGaps) {
		events = append(events, x(Send, 2*i+1), xo(LogRead, 2*i+1, i))
	}
	r = Check(events, complete)
	requireClasses(t, r)
	late := rnd.Perm(4 * maxKeyGaps)
	for i, k := range late {
		e := xo(LogRead, int64(2*k+2), int64(4*maxKeyGaps+i))
		e.Partition = 0
		events = append(events, e)
	}
	r = Check(events, complete)
	requireClasses(t, r, NonmonotonicSend) // and none is called a duplicate
	if r.Uncompared == 0 {
		t.Error("nothing is said of what was forgotten")
	}

	// More gaps in a partition's offsets than are kept.
	events = events[:0]
	for i := range int64(2*maxPartGaps + 10) {
		events = append(events, xo(LogRead, i+1, 2*i))
	}
	events = append(events, assigned("A"))
	for i := range int64(2*maxPartGaps + 10) {
		events = append(events, app("A", Poll, 2*i))
	}
	requireClasses(t, Check(events, complete))

	// A record that comes again and again gives an example of bounded size.
	events = list(inLog(2), xo(LogRead, 1, 2))
	for range 1000 {
		events = append(events, xo(Poll, 1, 0))
		events[len(events)-1].Member = "A"
	}
	var v Violation
	for _, v = range Check(events, complete).Violations {
		if v.Class == DuplicateWrite {
			break
		}
	}
	xs, err := Examples(func(fn func(Event) error) error {
		for _, e := range events {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}, []Violation{v})
	if err != nil || len(xs[0].Events) != maxShown || xs[0].Cut != len(events)-maxShown {
		t.Errorf("%d events, %d cut of %d, %v", len(xs[0].Events), xs[0].Cut, len(events), err)
	}
}
