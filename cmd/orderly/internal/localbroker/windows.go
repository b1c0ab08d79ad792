package localbroker

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A seqWindow is what a broker knows of one producer in one partition: the next
// sequence number, and the last five batches, which are recognised when they
// come again. It is an entry of kfake's seq_windows.json.
type seqWindow struct {
	PID       int64       `json:"pid"`
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	Entries   [5]seqBatch `json:"entries"`
	Count     uint8       `json:"count,omitempty"`
	At        uint8       `json:"at"`
	Epoch     int16       `json:"epoch"`
	Seen      bool        `json:"seen,omitempty"`
	NextSeq   int32       `json:"next_seq,omitempty"`
}

type seqBatch struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

type windowsFile struct {
	Version int          `json:"version"`
	Windows []*seqWindow `json:"windows"`
}

// add takes a batch as the broker did when it was written.
func (w *seqWindow) add(b *kmsg.RecordBatch) {
	next := int32((int64(b.FirstSequence) + int64(b.NumRecords)) % math.MaxInt32) // kfake's way to wrap around
	if !w.Seen || w.Epoch != b.ProducerEpoch {
		*w = seqWindow{PID: w.PID, Topic: w.Topic, Partition: w.Partition, Seen: true, Epoch: b.ProducerEpoch}
	}
	w.NextSeq = next
	w.Entries[w.At] = seqBatch{b.FirstSequence, next, b.FirstOffset}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
}

// A partitionLog follows the batches of one partition.
type partitionLog struct {
	topic     string
	partition int32

	windows map[int64]*seqWindow
	plain   map[int64]int16 // producers outside transactions, and their highest epoch
	open    map[int64]bool  // producers with a transaction that is not ended
	end     int64           // offset behind the last batch
	batches int
	gaps    int // places where batches, or records in batches, are missing
}

func newPartitionLog(p *partitionDir) *partitionLog {
	return &partitionLog{
		topic: p.topic, partition: p.partition,
		windows: make(map[int64]*seqWindow), plain: make(map[int64]int16), open: make(map[int64]bool),
	}
}

func (l *partitionLog) add(b *kmsg.RecordBatch) {
	// Behind a gap nothing is known of the producers before it: the last batch
	// of one may have been in it (removed by compaction, or lost). A window that
	// is too old refuses the producer's next batch for good; without one a broker
	// takes any number. A gap is also a batch from which records were removed,
	// for its numbers are then not what the producer sent.
	whole := b.LastOffsetDelta+1 == b.NumRecords
	if l.batches > 0 && b.FirstOffset != l.end || !whole {
		clear(l.windows)
		l.gaps++
	}
	l.end = b.FirstOffset + int64(b.LastOffsetDelta) + 1
	l.batches++

	pid := b.ProducerID
	if b.Attributes&attrControl != 0 {
		delete(l.open, pid)
		return
	}
	if pid < 0 {
		return
	}
	if b.Attributes&attrTransactional != 0 {
		l.open[pid] = true
	} else {
		l.plain[pid] = max(l.plain[pid], b.ProducerEpoch)
	}
	if !whole {
		return
	}
	w := l.windows[pid]
	if w == nil {
		w = &seqWindow{PID: pid, Topic: l.topic, Partition: l.partition}
		l.windows[pid] = w
	}
	w.add(b)
}

func encodeWindows(ws []*seqWindow) ([]byte, error) {
	slices.SortFunc(ws, func(a, b *seqWindow) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.PID, b.PID))
	})
	return json.Marshal(windowsFile{persistVersion, ws})
}
