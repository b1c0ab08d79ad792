package orderly

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the sequence guard adds to a record that is in its place: reading the number,
// looking it up, learning it. "records" is the same without a guard.
func BenchmarkSequence(b *testing.B) {
	for _, c := range []struct {
		name string
		keys int
		cfg  SequenceGuard
	}{
		{"records", 1000, SequenceGuard{}},
		{"headers, 1,000 keys", 1000, SequenceGuard{Headers: true}},
		{"headers, 1,000,000 keys", 1_000_000, SequenceGuard{Headers: true, Keys: 1_000_000}},
		{"field, 1,000 keys", 1000, SequenceGuard{Field: ".version"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := ConsumerConfig{Brokers: []string{"none:0"}, Group: "g", Topics: []string{"t"}, Sequence: c.cfg,
				Handler: func(context.Context, *Message) error { return nil }}.withDefaults()
			h := newHandling(&cfg, func(*StopError) {})
			pool := h.pool(lane.SystemClock{})
			defer pool.Close(nil)
			part := pool.Add(h.partition("t", 0), 1)
			const chunk = 10_000
			recs, items, n := make([]*kgo.Record, chunk), []*lane.Item(nil), 0
			before := heap()
			b.ReportAllocs()
			b.ResetTimer()
			for n < b.N {
				b.StopTimer()
				for i := range recs {
					recs[i] = &kgo.Record{Topic: "t", Key: fmt.Appendf(nil, "key-%08d", (n+i)%c.keys), Value: fmt.Appendf(nil, `{"customer":"c-17","version":%d,"lines":[1,2,3]}`, (n+i)/c.keys+1),
						Headers: []kgo.RecordHeader{{Key: HeaderWriter, Value: []byte("9f86d081884c7d65")}, {Key: HeaderEpoch, Value: binary.BigEndian.AppendUint64(nil, 1)},
							{Key: HeaderSeq, Value: binary.BigEndian.AppendUint64(nil, uint64((n+i)/c.keys+1))}}}
				}
				items = h.items(recs, items[:0])
				b.StartTimer()
				for _, it := range items {
					m := it.Payload.(*Message)
					r := &lane.Run{Part: part}
					if h.seq != nil {
						j, err := h.seq.before(r, m)
						if err != nil || j.duplicate() {
							b.Fatalf("%+v, %v", j, err)
						}
						h.seq.done(r, m, j)
					}
				}
				n += len(items)
			}
			b.StopTimer()
			if known, _ := part.Notes().(*sequences); known != nil && known.state().Keys > 0 {
				b.ReportMetric(float64(heap()-before)/float64(known.state().Keys), "bytes/key")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
