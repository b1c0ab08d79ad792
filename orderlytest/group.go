package orderlytest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Group is a consumer group of a test. What its members' handlers do is
// written down.
type Group struct {
	b   *Broker
	cfg orderly.ConsumerConfig
	j   *journal

	mu      sync.Mutex
	members []*Member
}

// Group prepares a group whose members are configured with cfg. What cfg leaves
// out has values for tests: sessions of 3 s, commits each 50 ms, retries and probes of
// the breaker after milliseconds, log lines printed only when the test fails; and a
// group's name.
func (b *Broker) Group(cfg orderly.ConsumerConfig) *Group {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cfg.Group == "" {
		cfg.Group = fmt.Sprintf("%s-%d-%d", safe(b.t.Name()), len(b.groups), time.Now().UnixNano())
	}
	if len(cfg.Brokers) == 0 {
		cfg.Brokers = b.addrs
	}
	orDefault(&cfg.SessionTimeout, 3*time.Second)
	orDefault(&cfg.RebalanceTimeout, 6*time.Second)
	orDefault(&cfg.HeartbeatInterval, 100*time.Millisecond)
	orDefault(&cfg.CommitInterval, 50*time.Millisecond)
	orDefault(&cfg.Retry.Backoff, 5*time.Millisecond)
	orDefault(&cfg.Retry.MaxBackoff, 50*time.Millisecond)
	orDefault(&cfg.StartTimeout, Patience)
	orDefault(&cfg.Breaker.ProbeInterval, 60*time.Millisecond)
	orDefault(&cfg.Breaker.MaxInterval, max(240*time.Millisecond, cfg.Breaker.ProbeInterval))
	g := &Group{b: b, cfg: cfg, j: newJournal(&cfg)}
	g.j.published = func() {
		b.writing.RLock()
		//lint:ignore SA2001 the empty section is the wait
		b.writing.RUnlock()
	}
	b.groups = append(b.groups, g)
	g.log(b.log...)
	return g
}

func orDefault(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// safe makes a test's name a group's.
func safe(name string) string {
	out := []byte(name)
	for i, c := range out {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			out[i] = '_'
		}
	}
	return string(out)
}

func (g *Group) log(recs ...*kgo.Record) {
	for _, r := range recs {
		if slices.Contains(g.cfg.Topics, r.Topic) {
			g.j.log(r)
		}
	}
}

// Name is the group's name.
func (g *Group) Name() string { return g.cfg.Group }

// Members are all that were started, in that order.
func (g *Group) Members() []*Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.members)
}

// Owner is the member that owns the partition and may start its records; it
// waits until there is one.
func (g *Group) Owner(topic string, partition int32) (owner *Member) {
	g.b.t.Helper()
	g.b.Eventually(fmt.Sprintf("somebody owns %s/%d", topic, partition), func() bool {
		for _, m := range g.Members() {
			if m.alive() && m.owns(topic, partition) {
				owner = m
				return true
			}
		}
		return false
	})
	return owner
}

// KillOwner kills the partition's owner as kill -9 does, and returns it: its
// connections end, nothing it does is heard of any more, and what its handlers
// still return counts for nobody. Their contexts end.
func (g *Group) KillOwner(topic string, partition int32) *Member {
	g.b.t.Helper()
	m := g.Owner(topic, partition)
	m.Kill()
	return m
}

// Rebalance makes a member join the group anew, and returns when the group has
// moved on to another generation and all members that live are in it.
func (g *Group) Rebalance() {
	g.b.t.Helper()
	var from int32
	var who *Member
	g.b.Eventually("a member to rebalance", func() bool {
		for _, m := range g.Members() {
			if s := m.c.State(); m.alive() && s.Member != "" && s.Generation > 0 {
				who, from = m, s.Generation
				return true
			}
		}
		return false
	})
	who.c.Rebalance()
	g.b.Eventually("another generation", func() bool {
		for _, m := range g.Members() {
			if m.alive() && m.c.State().Generation <= from {
				return false
			}
		}
		return true
	})
}

// WaitDone returns when all records that were produced are done.
func (g *Group) WaitDone() {
	g.b.t.Helper()
	g.b.Eventually("group "+g.cfg.Group+" to do all records", func() bool { return g.j.left() == 0 })
}

// Left is how many of the records that were produced are not done.
func (g *Group) Left() int { return g.j.left() }

// Counts are sums over a group's history.
type Counts struct {
	Records         int // produced
	Handled         int // of those: done by a handler
	Attempts        int // handlers begun
	Redelivered     int // handlers begun for records that were done, as a crash may repeat them
	ExcusedOverlaps int // with a handler of a member that was dead, cut off or had lost the partition
}

// Counts returns the sums as of now.
func (g *Group) Counts() Counts {
	r := g.j.check(false)
	return Counts{Records: r.Records, Handled: r.Handled, Attempts: r.Attempts, Redelivered: r.Redelivered, ExcusedOverlaps: r.ExcusedOverlaps}
}

// RequireOrdered fails the test unless, over all members: at most one record of
// a key was with a handler at a time; each began only when the one before it was
// done; none was done again by who knew it to be done; no commit passed one that
// was not; each ownership had a higher fencing token. Members that were killed
// or cut off are excused for what they could not know. It also fails when no key
// had two records.
func (g *Group) RequireOrdered(t testing.TB) {
	t.Helper()
	requireOrdered(t, g.j.check(false))
}

// RequireComplete is RequireOrdered, and fails also when a record is not done.
func (g *Group) RequireComplete(t testing.TB) {
	t.Helper()
	requireOrdered(t, g.j.check(true))
}

// SaveHistory writes what was written down to a file, for a closer look.
func (g *Group) SaveHistory(path string) error { return g.j.rec.Save(path) }
