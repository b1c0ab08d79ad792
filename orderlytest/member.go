package orderlytest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Member is a running consumer of a Group. It ends with the test at the
// latest.
type Member struct {
	g    *Group
	name string
	c    *orderly.Consumer
	w    *witness
	net  *network
	logs *lines
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run; valid when done is closed
}

// Start starts a member with the group's configuration, changed by the functions.
// It does not wait for partitions; Owner and Eventually do.
func (g *Group) Start(change ...func(*orderly.ConsumerConfig)) *Member {
	g.b.t.Helper()
	cfg := g.cfg
	for _, f := range change {
		f(&cfg)
	}
	g.mu.Lock()
	m := &Member{g: g, name: fmt.Sprintf("m%d", len(g.members)), net: newNetwork(), logs: &lines{}, done: make(chan struct{})}
	g.mu.Unlock()
	m.w = newWitness(g.j, m.name)
	if cfg.Handler != nil {
		cfg.Handler = m.w.plain(cfg.Handler)
	}
	if cfg.Batch.Handler != nil {
		cfg.Batch.Handler = m.w.batch(cfg.Batch.Handler)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(m.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	// Topics that change are noticed sooner than by default, and all goes through
	// a network that can be cut.
	cfg.KafkaOpts = slices.Concat([]kgo.Opt{kgo.MetadataMinAge(100 * time.Millisecond)}, cfg.KafkaOpts, []kgo.Opt{kgo.Dialer(m.net.dial)})
	m.listen(&cfg.Events)
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		g.b.t.Fatalf("orderlytest: %v", err)
	}
	m.c = c
	g.mu.Lock()
	g.members = append(g.members, m)
	g.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go func() {
		defer close(m.done)
		m.err = c.Run(ctx)
	}()
	g.b.t.Cleanup(func() { m.end() })
	return m
}

// end ends the member with the test.
func (m *Member) end() {
	if m.g.b.t.Failed() {
		m.g.b.t.Logf("log of member %s (%s):\n%s", m.name, m.phase(), m.logs)
	}
	m.stop()
	m.net.heal()
	select {
	case <-m.done:
		return
	case <-time.After(m.g.cfg.SessionTimeout + m.g.cfg.RebalanceTimeout):
	}
	m.c.Abort()
	<-m.done
}

// Consumer is what runs.
func (m *Member) Consumer() *orderly.Consumer { return m.c }

// Stop ends Run's context, which drains, and returns Run's error.
func (m *Member) Stop() error {
	m.stop()
	return m.Wait()
}

// Wait returns Run's error when Run has returned.
func (m *Member) Wait() error {
	m.g.b.t.Helper()
	select {
	case <-m.done:
	case <-time.After(Patience):
		m.g.b.t.Fatalf("orderlytest: waited %s for the end of member %s\n%s", Patience, m.name, m.g.b.dump())
	}
	return m.err
}

// Ended reports that Run has returned.
func (m *Member) Ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// Kill ends the member as kill -9 does. See Group.KillOwner.
func (m *Member) Kill() {
	m.net.close() // before it is dead: what it still commits, it has done
	m.w.kill()
	m.c.Abort()
}

// Cut cuts the member's network: nothing reaches the brokers, no connection
// ends. The member counts as frozen from here on.
func (m *Member) Cut() {
	m.w.add(history.Event{Kind: history.Freeze})
	m.net.darken()
}

// Heal repairs what Cut did.
func (m *Member) Heal() {
	m.net.heal()
	m.w.add(history.Event{Kind: history.Thaw})
}

func (m *Member) alive() bool { return m.w.alive() && !m.Ended() }

func (m *Member) owns(topic string, partition int32) bool {
	for _, p := range m.c.State().Partitions {
		if p.Topic == topic && p.Partition == partition {
			return p.FencingToken > 0 && len(p.Reasons) == 0
		}
	}
	return false
}

// phase says in which state Run is.
func (m *Member) phase() string {
	switch {
	case !m.Ended():
		return "running"
	case m.err != nil:
		return "ended: " + m.err.Error()
	}
	return "ended"
}

// listen writes down what the events say, before the user's own functions.
func (m *Member) listen(ev *orderly.Events) {
	place := func(kind history.Kind, topic string, partition int32, token int64) history.Event {
		return history.Event{Kind: kind, Topic: topic, Partition: partition, Token: token}
	}
	ev.Assigned = after(m, ev.Assigned, func(e orderly.AssignedEvent) { m.w.own(e.Topic, e.Partition, e.FencingToken) })
	ev.Revoked = after(m, ev.Revoked, func(e orderly.RevokedEvent) {
		if !e.Clean {
			// A handler did not return before the deadline: it counts as frozen.
			m.w.add(place(history.Freeze, e.Topic, e.Partition, 0))
		}
		m.w.add(place(history.Release, e.Topic, e.Partition, e.FencingToken))
	})
	ev.Lost = after(m, ev.Lost, func(e orderly.LostEvent) { m.w.add(place(history.Lost, e.Topic, e.Partition, e.FencingToken)) })
	ev.Committed = after(m, ev.Committed, func(e orderly.CommittedEvent) {
		if e.Err == nil {
			c := place(history.Commit, e.Topic, e.Partition, e.FencingToken)
			c.Offset = e.Offset
			m.w.add(c)
		}
	})
	ev.Attempt = after(m, ev.Attempt, nil)
	ev.Blocked = after(m, ev.Blocked, nil)
	ev.Settled = after(m, ev.Settled, nil)
	ev.DeadLettered = after(m, ev.DeadLettered, nil)
	ev.Skipped = after(m, ev.Skipped, nil)
	ev.Sequence = after(m, ev.Sequence, nil)
	ev.Parked = after(m, ev.Parked, nil)
	ev.Released = after(m, ev.Released, nil)
	m.w.passes(ev)
	ev.WriteFailed = after(m, ev.WriteFailed, nil)
	ev.Stuck = after(m, ev.Stuck, nil)
	ev.Paused = after(m, ev.Paused, nil)
	ev.Resumed = after(m, ev.Resumed, nil)
	ev.Dropped = after(m, ev.Dropped, nil)
	ev.Warning = after(m, ev.Warning, nil)
}

// after calls own, then the user's function; neither when the member is dead.
func after[E any](m *Member, user, own func(E)) func(E) {
	if user == nil && own == nil {
		return nil
	}
	return func(e E) {
		if !m.w.alive() {
			return
		}
		if own != nil {
			own(e)
		}
		if user != nil {
			user(e)
		}
	}
}

// lines keeps the last lines that were logged.
type lines struct {
	mu  sync.Mutex
	buf [][]byte
}

func (l *lines) Write(p []byte) (int, error) {
	const keep = 300
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) >= keep {
		l.buf = slices.Delete(l.buf, 0, 1)
	}
	l.buf = append(l.buf, bytes.Clone(p))
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.buf, nil))
}
