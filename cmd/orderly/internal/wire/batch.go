package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A Batch is the header of a record batch: what its writer and its leader said
// about it.
type Batch struct {
	FirstOffset, LastOffset int64
	LeaderEpoch             int32 // -1: not known
	Magic                   int8
	Attributes              int16
	FirstTime, MaxTime      time.Time
	ProducerID              int64 // -1: the writer is not idempotent
	ProducerEpoch           int16
	Sequence                int32 // of the first record, -1 without a producer id
	Records                 int32 // that are left in it; compaction takes some
	Bytes                   int   // with its header
}

// Transactional says that the batch is part of a transaction.
func (b Batch) Transactional() bool { return b.Attributes&0x10 != 0 }

// Control says that it is a broker's marker, and not a writer's records.
func (b Batch) Control() bool { return b.Attributes&0x20 != 0 }

// LogAppendTime says that its times are the broker's.
func (b Batch) LogAppendTime() bool { return b.Attributes&0x08 != 0 }

// Idempotent says that its writer has a producer id.
func (b Batch) Idempotent() bool { return b.ProducerID >= 0 }

// After is the sequence number that follows the batch's last one.
func (b Batch) After() int32 { return addSequence(b.Sequence, int32(b.LastOffset-b.FirstOffset)+1) }

// addSequence counts as the brokers do: after the highest number comes 0.
func addSequence(s, n int32) int32 { return int32((int64(s) + int64(n)) & 0x7fffffff) }

const (
	prefixLen = 17 // offset, length, leader epoch or CRC, magic
	headerLen = 61
	oldestLen = 26 // a record of message format 0 with neither key nor value
)

// A BatchError says that bytes of a log are no record batches.
type BatchError struct {
	At  int // in the bytes that were given
	Why string
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("byte %d of what was fetched is no record batch: %s", e.At, e.Why)
}

// Batches calls each for every batch in what a broker gave, and returns how many
// bytes they were. The last one may be cut off, as brokers send as much as was asked
// for: that is no error, and it is left out.
func Batches(raw []byte, each func(Batch)) (int, error) {
	at := 0
	for len(raw)-at >= prefixLen {
		in := raw[at:]
		length := int64(int32(binary.BigEndian.Uint32(in[8:])))
		whole := length + 12
		if length < prefixLen-12 {
			return at, &BatchError{at, fmt.Sprintf("its length is %d", length)}
		}
		if whole > int64(len(in)) {
			return at, nil
		}
		b, err := header(in[:whole])
		if err != "" {
			return at, &BatchError{at, err}
		}
		each(b)
		at += int(whole)
	}
	return at, nil
}

// header reads the header of a batch that is there as a whole.
func header(in []byte) (Batch, string) {
	be := binary.BigEndian
	first := int64(be.Uint64(in))
	b := Batch{FirstOffset: first, LastOffset: first, LeaderEpoch: -1, Magic: int8(in[16]), ProducerID: -1, ProducerEpoch: -1, Sequence: -1, Bytes: len(in)}
	switch b.Magic {
	case 0, 1:
		// A message, or a compressed set of them with the offset of the last; such
		// formats know no producers. Kafka 4 does not serve them any more.
		if len(in) < oldestLen {
			return b, fmt.Sprintf("%d bytes are too few for a message of format %d", len(in), b.Magic)
		}
		b.Records = 1
		if b.Magic == 1 && len(in) >= 26 {
			b.FirstTime = time.UnixMilli(int64(be.Uint64(in[18:])))
			b.MaxTime = b.FirstTime
		}
		return b, ""
	case 2:
	default:
		return b, fmt.Sprintf("its format is %d, and formats 0 to 2 are known", b.Magic)
	}
	if len(in) < headerLen {
		return b, fmt.Sprintf("%d bytes are too few for a header of %d", len(in), headerLen)
	}
	b.LeaderEpoch = int32(be.Uint32(in[12:]))
	b.Attributes = int16(be.Uint16(in[21:]))
	delta := int32(be.Uint32(in[23:]))
	b.FirstTime, b.MaxTime = time.UnixMilli(int64(be.Uint64(in[27:]))), time.UnixMilli(int64(be.Uint64(in[35:])))
	b.ProducerID, b.ProducerEpoch, b.Sequence = int64(be.Uint64(in[43:])), int16(be.Uint16(in[51:])), int32(be.Uint32(in[53:]))
	b.Records = int32(be.Uint32(in[57:]))
	if delta < 0 || first < 0 || first > 1<<63-1-int64(delta) || b.Records < 0 {
		return b, fmt.Sprintf("offset %d with %d records to %d behind it cannot be", first, b.Records, delta)
	}
	b.LastOffset = first + int64(delta)
	return b, ""
}
