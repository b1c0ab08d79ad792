package history

import (
	"fmt"
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
	Number    int64 // the record's own number within its key; 0 is none
	Token     int64
	Attempt   int
	Batch     int64   // starts of one member with the same Batch, not 0, are one handler call
	OK        bool    // the handler returned without error
	Cancelled bool    // its result was discarded: the record is not done by it
	Ahead     []int64 // settled offsets above a commit's offset, as the commit says
	Why       string
}

// field is a set of the fields that a kind has.
type field uint16

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
)

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
}

// fault is a rule that an event or a line breaks.
type fault struct{ rule, text string }

// fault tells why the event cannot stand in any history, or nil.
func (e *Event) fault() *fault {
	s, ok := shapes[e.Kind]
	if !ok {
		return &fault{"kind", fmt.Sprintf("event kind %q is unknown in version %d", e.Kind, Version)}
	}
	has := s.must | s.may
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
	case !utf8.ValidString(e.Member) || !utf8.ValidString(e.Topic) || !utf8.ValidString(e.Why):
		return &fault{"utf-8", fmt.Sprintf("member, topic and why of %s must be UTF-8", e.Kind)}
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
