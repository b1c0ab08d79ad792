package deadletter

import (
	"fmt"
	"strconv"
)

// Names of the headers of a record that was sent back from a dead-letter topic.
// They say which dead letter it was, and how often this has happened, so that it
// is not sent round for ever.
const (
	RedrivenFrom = "orderly-redriven-from" // topic/partition/offset of the dead letter
	RedrivenOf   = "orderly-redriven-of"   // topic/partition/offset of the record that failed
	Redrives     = "orderly-redrives"      // how often: 1, 2, 3 ...
)

// Sequence headers number the records of a writer; one that was sent back is at
// another place than its number says.
const (
	seqWriter = "orderly-writer"
	seqEpoch  = "orderly-epoch"
	seqNumber = "orderly-seq"
)

// Count is how often the record was sent back already.
func Count(hs []Header) int {
	n := 0
	for _, h := range hs {
		if h.Key == Redrives {
			if v, err := strconv.Atoi(string(h.Value)); err == nil {
				n = max(n, v)
			}
		}
	}
	return n
}

// Redriven are the headers of a dead letter that is sent back: without those of
// the dead letter and the writer's sequence, with those that say where it was.
func Redriven(hs []Header, dlt string, partition int32, offset int64, of Letter) []Header {
	count := Count(hs) + 1
	var out []Header
	for _, h := range hs {
		switch {
		case Ours(h.Key), h.Key == RedrivenFrom, h.Key == RedrivenOf, h.Key == Redrives,
			h.Key == seqWriter, h.Key == seqEpoch, h.Key == seqNumber:
		default:
			out = append(out, h)
		}
	}
	return append(out,
		Header{RedrivenFrom, fmt.Appendf(nil, "%s/%d/%d", dlt, partition, offset)},
		Header{RedrivenOf, fmt.Appendf(nil, "%s/%d/%d", of.Topic, of.Partition, of.Offset)},
		Header{Redrives, []byte(strconv.Itoa(count))})
}
