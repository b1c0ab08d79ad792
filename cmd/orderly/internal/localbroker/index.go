package localbroker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake keeps an entry per batch beside each segment: version, the low byte of
// the checksum of the rest, leader epoch, running maximum of the timestamps, and
// whether the batch is part of a transaction. The segment is written first, so a
// kill can leave one entry less; kfake then reads epoch 0 and "no transaction"
// for that batch, and puts the next entry in the wrong place for good.
const indexEntry = 15

// An indexBuilder makes the entries of one segment after the other from the
// batches themselves, which hold all of it.
type indexBuilder struct {
	buf   []byte
	maxTS int64 // over the whole partition
}

func (x *indexBuilder) next() { x.buf = x.buf[:0] }

func (x *indexBuilder) add(b *kmsg.RecordBatch) {
	x.maxTS = max(x.maxTS, b.MaxTimestamp)
	var e [indexEntry]byte
	e[0] = persistVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(b.PartitionLeaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(x.maxTS))
	if b.Attributes&attrTransactional != 0 && b.Attributes&attrControl == 0 {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	x.buf = append(x.buf, e[:]...)
}

// repair writes the entries when the file has not one good entry per batch.
func (x *indexBuilder) repair(path string) (repaired bool, err error) {
	have, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if len(x.buf) == 0 {
			return false, nil
		}
	case err != nil:
		return false, err
	case len(have) == len(x.buf) && goodIndex(have):
		return false, nil
	}
	return true, writeFile(path, x.buf)
}

func goodIndex(b []byte) bool {
	for ; len(b) >= indexEntry; b = b[indexEntry:] {
		if b[0] != persistVersion || b[1] != byte(crc32.Checksum(b[2:indexEntry], castagnoli)) {
			return false
		}
	}
	return len(b) == 0
}
