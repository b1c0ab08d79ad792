package history

import "slices"

// Outcome is what a producer knows of a record that it sent.
type Outcome int

// The outcomes. A verdict is worth as much as these: a record that is called
// failed and was written makes a false duplicate of its second send, and one
// that is called written and was not makes a false loss.
const (
	OutcomeUnknown Outcome = iota // it may be in the log
	OutcomeAcked                  // it is in the log
	OutcomeFailed                 // it is surely not in the log
)

// Kind is the kind of event that tells the outcome.
func (o Outcome) Kind() Kind {
	return [...]Kind{OutcomeUnknown: Unclear, OutcomeAcked: Ack, OutcomeFailed: Fail}[o]
}

func (o Outcome) String() string {
	return [...]string{OutcomeUnknown: "unknown", OutcomeAcked: "ok", OutcomeFailed: "failed"}[o]
}

// Attempt is how one attempt to write a record ended.
type Attempt struct {
	Sent     bool  // bytes of it may have left the client
	Answered bool  // the broker answered
	Code     int16 // with this error code
}

// Error codes of the protocol after which a broker has not appended the batch
// that it answers: it refuses before it appends.
var refusals = []int16{
	2,      // CORRUPT_MESSAGE
	3,      // UNKNOWN_TOPIC_OR_PARTITION
	6,      // NOT_LEADER_OR_FOLLOWER
	10, 18, // MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE
	17,         // INVALID_TOPIC_EXCEPTION
	19,         // NOT_ENOUGH_REPLICAS: before the append; 20 is after it
	21,         // INVALID_REQUIRED_ACKS
	29, 31, 53, // not authorized: topic, cluster, transactional id
	32,     // INVALID_TIMESTAMP
	43, 76, // UNSUPPORTED_FOR_MESSAGE_FORMAT, UNSUPPORTED_COMPRESSION_TYPE
	44,     // POLICY_VIOLATION
	45,     // OUT_OF_ORDER_SEQUENCE_NUMBER
	47, 90, // INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
	48, 49, 59, // INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING, UNKNOWN_PRODUCER_ID
	87,  // INVALID_RECORD
	100, // UNKNOWN_TOPIC_ID
}

// OutcomeOf judges all attempts to write one record. One answer of success
// settles it; it failed for sure only when each attempt did: an attempt without
// an answer may still have been written, whatever came after it.
func OutcomeOf(attempts []Attempt) Outcome {
	sure := true
	for _, a := range attempts {
		switch {
		case !a.Sent:
		case a.Answered && (a.Code == 0 || a.Code == 46): // DUPLICATE_SEQUENCE_NUMBER: it was written before
			return OutcomeAcked
		case !a.Answered || !slices.Contains(refusals, a.Code):
			sure = false
		}
	}
	if sure {
		return OutcomeFailed
	}
	return OutcomeUnknown
}
