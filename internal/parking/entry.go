package parking

import (
	"encoding/hex"
	"errors"
)

// A Kind says what an entry of the parking topic is.
type Kind string

const (
	KindMarker   Kind = "marker"   // an owner begins: entries of lower tokens behind it are void
	KindParked   Kind = "parked"   // a record of the source topic, whole
	KindRun      Kind = "run"      // records that follow parked ones of their key, whole
	KindResolved Kind = "resolved" // parked records of a key are done, or skipped
	KindTried    Kind = "tried"    // a parked record failed again
	KindSettled  Kind = "settled"  // all records of a key below an offset are parked or done
	KindProgress Kind = "progress" // attempts of unsettled records, and what is done ahead
	KindCommand  Kind = "command"  // an operator asks for something
	KindAnswer   Kind = "answer"   // what became of it
)

// An Entry is one record of the parking topic. All but commands carry the
// fencing token of the owner that wrote them and a number that the owner counts
// up from its marker on, by which it knows its own again.
type Entry struct {
	Kind  Kind
	Token int64
	Seq   int64

	Key    []byte // the ordering key; nil is none
	Offset int64  // in the source partition; what it means, the kind says
	// After is the rule "only when all its lower source offsets are settled", in a
	// form that a reader can check: the entry counts only where all records of the
	// key below After are known to be settled. 0 asks for nothing.
	After int64

	Marker   *MarkerBody
	Parked   *ParkedBody
	Run      *RunBody
	Resolved *ResolvedBody
	Tried    *TriedBody
	Progress *ProgressBody
	Command  *CommandBody
	Answer   *AnswerBody
}

// MarkerBody is what an owner says of itself.
type MarkerBody struct {
	Owner    string  `json:"owner"`
	SourceID TopicID `json:"source_id"` // of the source topic
	Scope    string  `json:"scope"`
	OrderBy  string  `json:"order_by"`
	Policy   string  `json:"policy"`
	// The schedule of releases, in milliseconds: for who reads the topic from outside.
	First   int64 `json:"first_ms,omitempty"`
	Longest int64 `json:"longest_ms,omitempty"`
	// Store names the handler whose store keeps what is parked; this topic then has commands
	// alone.
	Store string `json:"store,omitempty"`
}

// A TopicID is Kafka's id of a topic; in JSON it is hexadecimal.
type TopicID [16]byte

// MarshalText implements encoding.TextMarshaler.
func (t TopicID) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(t[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *TopicID) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err == nil && len(raw) != len(t) {
		err = errors.New("a topic id has 32 hexadecimal digits")
	}
	copy(t[:], raw)
	return err
}

// ParkedBody is a record of the source topic and why it is here. Entry.Offset is
// its offset.
type ParkedBody struct {
	Record    Record  `json:"-"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Timestamp int64   `json:"timestamp"` // of the source record, in milliseconds
	Failure   Failure `json:"failure"`   // without attempts: it only followed another one
}

// A Record is what a record of the source topic holds, byte for byte; nil and
// empty are kept apart.
type Record struct {
	Key, Value []byte
	Headers    []Header
}

// A Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Failure is how a record failed. Times are in milliseconds.
type Failure struct {
	Cause     string `json:"cause,omitempty"`
	Permanent bool   `json:"permanent,omitempty"` // waits for an operator
	Attempts  int    `json:"attempts,omitempty"`
	First     int64  `json:"first,omitempty"`
	Last      int64  `json:"last,omitempty"`
	Releases  int    `json:"releases,omitempty"` // that failed at this record since it was parked
}

// ResolvedBody says that the parked records of the key from Entry.Offset to Last
// are done, or skipped.
type ResolvedBody struct {
	Last    int64  `json:"last"`
	Skipped bool   `json:"skipped,omitempty"`
	By      string `json:"by,omitempty"` // the id of the command
	Reason  string `json:"reason,omitempty"`
}

// TriedBody says that the parked record at Entry.Offset failed again.
type TriedBody struct {
	Failure Failure `json:"failure"`
}

// ProgressBody is what does not fit the metadata of a commit: a note (note.go).
type ProgressBody struct {
	Attempts []Attempts `json:"-"`
	UpTo     int64      `json:"up_to,omitempty"` // nothing is said about offsets from here on
	Ahead    []Span     `json:"-"`               // done: sorted, apart
}

// Attempts is how often the record at Offset was tried.
type Attempts struct {
	Offset int64
	Count  int
}

// A Span is the offsets from From to before To.
type Span struct {
	From, To int64
}

// A Verb is what an operator asks for.
type Verb string

const (
	Retry  Verb = "retry"  // release the key now
	Skip   Verb = "skip"   // the record counts as done
	Park   Verb = "park"   // the blocked head of the key is parked
	Pause  Verb = "pause"  // of the key, or of the partition
	Resume Verb = "resume" // the same

	// ResetOffsets asks for nothing: it says that an operator moves the group's offsets,
	// who and why. The next owner answers it, so that it stays readable.
	ResetOffsets Verb = "reset-offsets"
)

// CommandBody is what an operator asks for. Entry.Key and Entry.Offset name the
// record.
type CommandBody struct {
	ID     string `json:"id"`
	Verb   Verb   `json:"verb"`
	Whole  bool   `json:"whole,omitempty"` // the partition, not a key: pause and resume
	Who    string `json:"who"`
	When   int64  `json:"when"`
	Reason string `json:"reason,omitempty"`
	// N is the command's place, in the copy that a trim makes and in its answer: one behind
	// where it stood first. (Releases before wrote the place among those not answered.)
	N int64 `json:"n,omitempty"`
}

// AnswerBody repeats the command, so that it can be read without it: an answer
// outlives its command, and the answer to a pause is the pause.
type AnswerBody struct {
	Command CommandBody `json:"command"`
	State   AnswerState `json:"state"`
	Result  string      `json:"result,omitempty"`
	At      int64       `json:"at"`
	N       int64       `json:"n"` // answers are counted: a copy keeps its place among them
}

// An AnswerState is how far a command has come. Without an answer it is
// requested.
type AnswerState string

const (
	Accepted AnswerState = "accepted" // the owner has begun
	Done     AnswerState = "done"
	Refused  AnswerState = "refused"
)

// final reports whether nothing more follows.
func (s AnswerState) final() bool { return s != Accepted }
