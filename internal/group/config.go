package group

import (
	"context"
	"log/slog"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/rules"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reset says what to do when the offset to go on from is not in the log.
type Reset int

// The values of Reset.
const (
	ResetStop Reset = iota
	ResetEarliest
	ResetLatest
)

// Config is what a Session needs; all fields have their final values.
type Config struct {
	Brokers []string
	Group   string
	Topics  []string
	Opts    []kgo.Opt

	Balancers  []kgo.GroupBalancer
	ServerSide bool
	InstanceID string

	Session, Rebalance, Heartbeat time.Duration
	Drain, CommitInterval         time.Duration
	StartTimeout                  time.Duration

	StartLatest     bool
	StartAt         time.Time
	Reset           Reset
	ReadUncommitted bool

	Records int
	Bytes   int64
	Window  int

	Pool      *lane.Pool
	Partition func(topic string, partition int32) lane.PartitionConfig
	// Overdue lists handlers that have not returned although their attempt's own
	// deadline has passed.
	Overdue func() []Stuck
	// Items makes the lane's items of records that were read, in their order.
	Items func(recs []*kgo.Record, out []*lane.Item) []*lane.Item

	// Ready is called before the group is joined, with the topics' partitions: an
	// error ends the session. nil: nothing to see to.
	Ready func(ctx context.Context, partitions map[string]int) error
	// Risks is told what of a topic's settings can lose records; nil: nobody asks.
	Risks func(topic string, t rules.Topic, brokers int)
	// Parking is what stands beside the partitions; nil: nothing does.
	Parking Parking
	// Shut says that nothing starts in the pool for now, so that nothing is to be read.
	Shut func() bool

	Causes Causes
	Exit   func() // ends the process instead of releasing a stuck handler's partition; nil: release
	Hooks  Hooks
	Logger *slog.Logger
}

// Causes are the causes that handlers' contexts end with.
type Causes struct{ Drain, Lost, Silent, Aborted error }

// Hooks are called when something happens; none is nil.
type Hooks struct {
	Assigned  func(Assigned)
	Revoked   func(Revoked)
	Lost      func(Lost)
	Stuck     func(Stuck)
	Paused    func(topic string, partition int32, reasons []string)
	Resumed   func(topic string, partition int32, reasons []string)
	Committed func(Committed)
	Dropped   func(topic string, partition int32, records int, reason string)
	Warning   func(code, message string)

	Rebalanced func(Rebalanced)
}

// Rebalanced tells of a generation that this member came to.
type Rebalanced struct {
	Member     string
	Generation int32
	Cause      string
}

// Assigned tells of a partition whose token was granted.
type Assigned struct {
	Topic     string
	Partition int32
	Token     int64
	Offset    int64
	DoneAhead int64
	Clean     bool
	Regranted bool
}

// Revoked tells of a partition that was released.
type Revoked struct {
	Topic            string
	Partition        int32
	Token            int64
	Drain            time.Duration
	Clean, Committed bool
	Offset           int64
	Again            int64 // records done that the next owner gets again, at the most
}

// Lost tells of a partition that was taken away.
type Lost struct {
	Topic     string
	Partition int32
	Token     int64
	Running   int
	Again     int64 // as Revoked's
}

// Stuck tells of a handler whose context has ended and that has not returned.
type Stuck struct {
	Item  *lane.Item
	Age   time.Duration
	Owned bool
}

// Committed tells of an OffsetCommit's answer for one partition.
type Committed struct {
	Topic                  string
	Partition              int32
	Token                  int64
	Offset                 int64
	DoneAhead, NotRecorded int64
	Err                    error
	Unknown                bool
	Latency                time.Duration
}

// Halt bits of a lane.Partition: why nothing of it starts.
const (
	haltGrant   uint32 = 1 << iota // the token is not granted in this generation
	haltSilent                     // the coordinator is not heard
	haltDrain                      // it is being released
	haltParking                    // what stands beside it is not read yet
)

// Pause bits: why a partition is not read.
const (
	pauseWindow uint32 = 1 << iota // its window is full: a key of it is blocked for long
	pauseBuffer                    // it holds more than its share while the buffer is full
	pauseShut                      // nothing starts in the pool
)

const awaitingParking = "awaiting-parking"

// Names of the states, fixed: logs, metrics and status show them.
var reasonNames = []struct {
	halt, pause uint32
	name        string
}{
	{haltGrant, 0, "awaiting-grant"},
	{haltSilent, 0, "coordinator-silent"},
	{haltDrain, 0, "draining"},
	{haltParking, 0, awaitingParking},
	{0, pauseWindow, "window-full"},
	{0, pauseBuffer, "buffer-full"},
	{lane.HaltGate, pauseShut, "breaker-open"},
}

func reasons(halt, pause uint32) (names []string) {
	for _, r := range reasonNames {
		if r.halt&halt != 0 || r.pause&pause != 0 {
			names = append(names, r.name)
		}
	}
	return names
}

// sleep waits, or returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
