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
