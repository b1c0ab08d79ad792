package health

import (
	"encoding/hex"
	"time"
	"unicode/utf8"

	"github.com/orderly-go/orderly"
)

// Version is that of the JSON documents. Fields may be added within a version;
// none changes its meaning.
const Version = 1

// A Document is what /state answers.
type Document struct {
	Version         int         `json:"version"`
	Time            time.Time   `json:"time"`
	Group           string      `json:"group"`
	Member          string      `json:"member"` // empty: not joined yet
	Generation      int32       `json:"generation"`
	Alive           bool        `json:"alive"`
	Ready           bool        `json:"ready"`
	Silent          bool        `json:"coordinator_silent"`
	Records         int64       `json:"records"` // that wait or run
	Bytes           int64       `json:"bytes"`
	RecordsLimit    int         `json:"records_limit"`
	BytesLimit      int64       `json:"bytes_limit"`
	WindowLimit     int         `json:"window_limit"`
	Concurrency     int         `json:"concurrency"`
	OrderViolations uint64      `json:"order_violations"`
	Breaker         Breaker     `json:"breaker"`
	Loops           []Loop      `json:"loops"`
	Partitions      []Partition `json:"partitions"`
}

// A Breaker says whether attempts are made.
type Breaker struct {
	State       string     `json:"state"` // closed, open, half-open; disabled
	Since       *time.Time `json:"since"` // null: it is disabled
	Reason      string     `json:"reason"`
	NextProbe   *time.Time `json:"next_probe"` // null: it is not open
	ProbeError  string     `json:"probe_error"`
	Share       int        `json:"share"` // keys that run at a time while it is half open
	Successes   int        `json:"successes"`
	FailingKeys int        `json:"failing_keys"`
}

// Disabled is the state of a breaker that was switched off.
const Disabled = "disabled"

func breaker(b orderly.BreakerState) Breaker {
	out := Breaker{State: b.State, Since: moment(b.Since), Reason: b.Reason, NextProbe: moment(b.NextProbe), ProbeError: b.ProbeError,
		Share: b.Share, Successes: b.Successes, FailingKeys: b.FailingKeys}
	if out.State == "" {
		out.State = Disabled
	}
	return out
}

// A Loop is one of the consumer's loops. Times are in seconds.
type Loop struct {
	Name  string  `json:"name"`
	Turns uint64  `json:"turns"`
	Busy  float64 `json:"busy_seconds"` // 0: it waits for its next turn
	Limit float64 `json:"limit_seconds"`
}

// A Partition is a partition that the member owns.
type Partition struct {
	Topic        string         `json:"topic"`
	Partition    int32          `json:"partition"`
	FencingToken int64          `json:"fencing_token"` // 0: not granted yet
	Committed    int64          `json:"committed"`
	Next         int64          `json:"next"`
	Log          *Log           `json:"log"`              // null: not known yet
	Lag          *int64         `json:"lag"`              // null: not known yet
	Undone       int64          `json:"undone"`           // without a log: of what was read
	OldestUndone *time.Time     `json:"oldest_undone"`    // null: none
	DoneAhead    int64          `json:"done_ahead"`       //
	Window       int            `json:"window"`           //
	Reasons      []string       `json:"reasons"`          // why it waits; empty: it runs
	Waiting      int            `json:"waiting"`          // records that wait or run
	Running      int            `json:"running"`          // calls of the handler
	Keys         int            `json:"keys"`             // with records that wait or run
	BlockedKeys  int            `json:"blocked_keys"`     //
	BlockedBy    map[string]int `json:"blocked_by_state"` // how many of these wait for what
	Behind       int            `json:"behind_blocked"`   // records behind the heads of these
	Blocked      []Key          `json:"blocked"`          // those that have been blocked longest, 10 at the most
	Parking      *Parking       `json:"parking"`          // null: no parking topic is in use, or is waited for
}

// A Parking is what is parked of a partition, and what is paused.
type Parking struct {
	Topic   string     `json:"topic"`
	Reason  string     `json:"reason"` // why the partition waits for it; empty: it does not
	Cause   string     `json:"cause"`  // the last thing that was wrong with it; or who has paused the partition, and why
	Keys    int        `json:"keys"`
	Records int        `json:"records"`
	Bytes   int64      `json:"bytes"`
	Oldest  *time.Time `json:"oldest"` // when the key failed that was parked first; null: none
	Pauses  []Pause    `json:"pauses"`
}

// A Pause is a pause in force. Keys are shown as hashes, or not at all.
type Pause struct {
	ID      string    `json:"id"`
	Who     string    `json:"who"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Whole   bool      `json:"whole"` // the partition
	KeyHash string    `json:"key_hash,omitempty"`
}

// A Log is where a partition's log begins and ends.
type Log struct {
	Start int64     `json:"start"`
	End   int64     `json:"end"` // read committed: the last stable offset
	Read  time.Time `json:"read"`
}

// A Key is a blocked key.
type Key struct {
	Topic       string     `json:"topic"`
	Partition   int32      `json:"partition"`
	Key         *string    `json:"key,omitempty"`      // as text
	KeyHex      string     `json:"key_hex,omitempty"`  // not as text
	KeyHash     string     `json:"key_hash,omitempty"` // of either; always
	State       string     `json:"state"`              // what it waits for: one of orderly.BlockedStates
	FirstOffset int64      `json:"first_offset"`
	Records     int        `json:"records"` // that one included
	Cause       string     `json:"cause"`   // empty: it failed at an earlier owner
	Attempts    int        `json:"attempts"`
	Since       time.Time  `json:"since"`
	Next        *time.Time `json:"next"` // of the next attempt; null: none
}

// Keys is what /keys answers.
type Keys struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Group   string    `json:"group"`
	Member  string    `json:"member"`
	Blocked int       `json:"blocked"` // how many there are, listed or not
	Keys    []Key     `json:"keys"`
}

func document(c *orderly.Consumer, show orderly.KeyDisplay, now time.Time) Document {
	st := c.State()
	d := Document{
		Version: Version, Time: now, Group: st.Group, Member: st.Member, Generation: st.Generation,
		Alive: c.Alive() == nil, Ready: c.Ready() == nil, Silent: st.Silent,
		Records: st.Records, Bytes: st.Bytes, RecordsLimit: st.Limits.Records, BytesLimit: st.Limits.Bytes,
		WindowLimit: st.Limits.Window, Concurrency: st.Limits.Concurrency, OrderViolations: st.OrderViolations,
		Breaker: breaker(st.Breaker), Loops: []Loop{}, Partitions: []Partition{},
	}
	for _, l := range st.Loops {
		d.Loops = append(d.Loops, Loop{l.Name, l.Turns, l.Busy.Seconds(), l.Limit.Seconds()})
	}
	for _, p := range st.Partitions {
		out := Partition{
			Topic: p.Topic, Partition: p.Partition, FencingToken: p.FencingToken, Committed: p.Committed, Next: p.Next,
			Undone: p.Undone, OldestUndone: moment(p.OldestUndone), DoneAhead: p.DoneAhead, Window: p.Window,
			Reasons: append([]string{}, p.Reasons...), Waiting: p.Waiting, Running: p.Running,
			Keys: p.Keys, BlockedKeys: p.Blocked, BlockedBy: byState(p), Behind: p.Behind, Blocked: keys(p, show), Parking: parking(p, show),
		}
		if !p.LogRead.IsZero() {
			lag := p.Lag()
			out.Lag = &lag
			out.Log = &Log{p.LogStart, p.LogEnd, p.LogRead}
		}
		d.Partitions = append(d.Partitions, out)
	}
	return d
}

func parking(p orderly.PartitionState, show orderly.KeyDisplay) *Parking {
	k := p.Parking
	if k.Topic == "" && k.Reason == "" {
		return nil
	}
	out := &Parking{Topic: k.Topic, Reason: k.Reason, Cause: k.Cause, Keys: k.Keys, Records: k.Records, Bytes: k.Bytes, Oldest: moment(k.Oldest), Pauses: []Pause{}}
	for _, x := range k.Pauses {
		pause := Pause{ID: x.ID, Who: x.Who, Reason: x.Reason, Since: x.Since, Whole: x.Whole}
		if show != orderly.KeysNone && x.Key != nil {
			pause.KeyHash = orderly.HashKey(x.Key)
		}
		out.Pauses = append(out.Pauses, pause)
	}
	return out
}

func byState(p orderly.PartitionState) map[string]int {
	if p.BlockedStates == nil {
		return map[string]int{}
	}
	return p.BlockedStates
}

func keys(p orderly.PartitionState, show orderly.KeyDisplay) []Key {
	out := []Key{}
	for _, b := range p.Oldest {
		k := Key{Topic: p.Topic, Partition: p.Partition, State: b.State, FirstOffset: b.Offset, Records: b.Waiting,
			Cause: b.Cause, Attempts: b.Attempts, Since: b.Since, Next: moment(b.Next)}
		if show != orderly.KeysNone && b.Key != nil {
			k.KeyHash = orderly.HashKey(b.Key)
		}
		if show == orderly.KeysPlain && b.Key != nil {
			if text := string(b.Key); utf8.ValidString(text) {
				k.Key = &text
			} else {
				k.KeyHex = hex.EncodeToString(b.Key)
			}
		}
		out = append(out, k)
	}
	return out
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
