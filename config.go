package orderly

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Scope says what is one sequence.
type Scope int

const (
	// ScopeKey: the records of one ordering key of one partition.
	ScopeKey Scope = iota
	// ScopePartition: all records of a partition.
	ScopePartition
)

// NullKeys says what becomes of records without a key.
type NullKeys int

const (
	// NullKeysSequence: the records of a partition that have no key are one
	// sequence, as if they had a key of their own.
	NullKeysSequence NullKeys = iota
	// NullKeysReject: such a record has failed without a call of the handler;
	// the policy decides what becomes of it.
	NullKeysReject
)

// Reset says what to do when the offset to go on from is not in the log.
type Reset int

const (
	// ResetStop: Run ends with an OffsetRangeError. The default: records are
	// missing, and going on would hide it.
	ResetStop Reset = iota
	// ResetEarliest goes on with the oldest record that is there.
	ResetEarliest
	// ResetLatest goes on with the next record that is written.
	ResetLatest
)

// StuckHandler says what to do when a handler ignores its ended context and the
// partition has to be released.
type StuckHandler int

const (
	// StuckReport: it is logged and reported; the partition is released, and
	// that handler counts as frozen. The default.
	StuckReport StuckHandler = iota
	// StuckExit: the process ends with exit code 1 instead of releasing the
	// partition, so that no two handlers of the key can overlap.
	StuckExit
)

// A Start is where a partition begins that has no committed offset.
type Start struct {
	latest bool
	at     time.Time
}

// StartEarliest begins with the oldest record. The default.
func StartEarliest() Start { return Start{} }

// StartLatest begins with the next record that is written.
func StartLatest() Start { return Start{latest: true} }

// StartAt begins with the first record whose timestamp is not before t.
func StartAt(t time.Time) Start { return Start{at: t} }

// OrderBy is an ordering key other than the record's key.
type OrderBy struct {
	// Name is stored wherever the order is: another function needs another
	// name. Required with Key; lower case letters, digits, '-', '_' and '.'.
	Name string
	// Key returns the ordering key of a record; nil counts as no key. It must
	// give the same key for the same record at any time, and is called from the
	// poll loop: it must be quick.
	Key func(r *kgo.Record) []byte
}

// Retry says when a record that failed is tried again: after a random time
// between zero and a bound ("full jitter"); the bound begins at Backoff and
// doubles with each attempt up to MaxBackoff.
type Retry struct {
	MaxAttempts int           // default 10; with PolicyBlock attempts go on after them
	Backoff     time.Duration // default 1 s; at least 1 ms
	MaxBackoff  time.Duration // default 60 s
	// Classify says what kind of failure an error is that its handler has not
	// marked with Permanent, Unavailable or RetryAfter, and that is not a
	// DecodeError. It is called from several goroutines. Default: all are
	// ClassRetry.
	Classify func(error) Class
}

// Buffer bounds what is read ahead of the handlers.
type Buffer struct {
	// Records and Bytes bound what waits or runs, over all partitions. Half of
	// them is shared out evenly, so that no partition can starve another.
	// Defaults 100,000 and 256 MiB.
	Records int
	Bytes   int64
	// Window bounds the records of one partition from the oldest that is not
	// done to the newest that was read: how far other keys run ahead of one
	// that is blocked. Then this partition alone pauses. Default 1,000,000
	// (about 8 MiB for each partition at the most).
	Window int
}

// ConsumerConfig configures a Consumer. Zero values are the safe defaults.
type ConsumerConfig struct {
	// Brokers are seed addresses, host:port. Required.
	Brokers []string
	// Group is the consumer group. Required.
	Group string
	// Topics are consumed side by side. Required.
	Topics []string

	// Handler, Batch.Handler or Effects: exactly one of them.
	Handler Handler
	Batch   Batch
	// Effects is a handler whose effects and progress are one transaction of a
	// database; store/postgres and store/sqlite make one.
	Effects Effects

	// Scope is what is one sequence. Default ScopeKey.
	Scope Scope
	// OrderBy is the ordering key. Default: the record's key.
	OrderBy OrderBy
	// NullKeys says what becomes of records without an ordering key. Default
	// NullKeysSequence.
	NullKeys NullKeys

	// Retry says when a failed record is tried again.
	Retry Retry
	// OnExhausted is the policy for a record that used up its attempts, or whose
	// error is Permanent. Default PolicyPark; with ScopePartition
	// PolicyBlock.
	OnExhausted Policy
	// Parking says how records are parked.
	Parking Parking
	// DeadLetter says where dead letters go, under PolicyDeadLetter.
	DeadLetter DeadLetter
	// OnWriteFailure is what becomes of a record whose dead letter cannot be
	// written, or that cannot be parked, although that was tried Retry.MaxAttempts
	// times, or because it is too large: PolicyBlock, the default, or PolicyStop. At
	// a cap of Parking.Caps a key blocks under both.
	OnWriteFailure Policy

	// Breaker stops attempts while a dependency of the handlers is down.
	Breaker Breaker

	// Sequence notices duplicates, gaps and replaced writers by the numbers of
	// records. Default: off, at no cost.
	Sequence SequenceGuard

	// Concurrency is the largest number of handlers that run at a time, over
	// all partitions. Default 256, at most 100,000.
	Concurrency int
	// Lanes is the number of lanes of a partition for a batch handler, and for Effects,
	// whose store keeps it: another number is refused there. Default
	// 64, at most 65,536.
	Lanes int
	// Buffer bounds what is read ahead.
	Buffer Buffer

	// AttemptTimeout ends the context of an attempt that takes longer. The
	// attempt has failed when the handler then returns an error; a nil is a
	// success. Default 0: none, at no cost.
	AttemptTimeout time.Duration
	// DrainTimeout is how long running handlers get when a partition leaves or
	// Run's context ends. Default and maximum: two thirds of the smaller of
	// SessionTimeout and RebalanceTimeout; less when HeartbeatInterval is above a
	// sixth of RebalanceTimeout, as a rebalance is noticed only with a heartbeat.
	DrainTimeout time.Duration
	// CommitInterval is the time between commits. Default 1 s; at least 10 ms.
	CommitInterval time.Duration
	// StartTimeout is how long Run waits for a first broker to answer. Default
	// 0: for ever, with a log line for each try.
	StartTimeout time.Duration

	// SessionTimeout, RebalanceTimeout and HeartbeatInterval are those of the
	// group membership. With ServerSide the broker sets the session
	// (group.consumer.session.timeout.ms); less than 45 s counts as 45 s there.
	// Defaults 45 s, 60 s, 3 s (a sixth of the smaller of the
	// others at the most).
	SessionTimeout    time.Duration
	RebalanceTimeout  time.Duration
	HeartbeatInterval time.Duration
	// Balancer is how partitions are assigned. Default CooperativeSticky.
	Balancer Balancer
	// InstanceID makes the member static (KIP-345): after a restart within the
	// session timeout it gets its partitions back without a rebalance. It must
	// be another one for each process.
	InstanceID string

	// Start is where a partition without a committed offset begins. Default
	// StartEarliest.
	Start Start
	// Reset says what to do when the offset is not in the log. Default
	// ResetStop.
	Reset Reset
	// ReadUncommitted also hands over records of open and aborted transactions.
	// Default: read committed.
	ReadUncommitted bool

	// OnStuckHandler says what to do with a handler that ignores its ended
	// context. Default StuckReport.
	OnStuckHandler StuckHandler

	// Events are functions to call when something happens.
	Events Events
	// Logger takes log lines. Default: slog.Default().
	Logger *slog.Logger
	// LogKeys says how keys appear in log lines. Default KeysHash: keys are often
	// personal data, and topic, partition and offset name the record as well.
	LogKeys KeyDisplay
	// KafkaOpts are further options of the franz-go client: TLS, SASL, Dialer,
	// ClientID, FetchMaxBytes and the like. Options that would break the
	// contract are refused by name.
	KafkaOpts []kgo.Opt
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// defaultPolicy loses nothing and passes nothing. A whole partition is not set aside
// unless that is asked for.
func (c *ConsumerConfig) defaultPolicy() Policy {
	if c.Scope == ScopePartition {
		return PolicyBlock
	}
	return PolicyPark
}

// withDefaults fills what was left zero.
func (c ConsumerConfig) withDefaults() ConsumerConfig {
	orDefault(&c.OnExhausted, c.defaultPolicy())
	c.Parking.defaults()
	if c.OnExhausted == PolicyPark {
		orDefault(&c.OnWriteFailure, PolicyBlock)
	}
	if c.OnExhausted.writes() {
		orDefault(&c.OnWriteFailure, PolicyBlock)
		c.DeadLetter.defaults()
	}
	c.Sequence.defaults()
	orDefault(&c.Retry.MaxAttempts, 10)
	orDefault(&c.Retry.Backoff, time.Second)
	orDefault(&c.Retry.MaxBackoff, max(60*time.Second, c.Retry.Backoff))
	orDefault(&c.Concurrency, 256)
	c.Breaker.setDefaults()
	orDefault(&c.Lanes, 64)
	orDefault(&c.Buffer.Records, 100_000)
	orDefault(&c.Buffer.Bytes, 256<<20)
	orDefault(&c.Buffer.Window, 1_000_000)
	orDefault(&c.CommitInterval, time.Second)
	orDefault(&c.SessionTimeout, 45*time.Second)
	orDefault(&c.RebalanceTimeout, 60*time.Second)
	orDefault(&c.HeartbeatInterval, min(3*time.Second, min(c.SessionTimeout, c.RebalanceTimeout)/6))
	orDefault(&c.DrainTimeout, c.longestDrain())
	orDefault(&c.Balancer.name, CooperativeSticky.name)
	orDefault(&c.Logger, slog.Default())
	if c.Batch.Handler != nil {
		orDefault(&c.Batch.Max, 100)
	}
	if c.Effects.on() {
		c.Effects.defaults(min(c.SessionTimeout, c.RebalanceTimeout))
	}
	return c
}

// longestDrain leaves a third of the time for the last commit and for joining
// again. That a rebalance has begun a member learns from its next heartbeat.
func (c *ConsumerConfig) longestDrain() time.Duration {
	return min(min(c.SessionTimeout, c.RebalanceTimeout)*2/3, (c.RebalanceTimeout-c.HeartbeatInterval)*4/5)
}
