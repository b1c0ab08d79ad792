package orderly

import (
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// batchOverhead is what the client counts for a batch besides its records:
	// the header of 61 bytes and the length before it.
	batchOverhead = 65
	// inBatchExtra is what a record can need more inside of a batch than alone in
	// one: the differences of offset and timestamp, and a longer length.
	inBatchExtra = 12
)

// recordBytes is what the client counts for a record that is alone in its batch.
func recordBytes(r *kgo.Record, w *writer) int {
	headers := len(r.Headers)
	n := 3 // attributes, timestamp difference, offset difference
	n += kbin.VarintLen(int32(len(r.Key))) + len(r.Key)
	n += kbin.VarintLen(int32(len(r.Value))) + len(r.Value)
	for _, h := range r.Headers {
		n += headerBytes(h)
	}
	if w != nil {
		headers += 3
		n += w.wire
	}
	n += kbin.VarintLen(int32(headers))
	return kbin.VarintLen(int32(n)) + n
}

func headerBytes(h kgo.RecordHeader) int {
	return kbin.VarintLen(int32(len(h.Key))) + len(h.Key) + kbin.VarintLen(int32(len(h.Value))) + len(h.Value)
}

// batchLimit is the largest batch that the client sends for a topic: MaxBatchBytes,
// or what fits into one of its requests.
func batchLimit(maxBatch int, cl *kgo.Client, topic string) int {
	const requestOverhead = 14 + 13 + 14 // header, body, one topic with one partition
	clientID, _ := cl.OptValue(kgo.ClientID).(string)
	request := int(cl.OptValue(kgo.BrokerMaxWriteBytes).(int32)) - requestOverhead - len(clientID) - max(16, len(topic))
	return min(maxBatch, request)
}
