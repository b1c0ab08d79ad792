package produce

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errBroker = errors.New("broker says no")

// world drives a Partition as a producer and a broker would: runs go to a log
// whole or not at all, or nobody knows; callers clear keys at any time.
type world struct {
	p       Partition
	keys    int
	now     time.Duration
	sent    []*entry // in the order in which they were given
	told    []*entry
	run     []*Item
	running bool
	expired bool // the run was decided before the client answered
	holes   map[string]*entry
}

type entry struct {
	item     Item
	n        int
	handed   bool
	rejected bool
	refused  bool
	cleared  int // how often its key had been cleared when it was given
}

func key(i int) []byte {
	switch i {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return fmt.Appendf(nil, "k%d", i)
}

func name(k []byte) string {
	if k == nil {
		return "(null)"
	}
	return string(k)
}

func (w *world) add(k int, reject bool) {
	e := &entry{n: len(w.sent), rejected: reject}
	e.item = Item{Key: key(k), Wire: 10, Due: w.now + 100, Payload: e}
	w.sent = append(w.sent, e)
	if reject {
		w.p.Reject(&e.item, errBroker)
	} else {
		w.p.Add(&e.item)
	}
}

// tell notes what was decided; w.holes are keys closed in the eyes of their
// callers.
func (w *world) tell(t *rapid.T) {
	for _, it := range w.p.Out() {
		e := it.Payload.(*entry)
		w.told = append(w.told, e)
	}
}

func (w *world) take(t *rapid.T) {
	if w.running {
		if r := w.p.Take(10, 1000); r != nil {
			t.Fatalf("a run of %d records while the last one is with the client", len(r))
		}
		return
	}
	w.run = w.p.Take(rapid.IntRange(1, 6).Draw(t, "items"), 1000)
	w.running, w.expired = w.run != nil, false
	// The client may take in a part only.
	if w.running && rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
		n := rapid.IntRange(0, len(w.run)-1).Draw(t, "admitted")
		w.p.Return(n)
		w.run = w.run[:n]
	}
	for _, it := range w.run {
		e := it.Payload.(*entry)
		if e.handed {
			t.Fatalf("record %d handed over twice", e.n)
		}
		e.handed = true
		// The rule: nothing is handed over behind a failed record of its key,
		// unless its caller cleared the key in between.
		if f := w.holes[name(it.Key)]; f != nil && f.n < e.n && e.cleared == f.cleared {
			t.Fatalf("record %d of key %s was handed over behind record %d, which failed", e.n, name(it.Key), f.n)
		}
	}
}

func (w *world) fail(it *Item) {
	e := it.Payload.(*entry)
	if f := w.holes[name(it.Key)]; f == nil || f.cleared < e.cleared || f.n > e.n {
		w.holes[name(it.Key)] = e
	}
}

func TestPartitionModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{keys: rapid.IntRange(1, 5).Draw(t, "keys"), holes: map[string]*entry{}}
		cleared := map[string]int{}
		pick := func() int { return rapid.IntRange(0, w.keys-1).Draw(t, "key") }
		add := func(reject bool) {
			k := pick()
			w.add(k, reject)
			e := w.sent[len(w.sent)-1]
			e.cleared = cleared[name(key(k))]
			if reject {
				if f := w.holes[name(key(k))]; f == nil || f.cleared < e.cleared {
					w.holes[name(key(k))] = e
				}
			}
		}
		stopped := false
		t.Repeat(map[string]func(*rapid.T){
			"add":    func(t *rapid.T) { add(false) },
			"add2":   func(t *rapid.T) { add(false) },
			"reject": func(t *rapid.T) { add(true) },
			"refuse": func(t *rapid.T) {
				e := &entry{n: len(w.sent), refused: true}
				e.item = Item{Key: key(pick()), Payload: e}
				w.sent = append(w.sent, e)
				w.p.Refuse(&e.item, errBroker)
			},
			"take": w.take,
			"answer": func(t *rapid.T) {
				if !w.running {
					return
				}
				outcome := rapid.SampledFrom([]Outcome{Written, Written, Written, NotWritten, MaybeWritten}).Draw(t, "outcome")
				if !w.expired {
					if outcome == Written {
						w.p.Written()
					} else {
						for _, it := range w.run {
							w.fail(it)
						}
						w.p.Finish(func(*Item) (Outcome, error) { return outcome, errBroker })
					}
				}
				w.p.Release()
				w.running = false
			},
			"deadline": func(t *rapid.T) {
				w.now += time.Duration(rapid.IntRange(0, 60).Draw(t, "passes"))
				if w.running && !w.expired && len(w.run) > 0 && w.run[0].Due <= w.now {
					for _, it := range w.run {
						w.fail(it)
					}
					w.p.Finish(func(*Item) (Outcome, error) { return MaybeWritten, errBroker })
					w.expired = true
				}
				w.p.Expire(w.now, errBroker)
				for _, e := range w.sent {
					if e.item.Outcome == NotWritten && !e.handed && !e.refused {
						w.fail(&e.item)
					}
				}
			},
			"clear": func(t *rapid.T) {
				k := key(pick())
				w.p.Clear(k)
				cleared[name(k)]++
			},
			"stop": func(t *rapid.T) {
				if rapid.IntRange(0, 30).Draw(t, "really") == 0 {
					stopped = true
					w.p.Stop(errors.New("stopped"))
				}
			},
			"": func(t *rapid.T) { w.tell(t) },
		})
		// In the end everything is answered, and everybody was told once, in order.
		for range 2 * len(w.sent) {
			if w.running {
				if !w.expired {
					w.p.Written()
				}
				w.p.Release()
				w.running = false
			}
			w.run = w.p.Take(3, 1000)
			w.running, w.expired = w.run != nil, false
		}
		w.tell(t)
		if len(w.told) != len(w.sent) {
			t.Fatalf("%d records were given, %d told (stopped %v)", len(w.sent), len(w.told), stopped)
		}
		if !w.p.Idle() {
			t.Fatal("everything was told, and the partition is not idle")
		}
		last := map[string]int{}
		for _, e := range w.told {
			k := name(e.item.Key)
			if l, ok := last[k]; ok && l >= e.n {
				t.Fatalf("key %s: record %d told after record %d", k, e.n, l)
			}
			last[k] = e.n
			if e.item.Outcome != Written && (e.item.Fate == nil || e.item.Fate.Err == nil) {
				t.Fatalf("record %d failed without a cause", e.n)
			}
			if (e.rejected || e.refused) && e.item.Outcome != NotWritten {
				t.Fatalf("record %d was rejected and told as %v", e.n, e.item.Outcome)
			}
		}
	})
}

func TestPartitionFirstFailedRecord(t *testing.T) {
	var p Partition
	items := make([]*Item, 6)
	for i := range items {
		items[i] = &Item{Key: []byte{byte('a' + i%2)}, Wire: 1}
	}
	for _, it := range items[:4] {
		p.Add(it)
	}
	p.Take(2, 100) // a0 b1
	p.Finish(func(it *Item) (Outcome, error) {
		if it == items[0] {
			return MaybeWritten, errBroker
		}
		return Written, nil
	})
	p.Release()
	p.Add(items[4])
	p.Add(items[5])
	out := p.Out()
	want := []*Item{items[0], items[1], items[2], items[4]}
	if !slices.Equal(out, want) {
		t.Fatalf("told %d records", len(out))
	}
	for _, it := range []*Item{items[0], items[2], items[4]} {
		if why := it.Fate.Why; why == nil || why.First != items[0] || !errors.Is(why.Cause, errBroker) {
			t.Errorf("why = %+v: it does not name the key's first failed record", why)
		}
	}
	if items[0].Outcome != MaybeWritten || items[2].Outcome != NotWritten {
		t.Errorf("outcomes %v, %v", items[0].Outcome, items[2].Outcome)
	}
	if run := p.Take(10, 100); len(run) != 2 || run[0] != items[3] || run[1] != items[5] {
		t.Errorf("the other key's records are not the next run: %v", run)
	}
}

// A record refused for its size closes its key behind those before it: they are
// still sent, and told first.
func TestPartitionRejectKeepsEarlierRecords(t *testing.T) {
	var p Partition
	a, b := &Item{Key: []byte("k"), Wire: 1}, &Item{Key: []byte("k"), Wire: 1}
	other := &Item{Key: []byte("o"), Wire: 1}
	big, late := &Item{Key: []byte("k"), Wire: 1}, &Item{Key: []byte("k"), Wire: 1}
	p.Add(other)
	p.Add(a)
	p.Take(1, 100)
	p.Add(b)
	p.Reject(big, errBroker)
	p.Add(late)
	if out := p.Out(); len(out) != 0 {
		t.Fatalf("%d told while records before them are under way", len(out))
	}
	// A failure of another key does not touch what stands before the rejected one.
	p.Finish(func(*Item) (Outcome, error) { return NotWritten, errBroker })
	p.Release()
	if run := p.Take(9, 100); !slices.Equal(run, []*Item{a, b}) {
		t.Fatalf("run %v", run)
	}
	p.Written()
	p.Release()
	if out := p.Out(); !slices.Equal(out, []*Item{other, a, b, big, late}) {
		t.Fatalf("told %v", out)
	}
}

func TestTakeWithinLimits(t *testing.T) {
	var p Partition
	for _, wire := range []int32{500, 30, 30, 30, 30} {
		p.Add(&Item{Key: []byte("k"), Wire: wire})
	}
	for _, want := range []int{1, 3, 1} { // the first is over the limit and goes alone
		if run := p.Take(10, 100); len(run) != want {
			t.Fatalf("run of %d records, want %d", len(run), want)
		}
		p.Written()
		p.Release()
	}
	if n, wire := p.Queued(); n != 0 || wire != 0 {
		t.Errorf("queued %d records, %d bytes", n, wire)
	}
}
