package orderly

import (
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A SequenceGuard watches the numbers of the records of each key, and says when one
// came twice, one is missing, or a writer was replaced and does not know it. It is on
// when Headers, Field or Number is set. docs/sequence-headers.md has the rules.
//
// What it has seen it forgets when the partition leaves: the next owner learns the
// numbers anew, and skips nothing that it has not itself seen done. With Effects it is
// kept with the positions, where the store can (store.Sequencer: store/postgres and
// store/sqlite), and the next owner goes on.
type SequenceGuard struct {
	// Headers takes writer, writer epoch and number from the headers that
	// ProducerConfig.Sequence writes. Records that do not have them pass.
	Headers bool
	// Field is the path of the number in the record's value, which is JSON, as
	// .order.version: a whole number that is not negative, also in quotes. Where the
	// key's numbers are the data's own. Records without a value pass.
	Field string
	// Number returns a record's number, which must not be negative, or ErrNotNumbered
	// for a record that has none and passes. It must give the same number for the same
	// record at any time, and is called from several goroutines.
	Number func(r *kgo.Record) (int64, error)
	// OnGap is what becomes of a record before which numbers are missing. Default
	// GapDetect.
	OnGap GapPolicy
	// Keys is how many keys of a partition are remembered, those that were seen last,
	// about 200 bytes each. One that was forgotten is as one that was never seen:
	// nothing of it is skipped. A store keeps at most twice as many. Default 100,000.
	Keys int
}

// ErrNotNumbered is what SequenceGuard.Number returns for a record that has no number.
var ErrNotNumbered = errors.New("orderly: the record has no number")

// A GapPolicy says what becomes of a record before which numbers are missing. A late
// record that fills a gap is never skipped.
type GapPolicy string

const (
	// GapDetect: it is counted, logged, and handed over. The default.
	GapDetect GapPolicy = "detect"
	// GapPark: the record is parked without a call of its handler, and the later ones
	// of its key follow, until an operator releases the key: then it is handed over.
	// Records without an ordering key block instead. It needs the parking topic (see
	// Parking), or with Effects the store alone.
	GapPark GapPolicy = "park"
	// GapIgnore: numbers rise and leave some out, as offsets do: none is missing, and one
	// that is not above the last is a duplicate.
	GapIgnore GapPolicy = "ignore"
	// GapStop: Run ends with a StopError whose cause is a SequenceGapError. A new start
	// goes on with that record; where a store keeps the numbers it stops there again.
	GapStop GapPolicy = "stop"
)

// Findings of the sequence guard, in SequenceEvent.Finding.
const (
	// SequenceDuplicate: a record with this number is done. This one is skipped.
	SequenceDuplicate = "duplicate"
	// SequenceGap: numbers before this one have not come.
	SequenceGap = "gap"
	// SequenceLate: it fills a gap. It is handed over.
	SequenceLate = "late"
	// SequenceZombie: a higher epoch of its writer was seen. It is handed over.
	SequenceZombie = "zombie"
	// SequenceUnsure: it is not above the last number, and whether it has come before
	// was forgotten, or never known. It is handed over.
	SequenceUnsure = "unsure"
)

// A SequenceGapError is the cause when a record is parked, or Run ends, because numbers
// before its own are missing.
type SequenceGapError struct {
	Writer  string // empty: the numbers are the data's own
	Epoch   int64
	Number  int64 // the record's
	Last    int64 // the highest before it
	Missing int64 // how many are missing
}

// Error names the numbers and the way out.
func (e *SequenceGapError) Error() string {
	of := ""
	if e.Writer != "" {
		of = fmt.Sprintf(" of writer %q in epoch %d", e.Writer, e.Epoch)
	}
	return fmt.Sprintf("sequence gap: number %d%s comes after %d, %d missing; when they are not to come any more, release the key if it is parked, or set Sequence.OnGap to %q",
		e.Number, of, e.Last, e.Missing, GapDetect)
}

func (s *SequenceGuard) on() bool { return s.Headers || s.Field != "" || s.Number != nil }

func (s *SequenceGuard) defaults() {
	if s.on() {
		orDefault(&s.OnGap, GapDetect)
		orDefault(&s.Keys, 100_000)
	}
}

func (s *SequenceGuard) problems(bad func(string, ...any)) {
	if !s.on() {
		if s.OnGap != "" || s.Keys != 0 {
			bad("Sequence has settings and none of Headers, Field and Number: say where the numbers are, or remove them")
		}
		return
	}
	n := 0
	for _, set := range []bool{s.Headers, s.Field != "", s.Number != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		bad("Sequence has %d of Headers, Field and Number: a record's number is in one place", n)
	}
	if s.Field != "" {
		if _, err := fieldpath.Parse(s.Field); err != nil {
			bad("Sequence.Field: %v", err)
		}
	}
	switch s.OnGap {
	case GapDetect, GapPark, GapStop, GapIgnore:
	default:
		bad("Sequence.OnGap is %q: it must be %q, %q, %q or %q", s.OnGap, GapDetect, GapPark, GapStop, GapIgnore)
	}
	within(bad, true, "Sequence.Keys", s.Keys, 1, 100_000_000)
}

// parks says that records may be parked on Kafka.
func (c *ConsumerConfig) parks() bool {
	return !c.Effects.on() && (c.OnExhausted == PolicyPark || c.Sequence.OnGap == GapPark)
}
