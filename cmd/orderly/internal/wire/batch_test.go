package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// encoded is a batch as franz-go writes it.
func encoded(b kmsg.RecordBatch) []byte {
	b.Magic = 2
	b.Length = int32(49 + len(b.Records))
	return b.AppendTo(nil)
}

func TestHeadersAreReadAsTheyWereWritten(t *testing.T) {
	var raw []byte
	want := []kmsg.RecordBatch{
		{FirstOffset: 5, PartitionLeaderEpoch: 3, Attributes: 0x10, LastOffsetDelta: 9, FirstTimestamp: 1000, MaxTimestamp: 2000, ProducerID: 77, ProducerEpoch: 2, FirstSequence: 40, NumRecords: 10, Records: []byte("abc")},
		{FirstOffset: 15, PartitionLeaderEpoch: 3, Attributes: 0x20 | 0x08, ProducerID: 77, ProducerEpoch: 2, FirstSequence: -1, NumRecords: 1},
		{FirstOffset: 1 << 40, PartitionLeaderEpoch: -1, LastOffsetDelta: 1<<31 - 1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1},
	}
	for _, b := range want {
		raw = append(raw, encoded(b)...)
	}
	var got []Batch
	n, err := Batches(raw, func(b Batch) { got = append(got, b) })
	if err != nil || n != len(raw) || len(got) != len(want) {
		t.Fatalf("%d of %d bytes, %v, %v", n, len(raw), got, err)
	}
	for i, w := range want {
		g := got[i]
		if g.FirstOffset != w.FirstOffset || g.LastOffset != w.FirstOffset+int64(w.LastOffsetDelta) || g.LeaderEpoch != w.PartitionLeaderEpoch || g.Attributes != w.Attributes ||
			g.FirstTime != time.UnixMilli(w.FirstTimestamp) || g.MaxTime != time.UnixMilli(w.MaxTimestamp) || g.ProducerID != w.ProducerID ||
			g.ProducerEpoch != w.ProducerEpoch || g.Sequence != w.FirstSequence || g.Records != w.NumRecords {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
	if !got[0].Transactional() || got[0].Control() || !got[1].Control() || !got[1].LogAppendTime() || got[2].Idempotent() || got[0].After() != 50 {
		t.Errorf("%+v", got)
	}
	if after := (Batch{Sequence: 1<<31 - 3, FirstOffset: 0, LastOffset: 4}).After(); after != 2 {
		t.Errorf("after the highest sequence number comes %d", after)
	}

	// Brokers cut the last batch off: wherever, it is left out.
	whole := len(encoded(want[0])) + len(encoded(want[1]))
	for cut := whole; cut < len(raw); cut++ {
		count := 0
		if n, err := Batches(raw[:cut], func(Batch) { count++ }); err != nil || n != whole || count != 2 {
			t.Fatalf("cut at %d: %d batches, %d bytes, %v", cut, count, n, err)
		}
	}
}

func TestBytesThatAreNoBatches(t *testing.T) {
	good := encoded(kmsg.RecordBatch{FirstOffset: 5})
	for what, c := range map[string]struct {
		damage func(b []byte)
		want   string
	}{
		"length 0":         {func(b []byte) { copy(b[8:], []byte{0, 0, 0, 0}) }, "its length is 0"},
		"negative length":  {func(b []byte) { b[8] = 0x80 }, "its length is -"},
		"an unknown magic": {func(b []byte) { b[16] = 3 }, "its format is 3"},
		"too short":        {func(b []byte) { copy(b[8:], []byte{0, 0, 0, 20}) }, "too few for a header"},
		"old, too short":   {func(b []byte) { copy(b[8:], []byte{0, 0, 0, 10}); b[16] = 0 }, "too few for a message"},
		"negative delta":   {func(b []byte) { b[23] = 0xff }, "cannot be"},
		"negative offset":  {func(b []byte) { b[0] = 0xff }, "cannot be"},
		"negative records": {func(b []byte) { b[57] = 0xff }, "cannot be"},
	} {
		b := bytes.Clone(good)
		c.damage(b)
		_, err := Batches(b, func(Batch) {})
		if be := (*BatchError)(nil); !errors.As(err, &be) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever bytes come: reading ends, at the end of a batch, and what is told of each
// is within its bounds.
func FuzzBatches(f *testing.F) {
	f.Add(encoded(kmsg.RecordBatch{FirstOffset: 5, LastOffsetDelta: 3, Records: []byte("xyz")}))
	f.Add(append(encoded(kmsg.RecordBatch{}), 1, 2, 3))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, raw []byte) {
		bytes := 0
		n, _ := Batches(raw, func(b Batch) {
			bytes += b.Bytes
			if b.Bytes < prefixLen || b.Magic == 2 && (b.FirstOffset < 0 || b.LastOffset < b.FirstOffset || b.Records < 0) {
				t.Errorf("%+v", b)
			}
		})
		if n != bytes || n > len(raw) {
			t.Errorf("%d of %d bytes read, in batches of %d", n, len(raw), bytes)
		}
	})
}
