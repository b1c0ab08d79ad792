package orderly

import "log/slog"

// SequenceEvent tells what the sequence guard found out about a record.
type SequenceEvent struct {
	Topic        string
	Partition    int32
	Offset       int64
	Key          []byte
	FencingToken int64
	Finding      string // SequenceDuplicate, SequenceGap, SequenceLate, SequenceZombie or SequenceUnsure
	Writer       string // empty: the numbers are the data's own
	Epoch        int64  // of the writer
	Number       int64
	Last         int64 // the highest number before
	Missing      int64 // SequenceGap: how many numbers are missing
	Highest      int64 // SequenceZombie: the writer's highest epoch
}

// A SequenceState is what the sequence guard knows of a partition.
type SequenceState struct {
	Keys      int   // whose numbers are remembered
	Forgotten int64 // keys that made room for others under this ownership
}

var sequenceLines = map[string]string{
	SequenceDuplicate: "a record's number came before, and is done: it is skipped as a duplicate",
	SequenceGap:       "numbers before a record's are missing",
	SequenceLate:      "a record fills a gap in the numbers of its key, late",
	SequenceZombie:    "a record is of a writer that was replaced: its epoch is lower than another of that writer's",
	SequenceUnsure:    "a record's number is not above the last one, and whether it came before is not known",
}

// sequence reports what was found out about a record.
func (r reporter) sequence(m *Message, j judged) {
	e := SequenceEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, FencingToken: m.FencingToken,
		Finding: j.Finding.String(), Writer: j.n.Writer, Epoch: j.n.Epoch, Number: j.n.N, Last: j.Last, Missing: j.Missing, Highest: j.Highest}
	args := []any{"number", e.Number, "last", e.Last}
	if e.Writer != "" {
		args = append(args, "writer", e.Writer, "epoch", e.Epoch)
	}
	if e.Missing > 0 {
		args = append(args, "missing", e.Missing)
	}
	if e.Highest > 0 {
		args = append(args, "highest_epoch", e.Highest)
	}
	r.about(slog.LevelWarn, sequenceLines[e.Finding], m, args...)
	if f := r.cfg.Events.Sequence; f != nil {
		f(e)
	}
}
