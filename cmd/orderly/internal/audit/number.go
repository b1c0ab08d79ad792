package audit

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/orderly-go/orderly/internal/fieldpath"
)

// A Numbering is where the number of a record stands. The zero value is orderly's own
// sequence headers.
type Numbering struct {
	Field  *fieldpath.Path // of the JSON value
	Header string
	ByTime bool
}

func (n Numbering) String() string {
	switch {
	case n.Field != nil:
		return "the number at " + n.Field.String() + " of the JSON value"
	case n.Header != "":
		return "the number in the header " + n.Header
	case n.ByTime:
		return "the time of the record"
	}
	return "orderly's sequence headers"
}

func (n Numbering) own() bool { return n.Field == nil && n.Header == "" && !n.ByTime }

// mostNumber bounds numbers, so that one more is always one more.
const mostNumber = 1 << 62

// Names of orderly's headers (docs/sequence-headers.md).
const (
	headerWriter = "orderly-writer"
	headerEpoch  = "orderly-epoch"
	headerSeq    = "orderly-seq"
)

// read finds the number of a record with this value; header gives the value of a
// header that is there once. writer is of orderly's headers.
func (n Numbering) read(o *Observation, value []byte, header func(name string) []byte) (writer []byte) {
	switch {
	case n.ByTime:
		o.Numbered, o.Number = true, o.Time
	case n.Field != nil:
		if json.Valid(value) {
			if raw, err := n.Field.Find(value); err == nil {
				o.Number, o.Numbered = whole(raw)
			}
		}
	case n.Header != "":
		raw := header(n.Header)
		if o.Number, o.Numbered = whole(raw); !o.Numbered {
			o.Number, o.Numbered = bigEndian(raw)
		}
	default:
		writer = header(headerWriter)
		epoch, okEpoch := bigEndian(header(headerEpoch))
		seq, okSeq := bigEndian(header(headerSeq))
		if len(writer) > 0 && len(writer) <= 64 && okEpoch && okSeq && epoch > 0 && seq > 0 {
			o.Numbered, o.Number, o.Epoch = true, seq, epoch
			return writer
		}
		return nil
	}
	return nil
}

// whole reads a whole number, also one in quotes.
func whole(raw []byte) (int64, bool) {
	if len(raw) > 2 && raw[0] == '"' && raw[len(raw)-1] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	if len(raw) == 0 || len(raw) > 20 || raw[0] == '+' {
		return 0, false
	}
	v, err := strconv.ParseInt(string(raw), 10, 64)
	return v, err == nil && v < mostNumber && v > -mostNumber
}

func bigEndian(raw []byte) (int64, bool) {
	if len(raw) != 8 {
		return 0, false
	}
	v := binary.BigEndian.Uint64(raw)
	return int64(v), v < mostNumber
}

// ParsePartitions reads "0,3-5".
func ParsePartitions(list []string) (parts []int32, err error) {
	for _, item := range list {
		var from, to int32
		if n, _ := fmt.Sscanf(item, "%d-%d", &from, &to); n == 2 && fmt.Sprintf("%d-%d", from, to) == item {
		} else if n, err := strconv.ParseInt(item, 10, 32); err == nil {
			from, to = int32(n), int32(n)
		} else {
			return nil, fmt.Errorf("%q is no partition: want one like 3, or some like 3-5", item)
		}
		if from < 0 || to < from || to-from > 100_000 {
			return nil, fmt.Errorf("%q are no partitions: want them from 0, the lower first", item)
		}
		for p := from; p <= to; p++ {
			parts = append(parts, p)
		}
	}
	return parts, nil
}
