package proxy

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxRecords is how large the records of a batch may become when they are
// decompressed to be known by key and number. A batch that grows larger passes
// unknown.
const maxRecords = 64 << 20

var errTooLarge = errors.New("its records grow over 64 MiB")

// zstdDecoder is made when the first batch needs it; DecodeAll may be called by
// several at a time.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecords))
})

// decompress undoes a batch's compression, as far as maxRecords.
func decompress(src []byte, codec byte) ([]byte, error) {
	switch codec {
	case 1:
		r, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		return readBounded(r)
	case 2:
		return unsnappy(src)
	case 3:
		return readBounded(lz4.NewReader(bytes.NewReader(src)))
	case 4:
		d, err := zstdDecoder()
		if err != nil {
			return nil, err
		}
		return d.DecodeAll(src, nil)
	}
	return nil, errors.New("unknown compression")
}

func readBounded(r io.Reader) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, maxRecords+1))
	if err == nil && len(out) > maxRecords {
		err = errTooLarge
	}
	return out, err
}

// xerial begins what the Java client's snappy writes: blocks with their lengths.
var xerial = []byte{130, 83, 78, 65, 80, 80, 89, 0}

func unsnappy(src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) || len(src) < 16 {
		return unsnappyBlock(nil, src)
	}
	var out []byte
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, errShort
		}
		n := binary.BigEndian.Uint32(src)
		if src = src[4:]; uint64(n) > uint64(len(src)) {
			return nil, errShort
		}
		var err error
		if out, err = unsnappyBlock(out, src[:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return out, nil
}

// unsnappyBlock appends a block. What it says that it grows to is checked before
// anything is made for it.
func unsnappyBlock(dst, src []byte) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	// Snappy says a length in at most three bytes for each 64 of them.
	if n > maxRecords-len(dst) || n > 64*(len(src)+1) {
		return nil, errTooLarge
	}
	block, err := s2.Decode(nil, src)
	if err != nil {
		return nil, err
	}
	if dst == nil {
		return block, nil
	}
	return append(dst, block...), nil
}
