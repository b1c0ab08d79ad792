package orderly_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Each request asks for all acknowledgements, and each batch has a producer id.
func TestProducerAcksAllAndIdempotent(t *testing.T) {
	c := prodCluster(t, 2)
	p := producer(t, c, nil)
	var requests, weak atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		pr := req.(*kmsg.ProduceRequest)
		requests.Add(1)
		if pr.Acks != -1 {
			weak.Add(1)
		}
		for _, rt := range pr.Topics {
			for _, rp := range rt.Partitions {
				var b kmsg.RecordBatch
				if err := b.ReadFrom(rp.Records); err != nil || b.ProducerID < 0 || b.FirstSequence < 0 {
					weak.Add(1)
				}
			}
		}
		return nil, nil, false
	})
	for i := range 50 {
		if err := p.ProduceSync(within30(t), rec(strconv.Itoa(i), "0")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if requests.Load() < 50 || weak.Load() > 0 {
		t.Errorf("%d of %d requests or batches are weaker", weak.Load(), requests.Load())
	}
}
