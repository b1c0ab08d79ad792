package orderly

import "time"

// Events are functions that the consumer calls when something happens. All are
// optional. They are called from different goroutines, several at a time, and
// must return at once: what they wait for, the consumer waits for.
type Events struct {
	// Assigned: a partition is ours, its fencing token granted; records follow.
	Assigned func(AssignedEvent)
	// Revoked: a partition was given up in order.
	Revoked func(RevokedEvent)
	// Lost: a partition was taken away; nothing of it is committed any more.
	Lost func(LostEvent)
	// Attempt: an attempt failed. Successes are counted in Settled only.
	Attempt func(AttemptEvent)
	// Blocked: a key's head failed and waits; called at each failed attempt,
	// after Attempt.
	Blocked func(BlockedEvent)
	// Settled: records are done by their handler. While handlers are fast one call
	// is for all that a worker did at once, up to 128 records.
	Settled func(SettledEvent)
	// DeadLettered: a record was given up, and its dead letter acknowledged.
	// Skipped: a record was given up. Each is a hole in the order of its key:
	// called before the next record of the key is handed over.
	DeadLettered func(DeadLetteredEvent)
	Skipped      func(SkippedEvent)
	// Parked: a record was written to the parking topic, and read back (with Effects:
	// to the store, and committed); or it followed parked ones of its key. Released: a
	// parked record is done.
	Parked   func(ParkedEvent)
	Released func(ReleasedEvent)
	// WriteFailed: the dead letter of a record, or the record itself to the parking
	// topic, could not be written; its key waits, and the write is tried again.
	WriteFailed func(WriteFailedEvent)
	// Sequence: the sequence guard found something out about a record's number. Of a
	// duplicate, which is skipped, it is called before the next record of its key is
	// handed over (with a Batch or Effects: when those that it came with are done); of
	// other records before they are themselves, once under one owner.
	Sequence func(SequenceEvent)
	// Stuck: a handler's context has ended and it has not returned. Called
	// again while it lasts, at growing intervals.
	Stuck func(StuckEvent)
	// Paused and Resumed: the reasons for which a partition is not read, or
	// nothing of it starts, have changed.
	Paused  func(PausedEvent)
	Resumed func(PausedEvent)
	// Breaker: the breaker's state has changed. It is called while nothing else of the
	// breaker goes on.
	Breaker func(BreakerEvent)
	// Committed: an offset commit was answered, or its outcome is unknown.
	Committed func(CommittedEvent)
	// Dropped: results or records that no longer count, because the partition
	// left while they were on their way.
	Dropped func(DroppedEvent)
	// OrderViolation: the consumer's check on itself saw the promise of order
	// broken. It looks at one in 64 keys. Never called unless orderly has a fault.
	OrderViolation func(OrderViolationEvent)
	// Rebalanced: the group moved to a new generation and this member with it.
	Rebalanced func(RebalancedEvent)
	// Warning: something that an operator should know, with a fixed code.
	Warning func(WarningEvent)
}

// AssignedEvent tells of a partition that is ours.
type AssignedEvent struct {
	Topic        string
	Partition    int32
	FencingToken int64
	Offset       int64 // where reading begins
	DoneAhead    int64 // offsets above it that are done already and will be skipped
	Clean        bool  // the owner before released it in order
	Regranted    bool  // it was ours before; only the token is new
}

// RevokedEvent tells of a partition that was given up in order.
type RevokedEvent struct {
	Topic        string
	Partition    int32
	FencingToken int64
	Drain        time.Duration // how long running handlers took to return
	Clean        bool          // all had returned before the drain deadline
	Committed    bool          // the last commit was acknowledged
	Offset       int64         // committed offset
	Again        int64         // records done that the next owner gets again, at the most: the last commit does not name them
}

// LostEvent tells of a partition that was taken away.
type LostEvent struct {
	Topic        string
	Partition    int32
	FencingToken int64
	Running      int   // handlers that had not returned
	Again        int64 // records done that the next owner gets again, at the most
}

// AttemptEvent tells of an attempt that failed.
type AttemptEvent struct {
	Message *Message
	Err     error
	Panic   bool
	Class   Class // of the error; with ClassUnavailable the attempt is not spent
}

// BlockedEvent tells of a key that waits.
type BlockedEvent struct {
	Topic     string
	Partition int32
	Key       []byte
	Offset    int64
	Attempts  int           // that failed so far
	Next      time.Duration // until the next one
	State     string        // see BlockedKey.State
}

// DeadLetteredEvent tells of a record whose dead letter was acknowledged.
type DeadLetteredEvent struct {
	Topic        string
	Partition    int32
	Offset       int64
	Key          []byte
	FencingToken int64
	Attempts     int
	Reason       string // permanent or exhausted
	Err          error  // of the last attempt

	DeadLetterTopic     string
	DeadLetterPartition int32
	DeadLetterOffset    int64
}

// SkippedEvent tells of a record that was given up by the policy skip, or skipped by
// an operator: then Key is the ordering key.
type SkippedEvent struct {
	Topic        string
	Partition    int32
	Offset       int64
	Key          []byte
	FencingToken int64
	Attempts     int
	Reason       string // permanent, exhausted, or operator: by a command
	Err          error  // of the last attempt; or who skipped it, and why
}

// WriteFailedEvent tells of a dead letter, or of a record to be parked, that could not be
// written.
type WriteFailedEvent struct {
	Topic           string // of the record
	Partition       int32
	Offset          int64
	Key             []byte
	DeadLetterTopic string
	ParkingTopic    string // set when it was to be parked: DeadLetterTopic is empty then
	Err             error
	Writes          int           // that failed so far
	Next            time.Duration // until the next one, or until the handler is called again; zero: none, as under OnWriteFailure stop
	GaveUp          bool          // the record is blocked, or Run stops
}

// SettledEvent tells of records that are done.
type SettledEvent struct {
	Topic     string
	Partition int32
	Records   int
	Retried   int // of these: needed more than one attempt
}

// StuckEvent tells of a handler that does not return.
type StuckEvent struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Age       time.Duration // since the run was handed over
	Owned     bool          // the partition is still ours
}

// PausedEvent names the reasons that hold a partition.
type PausedEvent struct {
	Topic     string
	Partition int32
	Reasons   []string
}

// BreakerEvent tells of the breaker's new state.
type BreakerEvent struct {
	BreakerState
	GivenBack int // attempts that are not counted any more, as they were spent while it opened
}

// CommittedEvent tells of an offset commit.
type CommittedEvent struct {
	Topic        string
	Partition    int32
	FencingToken int64
	Offset       int64
	DoneAhead    int64 // offsets above it that the metadata names as done
	NotRecorded  int64 // of those done ahead: did not fit the metadata, nor stand in a note of the parking topic yet
	Err          error // nil: acknowledged
	Unknown      bool  // no answer: a new generation is joined before the next commit
	Latency      time.Duration
}

// DroppedEvent tells of records or results that no longer count.
type DroppedEvent struct {
	Topic     string
	Partition int32
	Records   int
	Reason    string
}

// OrderViolationEvent tells of a record that was handed over out of order.
type OrderViolationEvent struct {
	Topic     string
	Partition int32
	Key       []byte
	Offset    int64  // that was handed over
	Other     int64  // the record that was still with a handler, or the later one that was done already
	Kind      string // overlap or overtaken
}

// RebalancedEvent tells of a new generation of the group.
type RebalancedEvent struct {
	Member     string
	Generation int32
	// Cause: joined (this member came with a new session), dropped (the group had
	// dropped it), asked (it asked for a new generation, after a commit without an
	// answer say), group (members came or went, or topics changed).
	Cause string
}

// WarningEvent is something that an operator should know.
type WarningEvent struct {
	Code    string // fixed, for alerts: see docs/operating.md
	Message string
}

// ParkedEvent tells of a record that is parked.
type ParkedEvent struct {
	Topic        string
	Partition    int32
	Offset       int64
	Key          []byte
	FencingToken int64
	Attempts     int    // 0: it only follows another one of its key
	Reason       string // "exhausted", "permanent" or "operator" (by a command); empty when it follows
	Err          error
	// Before: an earlier owner had parked it, or was done with it, and no commit said so.
	Before bool
}

// ReleasedEvent tells of a parked record that is done.
type ReleasedEvent struct {
	Topic        string
	Partition    int32
	Offset       int64
	Key          []byte
	FencingToken int64
	Attempt      int
}
