package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// A keyID stands for a key: 16 bytes of its SHA-256, so that no two keys are taken
// for one.
type keyID [16]byte

func idOf(key []byte) keyID {
	sum := sha256.Sum256(key)
	return keyID(sum[:16])
}

// keyShown is how much of a key is kept for who reads the report.
const keyShown = 256

// An Observation is what one record says.
type Observation struct {
	Key       []byte
	Partition int32
	Offset    int64
	Time      int64 // ms
	PID       int64 // the producer's id; -1: none
	PEpoch    int16
	Numbered  bool
	Number    int64
	Writer    uint32 // of sequence headers, by its place in the list of writers; 0: none
	Epoch     int64  // of that writer

	id keyID
}

// append writes it for a spill file.
func (o *Observation) append(b []byte) []byte {
	b = append(b, o.id[:]...)
	flags := byte(0)
	if o.Numbered {
		flags = 1
	}
	b = append(b, flags)
	for _, v := range [...]int64{int64(o.Partition), o.Offset, o.Time, o.PID, int64(o.PEpoch), o.Number, int64(o.Writer), o.Epoch} {
		b = binary.AppendVarint(b, v)
	}
	key := o.Key[:min(len(o.Key), keyShown)]
	b = binary.AppendUvarint(b, uint64(len(key)))
	return append(b, key...)
}

var errSpill = errors.New("a spill file is damaged")

// A decoder reads what append functions wrote; the first error stays.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.err = nil, errSpill
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.b, d.err = nil, errSpill
		return make([]byte, max(0, min(n, 16)))
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) text() []byte {
	n, used := binary.Uvarint(d.b)
	if used <= 0 || n > keyShown {
		d.b, d.err = nil, errSpill
		return nil
	}
	d.b = d.b[used:]
	return d.bytes(int(n))
}

// observation reads one that append wrote, all of b.
func observation(b []byte) (Observation, error) {
	d := decoder{b: b}
	var o Observation
	copy(o.id[:], d.bytes(len(o.id)))
	o.Numbered = d.bytes(1)[0] == 1
	o.Partition, o.Offset, o.Time, o.PID, o.PEpoch = int32(d.int()), d.int(), d.int(), d.int(), int16(d.int())
	o.Number, o.Writer, o.Epoch = d.int(), uint32(d.int()), d.int()
	o.Key = d.text()
	return o, d.err
}
