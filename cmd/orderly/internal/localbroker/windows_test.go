package localbroker

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func batch(offset, pid int64, epoch int16, seq, records int32) *kmsg.RecordBatch {
	return &kmsg.RecordBatch{FirstOffset: offset, LastOffsetDelta: records - 1, NumRecords: records, ProducerID: pid, ProducerEpoch: epoch, FirstSequence: seq}
}

func follow(bs ...*kmsg.RecordBatch) *partitionLog {
	l := newPartitionLog(&partitionDir{topic: "t"})
	for _, b := range bs {
		l.add(b)
	}
	return l
}

func TestWindowKeepsTheLastFive(t *testing.T) {
	l := newPartitionLog(&partitionDir{topic: "t"})
	for n := range int64(7) {
		l.add(batch(2*n, 1, 0, int32(2*n), 2))
	}
	w := l.windows[1]
	if w.Count != 5 || w.At != 2 || w.NextSeq != 14 || w.Entries != [5]seqBatch{{10, 12, 10}, {12, 14, 12}, {4, 6, 4}, {6, 8, 6}, {8, 10, 8}} {
		t.Errorf("%+v", w)
	}
}

func TestWindowBeginsAnewWithAnEpoch(t *testing.T) {
	l := follow(batch(0, 1, 0, 0, 5), batch(5, 1, 0, 5, 5), batch(10, 1, 3, 0, 1))
	if w := l.windows[1]; w.Epoch != 3 || w.Count != 1 || w.At != 1 || w.NextSeq != 1 || w.Entries[0] != (seqBatch{0, 1, 10}) {
		t.Errorf("%+v", w)
	}
	if l.plain[1] != 3 {
		t.Errorf("epoch %d", l.plain[1])
	}
}

func TestSequenceNumbersWrapAround(t *testing.T) {
	l := follow(batch(0, 1, 0, math.MaxInt32-2, 5))
	if got := l.windows[1].NextSeq; got != 3 {
		t.Errorf("%d", got)
	}
}

// Behind a gap, and at a batch that lost records, windows are not known: one
// that is too old would refuse its producer for good.
func TestGapsForgetWindows(t *testing.T) {
	l := follow(batch(0, 1, 0, 0, 5), batch(5, 2, 0, 0, 5), batch(12, 2, 0, 7, 1))
	if l.gaps != 1 || l.windows[1] != nil || l.windows[2] == nil || l.windows[2].Count != 1 {
		t.Errorf("%d gaps, %+v", l.gaps, l.windows)
	}
	thinned := batch(5, 2, 0, 0, 5)
	thinned.NumRecords = 3
	l = follow(batch(0, 1, 0, 0, 5), thinned, batch(10, 3, 0, 0, 1))
	if l.gaps != 1 || len(l.windows) != 1 || l.windows[3] == nil {
		t.Errorf("%d gaps, %+v", l.gaps, l.windows)
	}
}

// Producers that kfake does not know, or not in their epoch, are added to its
// list; transactional ones are not touched.
func TestMissingProducers(t *testing.T) {
	known := replayPIDs([][]byte{
		[]byte(`{"type":"init","pid":1,"epoch":4}`),
		[]byte(`{"type":"init","pid":2,"epoch":1}`),
		[]byte(`{"type":"init","pid":3,"epoch":1,"txid":"x"}`),
		[]byte(`{"type":"endtx","pid":3,"epoch":2}`),
		[]byte(`not an entry`),
	})
	add, n, err := missingPIDs(known, map[int64]int16{1: 4, 2: 2, 3: 9, 4: 0})
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	for pid, s := range replayPIDs(split(t, add)) {
		known[pid] = s
	}
	if known[2].epoch != 2 || known[3].epoch != 2 || !known[3].transactional {
		t.Errorf("%+v", known)
	}
	if _, ok := known[4]; !ok {
		t.Errorf("%+v", known)
	}
}
