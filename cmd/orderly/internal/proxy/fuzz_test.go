package proxy

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// spent is what fn takes of memory.
func spent(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// room is what reading n bytes may take: a claim of more is not believed.
func room(n int) uint64 { return 2<<20 + 200*uint64(n) }

func seedFrames(f *testing.F) {
	for key, build := range withAddresses {
		for v := int16(0); v <= requests[key].highest; v++ {
			r := &request{key: key, version: v}
			f.Add(byte(key), byte(v), r.answer(build(v, same)))
		}
	}
	req := kmsg.NewPtrProduceRequest()
	topic := kmsg.NewProduceRequestTopic()
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = testBatch(f, 0, 3)
	topic.Topic, topic.Partitions = "orders", append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	for v := int16(0); v <= requests[apiProduce].highest; v++ {
		req.SetVersion(v)
		f.Add(byte(apiProduce), byte(v), kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)[4:])
	}
}

// What clients send is walked without a panic, and without memory for lengths that
// are only claimed; so are the two answers that carry most.
func FuzzWalks(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, key, version byte, frame []byte) {
		if used := spent(func() {
			if r, err := parseRequest(frame); err == nil {
				_ = groupOf(&r)
				r.key, r.version = apiProduce, int16(version%14)
				if w, err := walkProduce(&r, named); err == nil {
					for _, p := range w.parts {
						countBatches(p.records)
					}
				}
			}
			r := &request{key: apiProduce, version: int16(version % 14)}
			if _, tags, err := walkReceipts(r, frame, named); err == nil && r.version >= 10 {
				_, _ = rewriteEndpoints(bytes.Clone(frame), tags, toProxy)
			}
			r = &request{key: apiFetch, version: int16(version % 19)}
			if tags, err := walkFetched(r, frame, named, func(p part) { countBatches(p.records) }); err == nil && r.version >= 16 {
				_, _ = rewriteEndpoints(bytes.Clone(frame), tags, toProxy)
			}
		}); used > room(len(frame)) {
			t.Errorf("%d bytes for a frame of %d", used, len(frame))
		}
	})
}

// Frames are read without a panic, and without memory for what has not come.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 2})
	f.Add([]byte{0x0f, 0xff, 0xff, 0xff, 1})
	f.Add([]byte("GET / HTTP/1.1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var frame []byte
		var err error
		if used := spent(func() { frame, err = readFrame(bytes.NewReader(raw)) }); used > room(len(raw)) {
			t.Errorf("%d bytes for %d", used, len(raw))
		}
		if err == nil && !bytes.Equal(frame, raw[4:4+len(frame)]) {
			t.Errorf("%q of %q", frame, raw)
		}
	})
}

// Batches are looked into without a panic; what they decompress to is bounded.
func FuzzBatch(f *testing.F) {
	for codec := range byte(5) {
		f.Add(testBatch(f, codec, 5))
	}
	f.Fuzz(func(t *testing.T, records []byte) {
		for len(records) > 0 {
			b, rest, err := nextBatch(records)
			if err != nil {
				return
			}
			if len(rest) >= len(records) {
				t.Fatal("no end")
			}
			seen := 0
			used := spent(func() {
				_ = b.each(func(int32, *Record) bool { seen++; return seen < 1000 })
			})
			if used > 5*maxRecords+room(len(records)) {
				t.Errorf("%d bytes for a batch of %d", used, len(records))
			}
			records = rest
		}
	})
}

// FuzzSchedule reads anybody's file.
func FuzzSchedule(f *testing.F) {
	f.Add([]byte(`{"fault":{"kind":"lost-ack","share":0.1}}`))
	f.Add([]byte(`{"fault":{"kind":"lost-ack"},"batches":[{"chosen":[{"topic":"t","key":{"base64":"/w=="},"number":3}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		faults, err := ReadSchedule(bytes.NewReader(text))
		if err == nil {
			newEngine(faults, 1, nil, func(*Hit) {}, named, newWaiting())
		}
	})
}

// testBatch is a batch as a client writes it: record i has key k, value i.
func testBatch(t testing.TB, codec byte, n int) []byte {
	t.Helper()
	var body []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Key: []byte("k"), Value: []byte{byte('0' + i)}, Headers: []kmsg.Header{{Key: "h", Value: []byte("v")}}}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		body = r.AppendTo(body)
	}
	b := kmsg.RecordBatch{Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(n - 1), ProducerID: 9, FirstSequence: 100, NumRecords: int32(n), Records: compress(t, codec, body)}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	return raw
}
