package history

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Kind says what an event reports. See the package comment for what each means
// and when it is recorded.
type Kind string

// The kinds of events.
const (
	Log     Kind = "log"
	Own     Kind = "own"
	Release Kind = "release"
	Lost    Kind = "lost"
	Kill    Kind = "kill"
	Freeze  Kind = "freeze"
	Thaw    Kind = "thaw"
	Start   Kind = "start"
	End     Kind = "end"
	Park    Kind = "park"
	Done    Kind = "done"
	Commit  Kind = "commit"
	Effect  Kind = "effect"

	// Those of an experiment, since version 2.
	Send    Kind = "send"
	Ack     Kind = "ack"
	Fail    Kind = "fail"
	Unclear Kind = "unclear"
	LogRead Kind = "read"
	Assign  Kind = "assign"
	Revoke  Kind = "revoke"
	Poll    Kind = "poll"
	Did     Kind = "did"
	Fault   Kind = "fault"
)

// Event is one line of a history. Which fields count depends on the kind; the
// others are not written to a file.
type Event struct {
	N         int64 // given by the Recorder; 0 in a list means: the next number
	At        int64 // nanoseconds, of any clock; 0 is unknown. For people only
	Kind      Kind
	Member    string
	Topic     string
	Partition int32
	Offset    int64
	Key       Key
	Number    int64 // the record's own number within its key (and writer and epoch); 0 is none
	Token     int64
	Attempt   int
	Batch     int64   // starts of one member with the same Batch, not 0, are one handler call
	OK        bool    // the handler returned without error
	Cancelled bool    // end: its result was discarded; did: given up, not processed
	Ahead     []int64 // settled offsets above a commit's offset, as the commit says
	Why       string

	// Since version 2.
	Writer string // one producer: with Epoch, Key and Number it names a record
	Epoch  int64  // of the writer: a higher one replaces it
}

// field is a set of the fields that a kind has.
type field uint32

const (
	fMember field = 1 << iota
	fPlace        // topic and partition
	fOffset
	fKey
	fNumber
	fToken
	fAttempt
	fBatch
	fOK
	fCancelled
	fAhead
	fWhy
	fWriter
	fEpoch
	fTopic // without a partition
)

// fRecord is what names a record whatever its place; see Event.Writer.
const fRecord = fKey | fNumber | fWriter | fEpoch

// shape says which fields a kind must have and which it may have.
type shape struct{ must, may field }

var shapes = map[Kind]shape{
	Log:     {fPlace | fOffset | fKey, fNumber},
	Own:     {fMember | fPlace | fToken, 0},
	Release: {fMember | fPlace, fToken},
	Lost:    {fMember | fPlace, fToken},
	Kill:    {fMember, 0},
	Freeze:  {fMember, fPlace},
	Thaw:    {fMember, 0},
	Start:   {fMember | fPlace | fOffset | fKey | fToken | fAttempt, fBatch},
	End:     {fMember | fPlace | fOffset | fToken | fAttempt | fOK, fCancelled},
	Park:    {fMember | fPlace | fOffset, fToken},
	Done:    {fMember | fPlace | fOffset | fWhy, fToken},
	Commit:  {fMember | fPlace | fOffset, fAhead | fToken},
	Effect:  {fMember | fPlace | fOffset | fKey | fToken, 0},

	Send:    {fTopic | fKey | fNumber, fWriter | fEpoch},
	Ack:     {fTopic | fKey | fNumber, fPlace | fOffset | fWriter | fEpoch},
	Fail:    {fTopic | fKey | fNumber, fWriter | fEpoch | fWhy},
	Unclear: {fTopic | fKey | fNumber, fWriter | fEpoch | fWhy},
	LogRead: {fPlace | fOffset | fKey, fNumber | fWriter | fEpoch},
	Assign:  {fMember | fPlace, 0},
	Revoke:  {fMember | fPlace, 0},
	Poll:    {fMember | fPlace | fOffset | fKey, fNumber | fWriter | fEpoch},
	Did:     {fMember | fPlace | fOffset | fKey, fNumber | fWriter | fEpoch | fCancelled},
	Fault:   {fWhy, fTopic | fPlace | fRecord},
}

// since is the version that brought a kind, where it is not 1.
var since = map[Kind]int{
	Send: 2, Ack: 2, Fail: 2, Unclear: 2, LogRead: 2, Assign: 2, Revoke: 2, Poll: 2, Did: 2, Fault: 2,
}

// located says whether an event of a kind that may have a place has one: an ack
// may come without an offset, and a fault may hit no partition in particular.
func (e *Event) located() bool { return e.Partition >= 0 && e.Offset >= 0 }

// maxNumber bounds numbers and offsets of an experiment's records, so that one
// more is a number, too.
const maxNumber = math.MaxInt64 - 1

// fault is a rule that an event or a line breaks.
type fault struct{ rule, text string }

// fault tells why the event cannot stand in any history, or nil.
func (e *Event) fault() *fault {
	s, ok := shapes[e.Kind]
	if !ok {
		return &fault{"kind", fmt.Sprintf("event kind %q is unknown in version %d", e.Kind, Version)}
	}
	has := s.must | s.may
	if since[e.Kind] > 1 {
		if f := e.recordFault(s); f != nil {
			return f
		}
		has &^= fPlace | fOffset // judged there
	}
	switch {
	case s.must&fMember != 0 && e.Member == "":
		return &fault{"member", fmt.Sprintf("%s names no member (m)", e.Kind)}
	case s.must&fPlace != 0 && e.Topic == "":
		return &fault{"topic", fmt.Sprintf("%s names no topic (t)", e.Kind)}
	case has&fPlace != 0 && e.Partition < 0:
		return &fault{"range", fmt.Sprintf("partition %d of %s is negative", e.Partition, e.Kind)}
	case has&fOffset != 0 && e.Offset < 0:
		return &fault{"range", fmt.Sprintf("offset %d of %s is negative", e.Offset, e.Kind)}
	case has&fToken != 0 && e.Token < 0:
		return &fault{"range", fmt.Sprintf("token %d of %s is negative", e.Token, e.Kind)}
	case has&fAttempt != 0 && e.Attempt < 0:
		return &fault{"range", fmt.Sprintf("attempt %d of %s is negative", e.Attempt, e.Kind)}
	case !utf8.ValidString(e.Member) || !utf8.ValidString(e.Topic) || !utf8.ValidString(e.Why) || !utf8.ValidString(e.Writer):
		return &fault{"utf-8", fmt.Sprintf("member, topic, writer and why of %s must be UTF-8", e.Kind)}
	}
	if has&fAhead != 0 {
		for _, o := range e.Ahead {
			if o < e.Offset {
				return &fault{"range", fmt.Sprintf("done-ahead offset %d is below the committed offset %d", o, e.Offset)}
			}
		}
	}
	return nil
}

// recordFault judges the fields that name a record of an experiment.
func (e *Event) recordFault(s shape) *fault {
	switch {
	case s.must&fTopic != 0 && e.Topic == "":
		return &fault{"topic", fmt.Sprintf("%s names no topic (t)", e.Kind)}
	case s.must&fPlace != 0 && e.Partition < 0:
		return &fault{"range", fmt.Sprintf("partition %d of %s is negative", e.Partition, e.Kind)}
	case s.must&fOffset != 0 && (e.Offset < 0 || e.Offset > maxNumber):
		return &fault{"range", fmt.Sprintf("offset %d of %s is not from 0 to %d", e.Offset, e.Kind, int64(maxNumber))}
	case e.Kind == Ack && e.located() != (e.Partition >= 0 || e.Offset >= 0) || e.Offset > maxNumber:
		return &fault{"range", fmt.Sprintf("ack at partition %d, offset %d: both are told, from 0 up, or neither", e.Partition, e.Offset)}
	case e.Partition < -1 || e.Offset < -1:
		return &fault{"range", fmt.Sprintf("partition %d, offset %d of %s: neither may be negative", e.Partition, e.Offset, e.Kind)}
	case s.must&fNumber != 0 && e.Number == 0:
		return &fault{"range", fmt.Sprintf("%s needs the record's number within its key (i), from 1 up", e.Kind)}
	case e.Number < 0 || e.Number > maxNumber:
		return &fault{"range", fmt.Sprintf("number %d of %s is not from 1 to %d", e.Number, e.Kind, int64(maxNumber))}
	case e.Epoch < 0:
		return &fault{"range", fmt.Sprintf("writer epoch %d of %s is negative", e.Epoch, e.Kind)}
	case e.Kind == Fault && e.Why == "":
		return &fault{"fields", "fault does not say its kind (w)"}
	}
	return nil
}
