package redrive

import (
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A dead letter that is held stays so for the run, also when its key comes again before
// the run ends: what the run reports at its end was so all the time.
func TestHeldStaysHeldForTheRun(t *testing.T) {
	o := &Options{Topic: topic, DLT: dlt, MaxRedrives: 10}
	r := &run{o: o, partitions: 1, held: map[string]Held{}, lost: map[int32]int64{}}
	m := &orderly.Message{Record: &kgo.Record{Topic: dlt, Key: []byte("k"), Offset: 7}}
	if err := r.send(t.Context(), m); err == nil || len(r.held) != 1 {
		t.Fatalf("a record without headers: %v, held %v", err, r.held)
	}
	// Now it could go: the second try must not find that out, nor touch the producer.
	m.Headers = []kgo.RecordHeader{
		{Key: "orderly-dlt-topic", Value: []byte(topic)}, {Key: "orderly-dlt-partition", Value: []byte("0")}, {Key: "orderly-dlt-offset", Value: []byte("3")},
	}
	if _, err := o.check(m.Record, 1); err != nil {
		t.Fatalf("it could not go: this shows nothing: %v", err)
	}
	if err := r.send(t.Context(), m); err == nil || r.sent != 0 || len(r.held) != 1 || len(r.result().Held) != 1 {
		t.Errorf("the second time: %v, %d sent, held %v", err, r.sent, r.held)
	}
}

// A run ends when all that is left is held or waits behind what is; not while records
// that were read are not yet with a key, nor while there will be room for more.
func TestEndsWhenAllIsSentOrHeld(t *testing.T) {
	ends := map[int32]int64{0: 10, 1: 3}
	part := func(p int32, next int64, changes ...func(*orderly.PartitionState)) orderly.PartitionState {
		s := orderly.PartitionState{Topic: dlt, Partition: p, FencingToken: 7, Next: next}
		for _, change := range changes {
			change(&s)
		}
		return s
	}
	none := part(1, 3)
	held := func(s *orderly.PartitionState) { s.Keys, s.Blocked, s.Behind, s.Waiting = 2, 2, 4, 6 }
	another := func(s *orderly.PartitionState) { s.Waiting++ }
	runs := func(s *orderly.PartitionState) { s.Running = 1 }
	full := func(s *orderly.PartitionState) { s.Reasons = []string{"paused", "buffer-full"} }
	window := func(s *orderly.PartitionState) { s.Reasons = []string{"window-full"} }
	ungranted := func(s *orderly.PartitionState) { s.FencingToken = 0 }
	for name, c := range map[string]struct {
		parts  []orderly.PartitionState
		behind int
		looks  int // after which it is over; 0: never
	}{
		"nothing is ours":                {nil, 0, 0},
		"one is not ours yet":            {[]orderly.PartitionState{part(0, 10)}, 0, 0},
		"one was not granted yet":        {[]orderly.PartitionState{part(0, 10, ungranted), none}, 0, 0},
		"not all is read":                {[]orderly.PartitionState{part(0, 9), none}, 0, 0},
		"not all is read, and some held": {[]orderly.PartitionState{part(0, 9, held), none}, 4, 0},
		"read, and not with a key":       {[]orderly.PartitionState{part(0, 10, another), none}, 0, 0},
		"one more than what is held":     {[]orderly.PartitionState{part(0, 10, held, another), none}, 4, 0},
		"one runs":                       {[]orderly.PartitionState{part(0, 10, held, runs), none}, 4, 0},
		"all is sent":                    {[]orderly.PartitionState{part(0, 10), none}, 0, 2},
		"all that is left is held":       {[]orderly.PartitionState{part(0, 10, held), none}, 4, 2},
		"no more is read behind it":      {[]orderly.PartitionState{part(0, 8, held, window), none}, 4, standstill + 1},
		"nor of another partition":       {[]orderly.PartitionState{part(0, 10, held), part(1, 2, full)}, 4, standstill + 1},
		"full, and some can go":          {[]orderly.PartitionState{part(0, 8, held, another, full), none}, 4, 0},
		"full, and nothing is held":      {[]orderly.PartitionState{part(0, 8, full), none}, 0, 0},
		"full, and another is not ours":  {[]orderly.PartitionState{part(0, 8, held, full)}, 4, 0},
	} {
		e := ending{ends: ends}
		looks := 0
		for i := range 3 * standstill {
			if e.look(c.parts) {
				looks = i + 1
				break
			}
		}
		if looks != c.looks || e.last.behind != c.behind {
			t.Errorf("%s: over after %d looks, want %d; %d behind", name, looks, c.looks, e.last.behind)
		}
	}
	// Whatever moves in between begins it anew.
	e := ending{ends: ends}
	for i := range 3 * standstill {
		p := part(0, 8, held, full)
		p.Done = uint64(i / (standstill / 2))
		if e.look([]orderly.PartitionState{p, none}) {
			t.Fatalf("over at look %d, while records were sent", i)
		}
	}
}
