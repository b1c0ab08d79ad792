package parking

import (
	"testing"
)

func (b *bench) follow(key string, offsets ...int64) {
	var run RunBody
	for _, o := range offsets {
		run.Records = append(run.Records, Follower{Offset: o})
	}
	b.do(b.o.Follow([]byte(key), run))
}

// kinds are those of the entries on their way, with how many records each holds.
func (b *bench) kinds() (out []int) {
	for _, w := range b.sent {
		out = append(out, w.Entry.Records())
	}
	return out
}

// Records that come together are written in runs, each resting on the one before, and
// settled as far as they are read back: one run at a time.
func TestFollowersAreWrittenInRuns(t *testing.T) {
	b := newBench(t, func(r *Rules) { r.Run = 3 })
	b.arrive("a", 1, failed)
	b.want("settle 1")
	b.held = true
	b.follow("a", 2, 3, 5, 7, 8, 9, 12)
	if got := b.kinds(); len(got) != 3 || got[0] != 3 || got[1] != 3 || got[2] != 1 {
		t.Fatalf("entries of %v records", got)
	}
	for i, after := range []int64{2, 6, 10} {
		if e := b.sent[i].Entry; e.After != after {
			t.Errorf("entry %d rests on what is below %d, want %d", i, e.After, after)
		}
	}
	first := b.sent[0].Entry
	b.sent = b.sent[1:]
	b.put(first)
	b.want("settle 3 of 2")
	b.held = false
	b.land()
	b.want("settle 3 of 7", "settle 12")
	if keys, records, _, _ := b.o.State().Counts(); keys != 1 || records != 8 {
		t.Errorf("%d keys, %d records", keys, records)
	}
	b.command("r", Retry, "a", 1)
	for _, o := range []int64{1, 2, 3, 5, 7, 8, 9, 12} {
		if len(b.runs) == 0 || b.runs[0].Offset != o || b.log[b.runs[0].Pos].Record(o) == nil {
			t.Fatalf("released %+v, want %d", b.runs, o)
		}
		b.runs = b.runs[1:]
		b.ended("a", o, nil)
	}
	if keys, _, _, _ := b.o.State().Counts(); keys != 0 {
		t.Errorf("%d keys are parked", keys)
	}
}

// A run that the topic does not take for its size is written record by record.
func TestARunThatIsTooLarge(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, failed)
	b.held = true
	b.follow("a", 2, 3, 4)
	run := b.sent[0]
	b.sent = nil
	b.do(b.o.Failed(run.ID, TooLarge))
	b.do(b.o.Tick(1))
	if got := b.kinds(); len(got) != 3 {
		t.Fatalf("entries of %v records, want three of one", got)
	}
	b.held = false
	b.land()
	b.want("settle 1", "settle 2", "settle 3", "settle 4")
}

// What is on its way counts against the caps: at one of them a key blocks, or its records
// wait, and nothing goes over it.
func TestCapsHoldForWhatIsOnItsWay(t *testing.T) {
	one := (&Record{}).Size()
	for _, without := range []rule{ruleNone, ruleCaps} {
		b := newBench(t, func(r *Rules) { r.MaxKeys, r.without = 2, without })
		b.held = true
		for i, key := range []string{"a", "b", "c"} {
			b.arrive(key, int64(i), failed)
		}
		if n := len(b.sent); (n == 2) != (without == ruleNone) {
			t.Errorf("without %d: %d keys are on their way, with a cap of 2", without, n)
		}
		b = newBench(t, func(r *Rules) { r.MaxBytes, r.without = 3*one, without })
		b.arrive("a", 0, failed)
		b.held = true
		b.arrive("b", 1, failed)
		b.follow("a", 2, 3, 4)
		n := 0
		for _, k := range b.kinds() {
			n += k
		}
		if (n == 2) != (without == ruleNone) {
			t.Errorf("without %d: %d records are on their way, with room for 2", without, n)
		}
	}
	b := newBench(t, func(r *Rules) { r.MaxPerKey = 3 })
	b.arrive("a", 0, failed)
	b.follow("a", 1, 2, 3, 4)
	b.want("settle 0", "settle 2 of 1")
	if _, records, _, _ := b.o.State().Counts(); records != 3 {
		t.Errorf("%d records are parked, with a cap of 3", records)
	}
	// Once the write of a key that parks it has failed, its place is another's.
	b = newBench(t, func(r *Rules) { r.MaxKeys = 1 })
	b.held = true
	b.arrive("a", 0, failed)
	b.do(b.o.Failed(b.sent[0].ID, TooLarge))
	b.sent = nil
	b.arrive("b", 1, failed)
	if len(b.sent) != 1 || string(b.sent[0].Entry.Key) != "b" {
		t.Errorf("%d entries are on their way, want that of b", len(b.sent))
	}
}
