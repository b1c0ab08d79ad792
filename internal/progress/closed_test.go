package progress

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// keyed is a partition's records with their keys; before holds, for each
// record, the index of the one before it of the same key, or -1.
type keyed struct {
	offsets []int64
	byKey   [][]int
	before  []int
}

func newKeyed(random *rand.Rand, records, keys, gapPercent int) *keyed {
	k := &keyed{byKey: make([][]int, keys)}
	offset := int64(0)
	for i := range records {
		if random.IntN(100) < gapPercent {
			offset += 1 + random.Int64N(9)
		}
		k.offsets = append(k.offsets, offset)
		offset++
		key := random.IntN(keys)
		before := -1
		if n := len(k.byKey[key]); n > 0 {
			before = k.byKey[key][n-1]
		}
		k.before = append(k.before, before)
		k.byKey[key] = append(k.byKey[key], i)
	}
	return k
}

// open returns a record that s holds as done though an earlier one of its key
// is not; the error says which. Nil means closed.
func (k *keyed) open(s *Snapshot) error {
	recorded := make([]bool, len(k.offsets))
	run := 0
	for i, offset := range k.offsets {
		for run < len(s.Runs) && s.Runs[run].To <= offset {
			run++
		}
		recorded[i] = offset < s.Watermark || run < len(s.Runs) && s.Runs[run].From <= offset
		if before := k.before[i]; recorded[i] && before >= 0 && !recorded[before] {
			return fmt.Errorf("offset %d is recorded and %d, before it in its key, is not (watermark %d)",
				offset, k.offsets[before], s.Watermark)
		}
	}
	return nil
}

// Two records of one key in two words; both are completed, in order, between
// the reading of two words. With Snapshot's direction turned, the first part of
// this test fails for certain, not by luck; the second part is the proof.
func TestTheDirectionOfReadingKeepsKeysClosed(t *testing.T) {
	for _, distance := range []int{wordBits, segmentSlots, 3 * segmentSlots} {
		k := &keyed{offsets: sequence(0, distance+1), before: make([]int, distance+1)}
		for i := range k.before {
			k.before[i] = -1
		}
		k.before[distance] = 0
		words := (distance/segmentSlots + 1) * segmentWords

		// look completes both after that many words are read.
		look := func(after int, snapshot func(*Ring, *Snapshot)) error {
			r, s, read := NewRing(0), new(Snapshot), 0
			slots, err := r.AppendN(k.offsets, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.between = func() {
				if read++; read == after {
					slots[0].Done()
					slots[distance].Done()
				}
			}
			if snapshot(r, s); read != words {
				t.Fatalf("distance %d: %d words read, want %d", distance, read, words)
			}
			return k.open(s)
		}
		for after := 1; after <= words; after++ {
			if err := look(after, func(r *Ring, s *Snapshot) { r.Snapshot(s, 0) }); err != nil {
				t.Fatalf("distance %d, completed after %d words: %v", distance, after, err)
			}
		}
		if err := look(1, func(r *Ring, s *Snapshot) { r.snapshot(s, 0, oldestFirst) }); err == nil {
			t.Errorf("distance %d: reading upwards gave a closed snapshot; then this test proves nothing", distance)
		}
	}
}

// Any interleaving of completions, appends and reclaims between the words, each
// key in order: the snapshot is closed. A seed replays exactly.
func TestSnapshotsAreClosedPerKeyInEveryInterleaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		keys := rapid.IntRange(1, 200).Draw(t, "keys")
		k := newKeyed(random, rapid.IntRange(1, 10_000).Draw(t, "records"), keys, rapid.IntRange(0, 30).Draw(t, "gaps"))
		pace := rapid.IntRange(1, 200).Draw(t, "completions between words")
		r, s := NewRing(0), new(Snapshot)
		var slots []Slot
		heads := make([]int, keys) // how many of each key are done
		step := func() {
			if n := min(random.IntN(400), len(k.offsets)-len(slots)); n > 0 && random.IntN(3) == 0 {
				var err error
				if slots, err = r.AppendN(k.offsets[len(slots):len(slots)+n], slots); err != nil {
					t.Fatal(err)
				}
			}
			for range random.IntN(pace + 1) {
				key := random.IntN(keys)
				if of := k.byKey[key]; heads[key] < len(of) && of[heads[key]] < len(slots) {
					slots[of[heads[key]]].Done()
					heads[key]++
				}
			}
			if random.IntN(10) == 0 {
				r.Reclaim()
			}
		}
		s.between = step
		for range 12 {
			step()
			r.Snapshot(s, random.IntN(3)*20)
			if err := k.open(s); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The same with real goroutines, for the race detector.
func TestSnapshotsAreClosedPerKeyBesideWorkers(t *testing.T) {
	const records, keys, workers, batch = 40_000, 97, 4, 500
	random := rand.New(rand.NewPCG(1, 2))
	k := newKeyed(random, records, keys, 10)
	r := NewRing(0)

	// The poll loop hands each record to its key's worker; a worker completes the
	// keys it has in a random order, each key from its head on.
	type work struct {
		key  int
		slot Slot
	}
	lanes := make([]chan []work, workers)
	var wg sync.WaitGroup
	for i := range lanes {
		lanes[i] = make(chan []work, 2)
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(i)))
			waiting := map[int][]Slot{}
			var ready []int
			for in := range lanes[i] {
				for _, w := range in {
					if len(waiting[w.key]) == 0 {
						ready = append(ready, w.key)
					}
					waiting[w.key] = append(waiting[w.key], w.slot)
				}
				// Leave some, so that work of different batches mixes.
				for n := len(in) * 9 / 10; n > 0 && len(ready) > 0; n-- {
					ready = completeOne(random, ready, waiting)
				}
			}
			for len(ready) > 0 {
				ready = completeOne(random, ready, waiting)
			}
		})
	}

	keyOf := make([]int, records)
	for key, of := range k.byKey {
		for _, i := range of {
			keyOf[i] = key
		}
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for at := 0; at < records; at += batch {
			slots, err := r.AppendN(k.offsets[at:at+batch], nil)
			if err != nil {
				t.Error(err)
				break
			}
			out := make([][]work, workers)
			for j, slot := range slots {
				key := keyOf[at+j]
				out[key%workers] = append(out[key%workers], work{key, slot})
			}
			for i := range out {
				lanes[i] <- out[i]
			}
			r.Reclaim()
		}
		for _, lane := range lanes {
			close(lane)
		}
		wg.Wait()
	}()

	s := new(Snapshot)
	last, looks := int64(0), 0
	for running := true; running; looks++ {
		select {
		case <-finished:
			running = false
		default:
		}
		r.Snapshot(s, 0)
		if err := k.open(s); err != nil {
			t.Fatalf("look %d: %v", looks, err)
		}
		if s.Watermark < last {
			t.Fatalf("look %d: the watermark went from %d back to %d", looks, last, s.Watermark)
		}
		last = s.Watermark
		if r.Len() < 0 || r.NextOffset() < s.CompleteUpTo {
			t.Fatalf("look %d: len %d, next offset %d below %d", looks, r.Len(), r.NextOffset(), s.CompleteUpTo)
		}
	}
	if want := k.offsets[records-1] + 1; s.Watermark != want || r.Reclaim() != 0 {
		t.Errorf("watermark %d at the end, want %d", s.Watermark, want)
	}
	t.Logf("%d snapshots beside %d workers", looks, workers)
}

func completeOne(random *rand.Rand, ready []int, waiting map[int][]Slot) []int {
	at := random.IntN(len(ready))
	key := ready[at]
	waiting[key][0].Done()
	if waiting[key] = waiting[key][1:]; len(waiting[key]) == 0 {
		ready[at] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
	}
	return ready
}
