//go:build synctests

package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A member is one process: a Consumer on a host of its own.
type member struct {
	w    *world
	name string
	host *host
	c    *orderly.Consumer
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run, when done

	mu       sync.Mutex
	deaf     map[place]int // handlers that run and ignore their contexts
	unheard  bool          // the coordinator may not know of a join
	warnings []orderly.WarningEvent
	batches  atomic.Int64
	killed   atomic.Bool

	// Of its configuration, for the ledger.
	policy, writeFailure orderly.Policy
	attempts             int
	oneAtATime           atomic.Bool // a partition of it runs so, or has
}

// memberConfig is what a test says of a member besides the Consumer's own
// configuration.
type memberConfig struct {
	orderly.ConsumerConfig
	act act // what handlers do; nil: nothing, at once
	max int // of a batch; zero: a plain handler
}

// start begins a member.
func (w *world) start(name string, cfg memberConfig) *member {
	w.t.Helper()
	m := &member{w: w, name: name, host: newHost(w.f), done: make(chan struct{}), deaf: make(map[place]int)}
	m.host.requests, m.host.late = m.watch, m.late
	cc := cfg.ConsumerConfig
	cc.Brokers, cc.Group, cc.Topics = w.addrs, groupName, []string{topicName}
	cc.KafkaOpts = append(cc.KafkaOpts, kgo.Dialer(m.host.dial), kgo.DisableClientMetrics())
	cc.Logger = slog.New(w.log.Handler().WithAttrs([]slog.Attr{slog.String("member", name)}))
	if os.Getenv("ORDERLY_SIM_TRACE") == "1" {
		cc.KafkaOpts = append(cc.KafkaOpts, kgo.WithLogger(kgo.BasicLogger(w.logText, kgo.LogLevelDebug, func() string {
			return fmt.Sprint(time.Now().Format("time=2006-01-02T15:04:05.000Z"), " client ", name, ": ")
		})))
	}
	if cc.OnExhausted == "" {
		cc.OnExhausted = orderly.PolicyBlock // scenes count commits, and have no parking topic
	}
	m.tell(&cc.Events)
	m.policy, m.writeFailure, m.attempts = cmp.Or(cc.OnExhausted, orderly.PolicyBlock), cc.OnWriteFailure, cmp.Or(cc.Retry.MaxAttempts, 10)
	w.ledger.watch(m, &cc.Events)
	if cfg.act == nil {
		cfg.act = func(context.Context, *orderly.Message) error { return nil }
	}
	if cfg.max > 0 {
		cc.Batch = orderly.Batch{Max: cfg.max, Wait: cc.Batch.Wait, Handler: m.batch(cfg.act)}
	} else {
		cc.Handler = m.plain(cfg.act)
	}
	c, err := orderly.NewConsumer(cc)
	if err != nil {
		w.t.Fatal(err)
	}
	m.c = c
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	w.mu.Lock()
	w.members = append(w.members, m)
	w.mu.Unlock()
	go func() {
		m.err = c.Run(ctx)
		if stop := (*orderly.StopError)(nil); errors.As(m.err, &stop) && !m.isKilled() {
			w.ledger.stopped(m, stop)
		}
		close(m.done)
	}()
	return m
}

// end makes the member leave in order.
func (m *member) end() { m.stop() }

// leave makes it leave in order, and waits for that.
func (m *member) leave() {
	m.stop()
	<-m.done
}

// kill is a kill -9: nothing that it does counts from now on.
func (m *member) kill(loseRequests bool) {
	m.w.h.kill(m.name)
	m.host.kill(loseRequests)
	if !m.killed.Swap(true) {
		m.w.ledger.killed(m)
	}
	m.c.Abort()
}

func (m *member) isKilled() bool { return m.killed.Load() }

func (m *member) running() bool {
	select {
	case <-m.done:
		return false
	default:
		return true
	}
}

// freeze takes the member off the network until the function that it returns is
// called. Its handlers run on: with its own session clock it must end them before
// the coordinator can give their partitions to others, so none of them is excused
// from overlapping; but see late.
func (m *member) freeze() (thaw func()) {
	end := m.host.stall(false)
	if m.host.joining() {
		m.late(kmsg.JoinGroup)
	}
	return end
}

// late is called when a message does not arrive for now. A member whose JoinGroup
// waits for its answer counts the coordinator as heard, for that answer may take
// as long as the rebalance; whether the request ever arrived it cannot know. So it
// is excused until it has joined.
func (m *member) late(key kmsg.Key) {
	if key != kmsg.JoinGroup {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.unheard {
		m.unheard = true
		m.w.h.add(history.Event{Kind: history.Freeze, Member: m.name})
	}
}

// watch sees the member's requests: who it is in the group.
func (m *member) watch(key int16, b []byte) {
	if kmsg.Key(key) != kmsg.SyncGroup {
		return
	}
	if req, ok := parseRequest(b); ok {
		m.w.h.know(req.(*kmsg.SyncGroupRequest).MemberID, m.name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unheard {
		m.unheard = false
		m.w.h.add(history.Event{Kind: history.Thaw, Member: m.name})
	}
}

// tell turns the member's events into history.
func (m *member) tell(ev *orderly.Events) {
	own := *ev
	ev.Assigned = func(e orderly.AssignedEvent) {
		m.w.h.add(history.Event{Kind: history.Own, Member: m.name, Topic: e.Topic, Partition: e.Partition, Token: e.FencingToken})
		if own.Assigned != nil {
			own.Assigned(e)
		}
	}
	ev.Revoked = func(e orderly.RevokedEvent) {
		m.giveUp(place{e.Topic, e.Partition}, e.FencingToken)
		if own.Revoked != nil {
			own.Revoked(e)
		}
	}
	ev.Lost = func(e orderly.LostEvent) {
		// Taken as a release: what is lost has to end as if it were given up,
		// unless it cannot be ended.
		m.giveUp(place{e.Topic, e.Partition}, e.FencingToken)
		if own.Lost != nil {
			own.Lost(e)
		}
	}
	ev.Committed = func(e orderly.CommittedEvent) {
		if st, ok := m.w.h.committed(e.Topic, e.Partition); e.Err == nil && (!ok || st.offset < e.Offset) {
			m.w.h.contradiction("%s was told that offset %d of partition %d is committed; the group has %d", m.name, e.Offset, e.Partition, st.offset)
		}
		if own.Committed != nil {
			own.Committed(e)
		}
	}
	ev.Warning = func(e orderly.WarningEvent) {
		if e.Code == "coordinator-silent" {
			m.excuseDeaf(nil)
		}
		if e.Code == "one-at-a-time" {
			m.oneAtATime.Store(true)
			m.w.ledger.count("one at a time")
		}
		m.mu.Lock()
		m.warnings = append(m.warnings, e)
		m.mu.Unlock()
		if own.Warning != nil {
			own.Warning(e)
		}
	}
}

// giveUp records the end of an ownership. Only handlers that ignore their ended
// contexts may outlive it.
func (m *member) giveUp(at place, token int64) {
	m.excuseDeaf(&at)
	m.w.h.add(history.Event{Kind: history.Release, Member: m.name, Topic: at.topic, Partition: at.partition, Token: token})
}

// passed records that a record is done although its handler has failed.
func (m *member) passed(topic string, partition int32, offset int64, why string) {
	m.w.h.add(history.Event{Kind: history.Done, Member: m.name, Topic: topic, Partition: partition, Offset: offset, Why: why})
}

func (m *member) excuseDeaf(only *place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for at, n := range m.deaf {
		if n > 0 && (only == nil || *only == at) {
			m.w.h.add(history.Event{Kind: history.Freeze, Member: m.name, Topic: at.topic, Partition: at.partition})
		}
	}
}

// ignoring marks a handler that is about to ignore its context.
func (m *member) ignoring(msg *orderly.Message) (end func()) {
	at := place{msg.Topic, msg.Partition}
	m.mu.Lock()
	m.deaf[at]++
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		m.deaf[at]--
		m.mu.Unlock()
	}
}

// isDeaf says whether a handler runs that ignores its context.
func (m *member) isDeaf() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.deaf {
		if n > 0 {
			return true
		}
	}
	return false
}

// warned says whether there was a warning with this code.
func (m *member) warned(code string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func (m *member) String() string { return fmt.Sprintf("member %s", m.name) }
