package localbroker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	batchPrefix = 12      // first offset and length, which the length does not count
	maxBatch    = 1 << 30 // a longer one is taken for damage, as kfake does

	attrTransactional = 0x10
	attrControl       = 0x20
)

// A segmentEnd says how far a segment is good.
type segmentEnd struct {
	good int64 // bytes of whole, valid batches

	// damaged: behind good stands a batch that is all there and wrong. What is
	// only cut off was being written when the process died and was never
	// acknowledged; damage may hide acknowledged records.
	damaged bool
}

// scanSegment calls fn for each batch until the first that is not valid, by the
// same rules as kfake, which drops all from there on. The batch is overwritten
// by the next one.
func scanSegment(s segmentFile, fn func(*kmsg.RecordBatch) error) (segmentEnd, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return segmentEnd{}, err
	}
	defer func() { _ = f.Close() }()
	var (
		end   segmentEnd
		r     = bufio.NewReaderSize(f, 1<<20)
		buf   = make([]byte, batchPrefix)
		batch kmsg.RecordBatch
	)
	for s.size-end.good >= batchPrefix {
		if _, err := io.ReadFull(r, buf[:batchPrefix]); err != nil {
			return end, err
		}
		length := int64(binary.BigEndian.Uint32(buf[8:]))
		total := batchPrefix + length
		switch {
		case length > maxBatch:
			end.damaged = true
			return end, nil
		case end.good+total > s.size:
			return end, nil
		}
		if int64(cap(buf)) < total {
			buf = append(make([]byte, 0, total), buf[:batchPrefix]...)
		}
		buf = buf[:total]
		if _, err := io.ReadFull(r, buf[batchPrefix:]); err != nil {
			return end, err
		}
		if !valid(buf) || batch.ReadFrom(buf) != nil {
			end.damaged = true
			return end, nil
		}
		if err := fn(&batch); err != nil {
			return end, err
		}
		end.good += total
	}
	return end, nil
}

func valid(raw []byte) bool {
	return len(raw) >= 21 && binary.BigEndian.Uint32(raw[17:]) == crc32.Checksum(raw[21:], castagnoli)
}

// cut drops what stands behind good. Damage is kept beside the segment first:
// a person may find records in it.
func (s segmentFile) cut(end segmentEnd) (keptAs string, err error) {
	if end.damaged {
		keptAs = s.path + ".damaged"
		if err := copyTail(keptAs, s.path, end.good); err != nil {
			return "", err
		}
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	return keptAs, errors.Join(f.Truncate(end.good), f.Sync(), f.Close())
}

// copyTail appends: an earlier damage of the same segment stays.
func copyTail(to, from string, offset int64) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	if _, err := src.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}
