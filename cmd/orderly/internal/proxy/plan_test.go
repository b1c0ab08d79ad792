package proxy

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A batch that is refused is taken out of its request; the bytes of the others stay
// as they are, and so do their answers. A request of nothing else is not passed on.
func TestRefusedBatch(t *testing.T) {
	for v := int16(3); v <= requests[apiProduce].highest; v++ {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.Version, req.TransactionID = -1, v, ptr("tx")
		topic := kmsg.NewProduceRequestTopic()
		if topic.Topic = "orders"; v >= 13 {
			topic.TopicID = topicID
		}
		for n := range int32(3) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = n, bytes.Repeat([]byte{byte('a' + n)}, 100)
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		r, err := parseRequest(kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)[4:])
		if err != nil {
			t.Fatal(err)
		}
		strike := func(partitions ...int32) *plan {
			refused := make(codes)
			for _, n := range partitions {
				refused[place{"orders", n}] = 19
			}
			p := &plan{}
			if err := p.refuse(&r, &written{acks: -1}, refused, named); err != nil {
				t.Fatal(err)
			}
			return p
		}

		p := strike(1)
		rest := r
		rest.frame = p.forward
		w, err := walkProduce(&rest, named)
		if err != nil || p.drop || len(w.parts) != 2 || string(w.txn) != "tx" || w.parts[0].partition != 0 || w.parts[1].partition != 2 || !bytes.Equal(w.parts[1].records, topic.Partitions[2].Records) {
			t.Fatalf("v%d: %+v, %v", v, w, err)
		}
		broker := kmsg.NewPtrProduceResponse()
		bt := kmsg.NewProduceResponseTopic()
		bt.Topic, bt.TopicID = topic.Topic, topic.TopicID
		for _, part := range w.parts {
			bp := kmsg.NewProduceResponseTopicPartition()
			bp.Partition, bp.BaseOffset = part.partition, 70
			bt.Partitions = append(bt.Partitions, bp)
		}
		broker.Topics = append(broker.Topics, bt)
		merged, err := p.edits[0](r.answer(broker))
		if err != nil {
			t.Fatal(err)
		}
		checkCodes(t, &r, merged, map[int32]byte{0: 0, 1: 19, 2: 0})

		p = strike(0, 1, 2)
		if !p.drop || p.forward != nil {
			t.Errorf("v%d: a request of nothing else is passed on", v)
		}
		checkCodes(t, &r, p.answer, map[int32]byte{0: 19, 1: 19, 2: 19})
	}
}

func checkCodes(t *testing.T, r *request, frame []byte, want map[int32]byte) {
	t.Helper()
	receipts, _, err := walkReceipts(r, frame, named)
	if err != nil || len(receipts) != len(want) || correlationOf(frame) != r.correlation {
		t.Errorf("v%d: %+v, %v", r.version, receipts, err)
	}
	for _, rc := range receipts {
		if rc.topic != "orders" || rc.code[1] != want[rc.partition] {
			t.Errorf("v%d: %+v, want %v", r.version, rc, want)
		}
	}
}

// first is the first record of a key: it is chosen by name.
func first(kind Kind, after int) Fault {
	f := Fault{Kind: kind, After: after, Chosen: []Target{{Topic: testTopic, Key: Bytes("key-0"), Number: ptr(int64(0))}}}
	if kind != Cut {
		f.For = 10 * time.Minute
	}
	return f
}

// What is held, or to be sent again, goes when the acknowledgements have come that
// it waits for, and the broker's answer to it is reported: that of an idempotent
// producer is taken for what it is.
func TestLate(t *testing.T) {
	for _, f := range []Fault{first(Hold, 1), first(Hold, 3), first(Replay, 0), first(Replay, 2)} {
		c := startCluster(t, 3)
		p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{f}, Identify: byValue})
		write(t, p.Addr(), 3000, safe...)
		hits := p.await(t, "what is late", func(hits []Hit) bool { return len(hits) == 1 })
		if h := hits[0]; h.Late == nil || h.Note != "" {
			t.Errorf("%+v", h)
		}
		if got := readLog(t, c.ListenAddrs()); got != (tally{records: 3000, distinct: 3000}) {
			t.Errorf("%v", got)
		}
	}
}

// Heal releases what is held, and ends all faults; Close gives it up.
func TestHealAndClose(t *testing.T) {
	c := startCluster(t, 3)
	p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{first(Hold, 1000)}, Identify: byValue})
	write(t, p.Addr(), 100, safe...)
	if hits := p.all(); len(hits) != 0 {
		t.Errorf("it is not held: %+v", hits)
	}
	p.Heal()
	if h := p.await(t, "its release", func(hits []Hit) bool { return len(hits) == 1 })[0]; h.Late == nil {
		t.Errorf("%+v", h)
	}
	p = startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{first(Cut, 0)}, Identify: byValue})
	p.Heal()
	write(t, p.Addr(), 100, safe...)
	if n := p.Facts().Counts[0].Requests; n != 0 {
		t.Errorf("struck %d times after it was healed", n)
	}
	p = startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{first(Hold, 1000)}, Identify: byValue})
	write(t, p.Addr(), 100, safe...)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if hits := p.all(); len(hits) != 1 || hits[0].Late != nil || hits[0].Note != "never released: the proxy ended before" {
		t.Errorf("%+v", hits)
	}
}

// A partition that gets an error has no records beside it, and the others are as
// they were.
func TestFetchErrorAnswer(t *testing.T) {
	r := &request{key: apiFetch, version: requests[apiFetch].highest}
	resp := kmsg.NewPtrFetchResponse()
	topic := kmsg.NewFetchResponseTopic()
	topic.TopicID = topicID
	for n := range int32(2) {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.RecordBatches = n, testBatch(t, 4, 3)
		topic.Partitions = append(topic.Partitions, p)
	}
	resp.Topics = append(resp.Topics, topic)
	sequence := int32(101)
	f, err := Fault{Kind: FetchError, Chosen: []Target{{Topic: "orders", Partition: 1, Sequence: &sequence}}}.settle()
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine([]Fault{f}, 1, nil, func(*Hit) {}, named, newWaiting())
	c := &conn{node: &node{id: 1}}
	frame, err := e.fetched(c, r, r.answer(resp))
	if err != nil {
		t.Fatal(err)
	}
	got := kmsg.NewPtrFetchResponse()
	if _, err := decodeAnswer(r, frame, got); err != nil {
		t.Fatal(err)
	}
	a, b := got.Topics[0].Partitions[0], got.Topics[0].Partitions[1]
	if a.ErrorCode != 0 || !bytes.Equal(a.RecordBatches, topic.Partitions[0].RecordBatches) || b.ErrorCode != 6 || len(b.RecordBatches) != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
}
