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
// that were read are not yet with a key.
func TestEndsWhenAllIsSentOrHeld(t *testing.T) {
	ends := map[int32]int64{0: 10, 1: 3}
	part := func(p int32, next int64, change func(*orderly.PartitionState)) orderly.PartitionState {
		s := orderly.PartitionState{Topic: dlt, Partition: p, FencingToken: 7, Next: next}
		if change != nil {
			change(&s)
		}
		return s
	}
	none := part(1, 3, nil)
	held := func(s *orderly.PartitionState) { s.Keys, s.Blocked, s.Behind, s.Waiting = 2, 2, 4, 6 }
	for name, c := range map[string]struct {
		parts  []orderly.PartitionState
		behind int
		ended  bool
	}{
		"nothing is ours":            {nil, 0, false},
		"one is not ours yet":        {[]orderly.PartitionState{part(0, 10, nil)}, 0, false},
		"one was not granted yet":    {[]orderly.PartitionState{part(0, 10, func(s *orderly.PartitionState) { s.FencingToken = 0 }), none}, 0, false},
		"not all is read":            {[]orderly.PartitionState{part(0, 9, nil), none}, 0, false},
		"read, and not with a key":   {[]orderly.PartitionState{part(0, 10, func(s *orderly.PartitionState) { s.Waiting = 5 }), none}, 0, false},
		"one more than what is held": {[]orderly.PartitionState{part(0, 10, func(s *orderly.PartitionState) { held(s); s.Waiting++ }), none}, 4, false},
		"one runs":                   {[]orderly.PartitionState{part(0, 10, func(s *orderly.PartitionState) { held(s); s.Running = 1 }), none}, 4, false},
		"all is sent":                {[]orderly.PartitionState{part(0, 10, nil), none}, 0, true},
		"all that is left is held":   {[]orderly.PartitionState{part(0, 10, held), none}, 4, true},
		"no more is read behind it":  {[]orderly.PartitionState{part(0, 8, func(s *orderly.PartitionState) { held(s); s.Reasons = []string{"window-full"} }), none}, 4, true},
		"full, and some can go":      {[]orderly.PartitionState{part(0, 8, func(s *orderly.PartitionState) { held(s); s.Waiting++; s.Reasons = []string{"buffer-full"} }), none}, 4, false},
	} {
		if behind, ended := standing(c.parts, ends); behind != c.behind || ended != c.ended {
			t.Errorf("%s: %d behind, ended %t", name, behind, ended)
		}
	}
}
