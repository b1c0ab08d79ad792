package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

func compress(t testing.TB, codec byte, body []byte) []byte {
	t.Helper()
	if codec == 0 {
		return body
	}
	c, err := kgo.DefaultCompressor([]kgo.CompressionCodec{{}, kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}[codec])
	if err != nil {
		t.Fatal(err)
	}
	out, used := c.Compress(new(bytes.Buffer), body)
	if used != kgo.CompressionCodecType(codec) {
		t.Fatalf("compressed with %d, not %d", used, codec)
	}
	return out
}

// Records are known in each compression, and those of the Java client's snappy.
func TestBatch(t *testing.T) {
	for codec := range byte(5) {
		b, rest, err := nextBatch(append(testBatch(t, codec, 5), "rest"...))
		if err != nil || string(rest) != "rest" || b.producer != 9 || b.sequence != 100 || b.count != 5 {
			t.Fatalf("%+v, %q, %v", b, rest, err)
		}
		var got []string
		if err := b.each(func(i int32, r *Record) bool {
			h, _ := r.Header("h")
			got = append(got, fmt.Sprintf("%d %s=%s %s", i, r.Key, r.Value, h))
			return true
		}); err != nil || !slices.Equal(got, []string{"0 k=0 v", "1 k=1 v", "2 k=2 v", "3 k=3 v", "4 k=4 v"}) {
			t.Errorf("codec %d: %q, %v", codec, got, err)
		}
	}
	blocks := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, text := range []string{"one ", "two"} {
		block := s2.EncodeSnappy(nil, []byte(text))
		blocks = append(binary.BigEndian.AppendUint32(blocks, uint32(len(block))), block...)
	}
	if out, err := decompress(blocks, 2); err != nil || string(out) != "one two" {
		t.Errorf("%q, %v", out, err)
	}
	wraps := batch{sequence: math.MaxInt32 - 1}
	if wraps.sequenceOf(1) != math.MaxInt32 || wraps.sequenceOf(2) != 0 {
		t.Error("sequences do not wrap")
	}
}

// What grows beyond the limit is not unpacked.
func TestBombs(t *testing.T) {
	zeros := make([]byte, maxRecords+1)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for codec, src := range map[byte][]byte{1: compress(t, 1, zeros), 2: s2.EncodeSnappy(nil, zeros), 3: compress(t, 3, zeros), 4: w.EncodeAll(zeros, nil)} {
		if out, err := decompress(src, codec); err == nil {
			t.Errorf("codec %d unpacked %d bytes", codec, len(out))
		}
	}
	// A claim alone takes no memory.
	claim := binary.AppendUvarint(nil, maxRecords)
	if used := spent(func() { _, _ = decompress(claim, 2) }); used > 1<<20 {
		t.Errorf("%d bytes for a claim", used)
	}
}
