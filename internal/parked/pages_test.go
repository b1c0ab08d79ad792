package parked

import (
	"bytes"
	"testing"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// batch is records of so many bytes, from a position on.
func batch(from int64, n, size int) (recs []*kgo.Record) {
	for i := range int64(n) {
		recs = append(recs, &kgo.Record{Offset: from + i, Key: []byte("k"), Value: bytes.Repeat([]byte("v"), size-1)})
	}
	return recs
}

// Of a batch no more is kept than the share of a key, and at the least one record; what
// each of the keys has used last stays.
func TestPagesAreSharedByKeys(t *testing.T) {
	const keys, size = 16, 20_000
	share := pagesBytes / 2 / keys
	var p pages
	for round := range int64(3) {
		for k := range int64(keys) {
			at := k*1_000_000 + round*1000
			if first := p.add(batch(at, 1000, size), keys); first.rec.Offset != at {
				t.Fatalf("position %d, want %d", first.rec.Offset, at)
			}
			for back := range min(k+1, keys) { // all that were used just now are there
				if r := p.find((k-back)*1_000_000 + round*1000 + 1); r == nil {
					t.Fatalf("key %d of %d has no page any more", k-back, k)
				}
			}
			if p.find(at+int64(share/(2*size))) != nil {
				t.Error("more of a batch is kept than a share")
			}
		}
	}
	if p.bytes > pagesBytes {
		t.Errorf("%d bytes are kept", p.bytes)
	}
	sum := 0
	for _, g := range p.all {
		sum += g.bytes
	}
	if sum != p.bytes {
		t.Errorf("%d bytes are kept, and %d counted", sum, p.bytes)
	}
	p.add(batch(0, 2, 3*pagesBytes), keys)
	if len(p.all) != 1 || p.find(0) == nil || p.find(1) != nil {
		t.Errorf("%d pages; of one that is larger than all one record is kept", len(p.all))
	}
}

// The page that was not used for the longest time goes first.
func TestPagesThatAreUsedStay(t *testing.T) {
	var p pages
	p.add(batch(0, 10, 1000), 1)
	for at := int64(1000); at < 1_000_000; at += 1000 {
		p.add(batch(at, 1, pagesBytes/16), 1)
		if p.find(5) == nil {
			t.Fatalf("a page that is used all the time is gone at %d", at)
		}
	}
	if p.find(1000) != nil {
		t.Error("everything is kept")
	}
}

// What is kept is bounded also where it is in headers, or in records that are small.
func TestPagesAreBounded(t *testing.T) {
	for name, r := range map[string]kgo.Record{
		"headers":       {Headers: []kgo.RecordHeader{{Key: "h", Value: make([]byte, 50_000)}}},
		"header's name": {Headers: []kgo.RecordHeader{{Key: string(make([]byte, 50_000))}}},
		"small":         {Value: []byte("v")},
	} {
		var p pages
		n := 0
		for at := int64(0); at < 20_000; at += 20 {
			recs := make([]*kgo.Record, 20)
			for i := range recs {
				c := r
				c.Offset, recs[i] = at+int64(i), &c
			}
			p.add(recs, 16)
		}
		for _, g := range p.all {
			n += len(g.recs)
		}
		if most := pagesBytes / max(1<<10, 2*50_000*len(r.Headers)); n > most {
			t.Errorf("%s: %d records are kept, want %d at the most", name, n, most)
		}
	}
}

// What is kept does not hold on to the batch that it came in, and is decoded once.
func TestPagesKeepCopies(t *testing.T) {
	enc, err := parking.Encode(&parking.Entry{Kind: parking.KindParked, Token: 1, Seq: 1, Key: []byte("k"), Offset: 7,
		Parked: &parking.ParkedBody{Record: parking.Record{Key: []byte("k"), Value: []byte("the value")}, Topic: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Key: enc.Key, Value: enc.Value}
	for _, h := range enc.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	var p pages
	first := p.add([]*kgo.Record{r}, 1)
	clear(r.Key)
	clear(r.Value)
	for _, h := range r.Headers {
		clear(h.Value)
	}
	l := &topicLog{Log: parkinglog.New(nil, "t", [16]byte{1})}
	e, err := first.decode(l)
	if err != nil || string(e.Parked.Record.Value) != "the value" {
		t.Fatalf("%+v, %v", e, err)
	}
	if again, _ := p.find(0).decode(l); again != e {
		t.Error("it is decoded again")
	}
}
