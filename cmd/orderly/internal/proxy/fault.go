package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Kind is what happens to a request.
type Kind string

// The kinds of faults. Those from LostAck to Delay strike the produce request that
// covers a chosen record, or with Fault.API another request, chosen by count.
const (
	// LostAck passes the request on, waits for the answer, and cuts the
	// connection instead of giving it.
	LostAck Kind = "lost-ack"
	// SilentAck does the same, but the connection stays open and silent until
	// the client gives it up.
	SilentAck Kind = "silent-ack"
	// Cut cuts the connection before the broker has the request.
	Cut Kind = "cut"
	// Refuse answers Fault.Error for the batch, which the broker never sees; the
	// other batches of the request pass.
	Refuse Kind = "refuse"
	// ErrorAfter answers Fault.Error for a batch that the broker has appended.
	ErrorAfter Kind = "error-after-append"
	// Hold cuts the connection and keeps the request, as a network or a broker's
	// queue may, and gives it to the broker when Fault.After batches of that
	// partition have been acknowledged since, or after Fault.For.
	Hold Kind = "hold"
	// Replay gives the broker the identical bytes once more, when they and
	// Fault.After more batches of that partition have been acknowledged.
	Replay Kind = "replay"
	// Delay lets the request, and those behind it on its connection, wait for
	// Fault.For before the broker gets them.
	Delay Kind = "delay"
	// FetchError answers Fault.Error for a partition when what was fetched of it
	// covers a chosen record.
	FetchError Kind = "fetch-error"
	// DropHeartbeat answers heartbeats (classic and KIP-848) as the coordinator
	// would, which never hears of them: it takes the member for dead, while the
	// member takes itself for alive.
	DropHeartbeat Kind = "drop-heartbeat"
	// CoordinatorError answers Fault.Error to a request to a coordinator, which
	// never hears of it.
	CoordinatorError Kind = "coordinator-error"
)

// Kinds are all of them.
var Kinds = []Kind{LostAck, SilentAck, Cut, Refuse, ErrorAfter, Hold, Replay, Delay, FetchError, DropHeartbeat, CoordinatorError}

// whole reports whether no batch of a request is acknowledged after the fault.
func (k Kind) whole() bool { return k == LostAck || k == SilentAck || k == Cut || k == Hold }

// answered reports whether the fault needs an answer of the broker's.
func (k Kind) answered() bool {
	return k == LostAck || k == SilentAck || k == ErrorAfter || k == Replay
}

// A Fault is a kind of fault and what it strikes.
type Fault struct {
	Kind  Kind          `json:"kind"`
	Error int16         `json:"error,omitempty"` // Kafka's code; each kind has a default
	After int           `json:"after,omitempty"` // batches: see Hold and Replay
	For   time.Duration `json:"for_ns,omitempty"`

	// API makes the fault strike requests of that name by count, as OffsetCommit
	// or EndTxn, instead of the batches of records.
	API string `json:"api,omitempty"`

	// These narrow it down; "" is any. Group is a consumer group's id, or a
	// transactional id.
	Topic  string `json:"topic,omitempty"`
	Client string `json:"client,omitempty"`
	Group  string `json:"group,omitempty"`

	// Share is the part of the records that are chosen, by the seed: 0.01 is one
	// of a hundred. Times is how often each is struck: by default once.
	Share float64 `json:"share,omitempty"`
	Times int     `json:"times,omitempty"`

	// Skip and Times count requests when the fault is not about records: of each
	// client, API and group those from Skip on, Times of them (default: 1).
	Skip int `json:"skip,omitempty"`

	// Chosen are the records, or the requests, instead of Share, or Skip and
	// Times.
	Chosen []Target `json:"chosen,omitempty"`
}

// A Target is a record or, with API, a request.
type Target struct {
	Topic string `json:"topic,omitempty"`

	// By its key and number.
	Key    Bytes  `json:"key,omitempty"`
	Number *int64 `json:"number,omitempty"`

	// Or by its writer's sequence.
	Client    string `json:"client,omitempty"`
	Partition int32  `json:"partition,omitempty"`
	Sequence  *int32 `json:"sequence,omitempty"`

	// Or a request: the Nth of its client, group and API, from 0.
	API   string `json:"api,omitempty"`
	Group string `json:"group,omitempty"`
	Nth   *int64 `json:"nth,omitempty"`
}

// DefaultFor is how long a held request waits at the most.
const DefaultFor = 10 * time.Second

// Codes of errors that faults answer by default.
const (
	codeNotLeader             = 6
	codeNotCoordinator        = 16
	codeNotEnoughAfter        = 20
	codeUnsupportedSASL       = 33
	codeUnknownServer   int16 = -1
)

// byCount reports whether requests are chosen, and not records.
func (f *Fault) byCount() bool {
	return f.API != "" || f.Kind == DropHeartbeat || f.Kind == CoordinatorError
}

// settle fills in the defaults, and refuses what makes no sense.
func (f Fault) settle() (Fault, error) {
	bad := func(format string, args ...any) (Fault, error) {
		return f, &FaultError{fmt.Sprintf("fault %s: ", f.Kind) + fmt.Sprintf(format, args...)}
	}
	if !slices.Contains(Kinds, f.Kind) {
		return bad("there is no such kind; there are %s", kindNames())
	}
	def := map[Kind]int16{Refuse: codeNotLeader, ErrorAfter: codeNotEnoughAfter, FetchError: codeNotLeader, CoordinatorError: codeNotCoordinator}
	switch code, ok := def[f.Kind]; {
	case !ok && f.Error != 0:
		return bad("it answers no error, so error=%d has no meaning", f.Error)
	case ok && f.Error == 0:
		f.Error = code
	case ok && f.Error != codeUnknownServer && kerr.ErrorForCode(f.Error) == kerr.UnknownServerError:
		return bad("Kafka has no error %d", f.Error)
	}
	if f.After != 0 && f.Kind != Hold && f.Kind != Replay {
		return bad("after counts batches for hold and replay only")
	}
	if f.After < 0 || f.Times < 0 || f.Skip < 0 || f.For < 0 {
		return bad("after, times, skip and for cannot be negative")
	}
	switch {
	case f.Kind == Hold && f.For == 0:
		f.For = DefaultFor
	case f.Kind == Replay && f.For == 0:
		f.For = DefaultFor
	case f.Kind == Delay && f.For == 0:
		return bad("it needs for=, as for=2s")
	case f.For != 0 && f.Kind != Hold && f.Kind != Delay && f.Kind != Replay:
		return bad("for is for delay, hold and replay only")
	}
	if f.Kind == Hold && f.After == 0 && !f.byCount() {
		f.After = 1
	}
	if f.Times == 0 {
		f.Times = 1
	}
	if f.API != "" {
		if keyOf(f.API) < 0 {
			return bad("Kafka has no request %q; names are as Produce, OffsetCommit, EndTxn", f.API)
		}
		switch key := keyOf(f.API); {
		case f.Kind == Refuse || f.Kind == ErrorAfter || f.Kind == Replay || f.Kind == FetchError:
			return bad("it is about batches: api has no meaning")
		case f.Kind == DropHeartbeat && key != apiHeartbeat && key != apiGroupHeartbeat:
			return bad("api can be Heartbeat or ConsumerGroupHeartbeat")
		case f.Kind == CoordinatorError && !canRefuse(key):
			return bad("it cannot answer %s; it can answer %s", f.API, strings.Join(refusable(), ", "))
		case key == apiProduce:
			return bad("produce requests are chosen by their records: leave api out")
		}
	}
	if f.byCount() {
		if f.Share != 0 {
			return bad("it strikes requests by count (skip, times), not a share of records")
		}
		return f, nil
	}
	if f.Group != "" || f.Skip != 0 {
		return bad("group and skip choose requests, and it strikes batches of records")
	}
	if f.Share < 0 || f.Share > 1 || f.Share == 0 && len(f.Chosen) == 0 {
		return bad("it needs share=, above 0 and at most 1, or chosen records")
	}
	return f, nil
}

// A FaultError is a fault, or a schedule, that makes no sense.
type FaultError struct{ Problem string }

func (e *FaultError) Error() string { return e.Problem }

func kindNames() string {
	var names []string
	for _, k := range Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// keyOf is the number of a request's name; -1 when there is none.
func keyOf(name string) int16 {
	for key := range requests {
		if requests[key].there && kmsg.NameForKey(int16(key)) == name {
			return int16(key)
		}
	}
	return -1
}
