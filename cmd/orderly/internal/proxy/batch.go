package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// batchHeader is the size of a batch's header (format 2): what its first record
// stands behind.
const batchHeader = 61

// A batch is the header of one, in format 2; its records are as they came.
type batch struct {
	producer  int64 // -1: its writer is not idempotent
	epoch     int16
	sequence  int32 // of the first record
	count     int32 // of records
	offset    int64 // of the first record; meaningful in what was fetched
	codec     byte
	control   bool
	records   []byte
	wholeSize int
}

var errOldFormat = errors.New("batches in a format before 2 (Kafka 0.11) have no sequence and cannot be looked into")

// nextBatch reads the batch at the beginning of records, and gives what is behind
// it. A batch that is cut off, as the last of a fetch may be, is an error.
func nextBatch(records []byte) (b batch, rest []byte, err error) {
	if len(records) < batchHeader {
		return b, nil, errShort
	}
	if records[16] != 2 {
		return b, nil, errOldFormat
	}
	size := int64(int32(binary.BigEndian.Uint32(records[8:]))) + 12
	if size < batchHeader || size > int64(len(records)) {
		return b, nil, errShort
	}
	attributes := binary.BigEndian.Uint16(records[21:])
	b = batch{
		offset:    int64(binary.BigEndian.Uint64(records)),
		codec:     byte(attributes & 7),
		control:   attributes&0x20 != 0,
		producer:  int64(binary.BigEndian.Uint64(records[43:])),
		epoch:     int16(binary.BigEndian.Uint16(records[51:])),
		sequence:  int32(binary.BigEndian.Uint32(records[53:])),
		count:     int32(binary.BigEndian.Uint32(records[57:])),
		records:   records[batchHeader:size:size],
		wholeSize: int(size),
	}
	if b.count < 0 {
		return b, nil, errShort
	}
	return b, records[size:], nil
}

// sequenceOf is the number of the batch's record i: numbers wrap to 0.
func (b *batch) sequenceOf(i int32) int32 {
	return int32((int64(b.sequence) + int64(i)) & (1<<31 - 1))
}

// A Record is one of a batch, to be known by its key and number. Its bytes are only
// lent.
type Record struct {
	Key, Value []byte
	Headers    []Header
}

// A Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Header gives the value of a header, the last one of that name.
func (r *Record) Header(key string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// each calls fn with the batch's records, in their order, until it returns false.
func (b *batch) each(fn func(i int32, r *Record) bool) error {
	raw := b.records
	if b.codec != 0 {
		var err error
		if raw, err = decompress(raw, b.codec); err != nil {
			return fmt.Errorf("decompressing a batch: %w", err)
		}
	}
	c := cursor{buf: raw}
	var r Record
	for i := range b.count {
		body := cursor{buf: c.span(int(min(max(c.varint(), -1), maxRecords)))}
		if c.bad {
			return errShort
		}
		body.skip(1)   // attributes
		body.uvarint() // timestamp
		body.uvarint() // offset
		r.Key, r.Value = body.varBytes(), body.varBytes()
		r.Headers = r.Headers[:0]
		for n := body.varint(); n > 0 && !body.bad; n-- {
			r.Headers = append(r.Headers, Header{string(body.varBytes()), body.varBytes()})
		}
		if body.bad {
			return errShort
		}
		if !fn(i, &r) {
			return nil
		}
	}
	return nil
}

// varBytes is a byte field of a record: its length is signed, -1 is null.
func (c *cursor) varBytes() []byte {
	n := c.varint()
	if n < 0 || c.bad {
		return nil
	}
	if n > int64(len(c.buf)) {
		c.bad = true
		return nil
	}
	return c.span(int(n))
}
