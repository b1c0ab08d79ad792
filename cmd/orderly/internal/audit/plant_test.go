package audit

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
)

// historyEnv names a change history to use in place of the bundled one, as
// demo --input takes it.
const historyEnv = "ORDERLY_TEST_HISTORY"

func history(t testing.TB) []demo.Change {
	t.Helper()
	load := demo.Sample
	if path := os.Getenv(historyEnv); path != "" {
		load = func() (*demo.Input, error) { return demo.Load(path) }
	}
	in, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return in.Changes
}

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("ORDERLY_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("ORDERLY_SEED: %v", err)
		}
	}
	t.Logf("ORDERLY_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A world is a topic in memory.
type world struct {
	parts [][]Observation
	fault map[string]int // what was planted, in words
}

const parts = 7

// topicOf writes a history to a topic as a good producer does.
func topicOf(changes []demo.Change) *world {
	w := &world{parts: make([][]Observation, parts), fault: map[string]int{}}
	for i, c := range changes {
		o := Observation{Key: []byte(c.Path), Time: int64(i), PID: 7, Numbered: true, Number: int64(c.Seq)}
		o.id = idOf(o.Key)
		p := int32(o.id[9]) % parts
		o.Partition = p
		w.parts[p] = append(w.parts[p], o)
	}
	return w
}

// number gives the offsets, when everything is at its place.
func (w *world) number() {
	for p := range w.parts {
		for i := range w.parts[p] {
			w.parts[p][i].Partition, w.parts[p][i].Offset = int32(p), int64(i)
		}
	}
}

// plant makes n faults of different kinds that do not touch each other, and returns
// how many found a place.
func (w *world) plant(r *rand.Rand, n int) (planted int) {
	type at struct{ p, i int }
	places := map[string][]at{}
	for p := range w.parts {
		for i, o := range w.parts[p] {
			places[string(o.Key)] = append(places[string(o.Key)], at{p, i})
		}
	}
	var long []string // keys with room for a fault
	for k, in := range places {
		if len(in) >= 6 {
			long = append(long, k)
		}
	}
	slices.Sort(long)
	used := map[string]map[int]bool{}
	type insert struct {
		at
		o Observation
	}
	var inserts []insert
	drop, tail := map[at]bool{}, map[string]int{}
	for range 50 * n {
		if planted == n {
			break
		}
		k := long[r.IntN(len(long))]
		in := places[k]
		j := 1 + r.IntN(len(in)-3) // neither the first nor the last two
		free := true
		for d := -2; d <= 2; d++ {
			free = free && !used[k][j+d]
		}
		if _, split := tail[k]; split || !free {
			continue
		}
		if used[k] == nil {
			used[k] = map[int]bool{}
		}
		here, next := in[j], in[j+1]
		o, later := w.parts[here.p][here.i], w.parts[next.p][next.i]
		switch kind := r.IntN(4); {
		case kind == 0:
			w.parts[here.p][here.i], w.parts[next.p][next.i] = later, o
			w.fault[fmt.Sprintf("late %s %d after %d", k, o.Number, later.Number)]++
		case kind == 1:
			inserts = append(inserts, insert{at{here.p, here.i + 1 + r.IntN(next.i-here.i)}, o})
			w.fault[fmt.Sprintf("duplicate %s %d", k, o.Number)]++
		case kind == 2:
			drop[here] = true
			w.fault[fmt.Sprintf("gap %s %d-%d", k, o.Number, o.Number)]++
		case len(used[k]) > 0:
			continue // a split takes the whole key
		default:
			tail[k] = j
			w.fault["split "+k]++
		}
		for d := -2; d <= 2; d++ {
			used[k][j+d] = true
		}
		planted++
	}
	moved := map[at]bool{}
	for k, from := range tail {
		for _, a := range places[k][from:] {
			moved[a] = true
		}
	}
	out := make([][]Observation, parts)
	late := make([][]Observation, parts)
	slices.SortStableFunc(inserts, func(a, b insert) int { return cmp.Or(cmp.Compare(a.p, b.p), cmp.Compare(a.i, b.i)) })
	for p := range w.parts {
		for i, o := range w.parts[p] {
			for len(inserts) > 0 && inserts[0].at == (at{p, i}) {
				out[p] = append(out[p], inserts[0].o)
				inserts = inserts[1:]
			}
			switch {
			case moved[at{p, i}]:
				other := (p + 1 + int(o.id[3])%(parts-1)) % parts
				late[other] = append(late[other], o)
			case !drop[at{p, i}]:
				out[p] = append(out[p], o)
			}
		}
	}
	for p := range out {
		w.parts[p] = append(out[p], late[p]...)
	}
	w.number()
	return planted
}

// words is what was found, in the words of the plan.
func words(t *tally) map[string]int {
	all := map[string]int{}
	for _, l := range t.Late.First {
		all[fmt.Sprintf("late %s %d after %d", l.Key, l.Number, l.After)]++
	}
	for _, d := range t.Duplicates.First {
		all[fmt.Sprintf("duplicate %s %d", d.Key, d.Number)]++
	}
	for _, g := range t.Gaps.First {
		all[fmt.Sprintf("gap %s %d-%d", g.Key, g.From, g.To)]++
	}
	for _, s := range t.Splits.First {
		all["split "+s.Key.String()]++
	}
	for _, x := range t.Twice.First {
		all[fmt.Sprintf("twice %s %d-%d", x.Key, x.From, x.To)]++
	}
	for _, z := range t.Zombies.First {
		all[fmt.Sprintf("zombie %s %d", z.Key, z.Offset)]++
	}
	return all
}

// feed applies records in a random order of partitions, from how far each was read.
func feed(t testing.TB, r *rand.Rand, tl *tally, tb *table, w *world, from map[int32]int64, most int) {
	t.Helper()
	for range most {
		var open []int32
		for p := range w.parts {
			if from[int32(p)] < int64(len(w.parts[p])) {
				open = append(open, int32(p))
			}
		}
		if len(open) == 0 {
			return
		}
		p := open[r.IntN(len(open))]
		for range 1 + r.IntN(200) {
			if from[p] == int64(len(w.parts[p])) {
				break
			}
			o := w.parts[p][from[p]]
			from[p]++
			if tl.seen(&o) {
				if err := tb.on(&o); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func differ(t *testing.T, got, want map[string]int) {
	t.Helper()
	for k, n := range want {
		if got[k] != n {
			t.Errorf("planted %d times, found %d times: %s", n, got[k], k)
		}
	}
	for k, n := range got {
		if want[k] == 0 {
			t.Errorf("found %d times, and never planted: %s", n, k)
		}
	}
}

const everything = 1 << 30

// All that is planted is found, and nothing else, with any budget of memory.
func TestPlantedFaultsAreFoundAndNothingElse(t *testing.T) {
	r := seeded(t)
	changes := history(t)
	for _, n := range []int{0, 1, 3, 10, 30, 100, 300, 1000} {
		for _, budget := range []int64{1 << 40, 30_000, 2_000} {
			if budget < 30_000 && n != 30 && n != 1000 {
				continue // every bucket of every level on disk takes its time
			}
			w := topicOf(changes)
			planted := w.plant(r, n)
			if planted < n && n <= 300 {
				t.Fatalf("%d faults have no place in this history", n)
			}
			tl := newTally(everything / 2)
			tb := newTable(Rules{}, tl, budget, filepath.Join(t.TempDir(), "spill"))
			feed(t, r, tl, tb, w, map[int32]int64{}, everything)
			if (tb.spilled > 0) != (budget < 1<<40) {
				t.Errorf("budget %d: %d bytes spilled", budget, tb.spilled)
			}
			if err := tb.end(); err != nil {
				t.Fatal(err)
			}
			tl.finish()
			differ(t, words(tl), w.fault)
			if t.Failed() {
				t.Fatalf("%d faults planted, budget %d", planted, budget)
			}
			if left, _ := filepath.Glob(filepath.Join(tb.dir, "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			t.Logf("%d faults planted, budget %d: all found, nothing else", planted, budget)
		}
	}
}

// What a random topic holds is judged as its definition says, read record by record.
func TestJudgedAsDefined(t *testing.T) {
	r := seeded(t)
	for round := range 500 {
		w := &world{parts: make([][]Observation, 3), fault: map[string]int{}}
		mostNumber := 3 + r.IntN(10)
		for range r.IntN(40) {
			p := int32(r.IntN(3))
			o := Observation{Key: fmt.Appendf(nil, "k%d", r.IntN(3)), PID: -1, Numbered: r.IntN(10) > 0, Number: int64(r.IntN(mostNumber))}
			o.id = idOf(o.Key)
			w.parts[p] = append(w.parts[p], o)
		}
		w.number()
		w.define()
		tl := newTally(everything / 2)
		budget := []int64{1 << 40, 1 << 40, 700, 200}[r.IntN(4)]
		tb := newTable(Rules{}, tl, budget, filepath.Join(t.TempDir(), "spill"))
		feed(t, r, tl, tb, w, map[int32]int64{}, everything)
		if err := tb.end(); err != nil {
			t.Fatal(err)
		}
		tl.finish()
		got := words(tl)
		for k := range got {
			if len(k) > 5 && k[:5] == "twice" {
				delete(got, k)
			}
		}
		if tl.Again > 0 {
			got["twice"] = int(tl.Again)
		}
		if tl.Missing > 0 {
			for k := range got {
				if len(k) > 3 && k[:3] == "gap" {
					delete(got, k)
				}
			}
			got["missing"] = int(tl.Missing)
		}
		differ(t, got, w.fault)
		if t.Failed() {
			t.Fatalf("round %d: %+v", round, w.parts)
		}
	}
}

// define says what is wrong with a topic, as the package's text defines it.
func (w *world) define() {
	type kp struct {
		k string
		p int
	}
	high, there := map[kp]int64{}, map[kp]map[int64]bool{}
	where := map[string]map[int]bool{}
	for p, log := range w.parts {
		for _, o := range log {
			k := kp{string(o.Key), p}
			if where[k.k] == nil {
				where[k.k] = map[int]bool{}
			}
			where[k.k][p] = true
			if !o.Numbered {
				continue
			}
			if there[k] == nil {
				there[k], high[k] = map[int64]bool{}, o.Number
			}
			switch {
			case there[k][o.Number]:
				w.fault[fmt.Sprintf("duplicate %s %d", k.k, o.Number)]++
			case o.Number < high[k]:
				w.fault[fmt.Sprintf("late %s %d after %d", k.k, o.Number, high[k])]++
			}
			there[k][o.Number] = true
			high[k] = max(high[k], o.Number)
		}
	}
	for k, in := range where {
		if len(in) > 1 {
			w.fault["split "+k]++
		}
		count := map[int64]int{}
		lowest, highest := int64(1<<40), int64(-1)
		for p := range w.parts {
			for n := range there[kp{k, p}] {
				count[n]++
				lowest, highest = min(lowest, n), max(highest, n)
			}
		}
		for n := lowest; n <= highest; n++ {
			if count[n] == 0 {
				w.fault["missing"]++
			} else if count[n] > 1 {
				w.fault["twice"] += count[n] - 1
			}
		}
	}
	if w.fault["twice"] == 0 {
		delete(w.fault, "twice")
	}
}

// A producer whose later epoch has written to the partition is noticed; epochs that
// rise, and other partitions, are no fault.
func TestAProducerThatWasReplaced(t *testing.T) {
	tl := newTally(10)
	for i, e := range []struct {
		partition int32
		pid       int64
		epoch     int16
	}{{0, 7, 0}, {0, 7, 1}, {1, 7, 0}, {0, 8, 0}, {0, -1, -1}, {0, 7, 0}, {0, 7, 2}, {0, 7, 1}, {0, 7, 2}} {
		tl.seen(&Observation{Key: []byte("k"), Partition: e.partition, Offset: int64(i), PID: e.pid, PEpoch: e.epoch})
	}
	var at []int64
	for _, z := range tl.Zombies.First {
		at = append(at, z.Offset)
	}
	if tl.Zombies.Count != 2 || !slices.Equal(at, []int64{5, 7}) {
		t.Errorf("%+v", tl.Zombies)
	}
}

// What is kept of a key is bounded, whatever its numbers and writers are.
func TestOneKeyCannotTakeAllMemory(t *testing.T) {
	tl := newTally(10)
	tb := newTable(Rules{}, tl, 1<<40, t.TempDir())
	const n = 3 * mostSpans
	for i := range int64(n) {
		o := Observation{Key: []byte("k"), Offset: i, Numbered: true, Number: 2 * i}
		o.id = idOf(o.Key)
		must(t, tb.on(&o))
	}
	if tb.used > (mostSpans+10)*spanCost+stateCost {
		t.Errorf("%d bytes for one key", tb.used)
	}
	must(t, tb.end())
	tl.finish()
	if tl.Missing != n-1 || tl.Gaps.Count != n-1 || tl.ForgotGaps != 1 {
		t.Errorf("%d missing in %d gaps; given up in %d keys", tl.Missing, tl.Gaps.Count, tl.ForgotGaps)
	}

	tl = newTally(10)
	tl.Writers = make([]string, 1000)
	tb = newTable(Rules{OfWriter: true}, tl, 1<<40, t.TempDir())
	for i := range uint32(1000) {
		for _, n := range []int64{1, 3} {
			o := Observation{Key: []byte("k"), Numbered: true, Number: n, Writer: i + 1, Epoch: 1}
			o.id = idOf(o.Key)
			must(t, tb.on(&o))
		}
	}
	if tb.used > (mostStrands+2)*(strandCost+spanCost)+stateCost+100 {
		t.Errorf("%d bytes for one key", tb.used)
	}
	must(t, tb.end())
	if tl.Gaps.Count != 1000 {
		t.Errorf("%d gaps", tl.Gaps.Count)
	}
}
