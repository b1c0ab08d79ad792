package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A scene is a topic and a group that passes from hand to hand.
type scene struct {
	t     *testing.T
	b     *orderlytest.Broker
	topic string
	g     *orderlytest.Group
	j     *journal

	wrote   map[string][]int64 // offsets, by key
	records int

	mu       sync.Mutex
	warnings []orderly.WarningEvent
	tokens   []int64 // in the order in which our handlers saw them
}

func newScene(t *testing.T, partitions int32, handler orderly.Handler) *scene {
	t.Helper()
	var b *orderlytest.Broker
	if addrs := kafkatest.Shared(); addrs != nil {
		b = orderlytest.Dial(t, addrs...)
	} else {
		b = orderlytest.NewBroker(t)
	}
	s := &scene{t: t, b: b, topic: kafkatest.Name(t, "moving"), j: &journal{}, wrote: map[string][]int64{}}
	b.CreateTopic(s.topic, partitions)
	s.g = b.Group(orderly.ConsumerConfig{Group: kafkatest.Name(t, "moving"), Topics: []string{s.topic}, Handler: handler,
		Events: orderly.Events{Warning: func(w orderly.WarningEvent) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.warnings = append(s.warnings, w)
		}}})
	return s
}

// write writes one record for each key; a key stays on the partition of its number.
func (s *scene) write(keys ...string) {
	s.t.Helper()
	for _, k := range keys {
		p := int32(0)
		if _, err := fmt.Sscanf(k, "p%d-", &p); err != nil {
			s.t.Fatal(err)
		}
		r := &kgo.Record{Topic: s.topic, Partition: p, Key: []byte(k), Value: fmt.Append(nil, len(s.wrote[k]))}
		if err := s.b.Client().ProduceSync(s.t.Context(), r).FirstErr(); err != nil {
			s.t.Fatal(err)
		}
		s.wrote[k] = append(s.wrote[k], r.Offset)
		s.records++
	}
}

// A member is of whichever client.
type member interface {
	stop()
	parts() int
}

// own is a member of ours.
type own struct {
	t *testing.T
	*orderlytest.Member
}

func (o own) parts() int { return len(o.Consumer().State().Partitions) }

func (o own) stop() {
	o.t.Helper()
	if err := o.Stop(); err != nil {
		o.t.Errorf("Run: %v", err)
	}
}

// ours starts a member of ours, which writes down what the group's handler does not
// refuse.
func (s *scene) ours(balancer orderly.Balancer) own {
	s.t.Helper()
	name := fmt.Sprintf("ours-%d", s.j.ours.Add(1))
	return own{s.t, s.g.Start(func(c *orderly.ConsumerConfig) {
		c.Balancer = balancer
		next := c.Handler
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			if err := next(ctx, m); err != nil {
				return err
			}
			s.j.add(handled{by: name, partition: m.Partition, offset: m.Offset, key: string(m.Key), value: string(m.Value)})
			s.mu.Lock()
			s.tokens = append(s.tokens, m.FencingToken)
			s.mu.Unlock()
			return nil
		}
	})}
}

func (s *scene) plain() *plain { return startPlain(s.t, s.b, s.g.Name(), s.topic, s.j) }

func (s *scene) warned(code, part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.warnings, func(w orderly.WarningEvent) bool {
		return w.Code == code && strings.Contains(w.Message, part)
	})
}

func (s *scene) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = nil
}

// committed is the group's commit of a partition.
func (s *scene) committed(partition int32) (o kadm.Offset) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	all, err := s.b.Admin().FetchOffsets(ctx, s.g.Name())
	if errors.Is(err, kerr.GroupIDNotFound) {
		return kadm.Offset{At: -1}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	r, ok := all.Lookup(s.topic, partition)
	if !ok {
		return kadm.Offset{At: -1}
	}
	return r.Offset
}

// allDone waits until everything is handled and committed.
func (s *scene) allDone() {
	s.t.Helper()
	s.b.Eventually("all records to be handled", func() bool { return s.j.records() == s.records })
	s.b.Eventually("all records to be committed", func() bool {
		sum := int64(0)
		for p := range int32(4) {
			sum += max(0, s.committed(p).At)
		}
		return sum == int64(s.records)
	})
}

// protocol is the balancer that the group has chosen.
func (s *scene) protocol() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	gs, err := s.b.Admin().DescribeGroups(ctx, s.g.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	return gs[s.g.Name()].Protocol
}

func fine(context.Context, *orderly.Message) error { return nil }

var errNotNow = errors.New("not now")

// Two Java consumers with their eager balancer give the group to two of ours, one
// after the other, and two rolling restarts later it is cooperative; then the whole
// way back. Records come all the time; each key stays in order; as no key is
// blocked, nothing comes twice.
func TestThereAndBack(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	s := newScene(t, 4, fine)
	write := func() {
		for range 5 {
			s.write("p0-a", "p1-a", "p2-a", "p3-a", "p0-b", "p1-b", "p2-b", "p3-b")
		}
	}
	// roll replaces the members one by one.
	roll := func(old []member, start func() member) (now []member) {
		for _, m := range old {
			m.stop()
			write()
			now = append(now, start())
			s.b.Eventually("the new member to have its share", func() bool { return now[len(now)-1].parts() == 2 })
			write()
		}
		s.allDone()
		return now
	}
	plain := func() member { return s.plain() }
	migrating := func() member { return s.ours(orderly.MigrateFrom(orderly.Range)) }
	cooperative := func() member { return s.ours(orderly.CooperativeSticky) }
	balancer := func(want string) {
		t.Helper()
		if p := s.protocol(); p != want {
			t.Errorf("the balancer is %q, and should be %q", p, want)
		}
	}

	write()
	java := []member{plain(), plain()}
	s.b.Eventually("both Java consumers to have partitions", func() bool { return java[0].parts() == 2 && java[1].parts() == 2 })
	write()
	s.allDone()
	ours := roll(java, migrating)
	balancer("range")
	if !s.warned("foreign-member", "plain-java") {
		t.Error("no warning of the consumer that is not ours")
	}
	if !s.warned("foreign-commit", "without metadata") {
		t.Error("no warning of the commits that are not ours")
	}
	ours = roll(ours, cooperative)
	balancer("cooperative-sticky")
	ours = roll(ours, migrating)
	balancer("range")
	roll(ours, plain)
	balancer("range")

	s.j.requireOrder(t, s.wrote)
	again := s.j.repeated()
	if len(again) != 0 {
		t.Errorf("%d records came again: %+v", len(again), again)
	}
	t.Logf("%d records, %d of them came again", s.records, len(again))
}

// A plain consumer goes on at the committed watermark: what was done ahead of it
// is in metadata that it does not read, and comes again, no more than that. It
// commits without metadata; ours then goes on at that offset, with a warning and
// a higher fencing token, and hands over nothing of what the plain one did.
func TestWhatAPlainConsumerSees(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	var open atomic.Bool
	s := newScene(t, 1, func(_ context.Context, m *orderly.Message) error {
		if string(m.Key) == "p0-stuck" && !open.Load() {
			return errNotNow
		}
		return nil
	})
	// Three records first, so that the watermark is not the beginning.
	s.write("p0-a", "p0-b", "p0-a", "p0-stuck")
	for range 20 {
		s.write("p0-a", "p0-b")
	}
	s.write("p0-stuck")
	const watermark, ahead = 3, 40

	m := s.ours(orderly.CooperativeSticky)
	s.b.Eventually("all but the blocked key to be done, and said in the metadata", func() bool {
		o := s.committed(0)
		meta, err := progress.Decode(o.At, o.Metadata)
		return err == nil && o.At == watermark && doneAhead(meta) == ahead
	})
	m.stop()
	if o := s.committed(0); o.At != watermark {
		t.Fatalf("committed %d", o.At)
	}
	before := len(s.j.get())

	p := s.plain()
	s.allDone()
	p.stop()
	if o := s.committed(0); o.Metadata != "" {
		t.Errorf("the plain consumer left metadata: %q", o.Metadata)
	}
	got := s.j.get()[before:]
	for i, h := range got {
		if h.offset != watermark+int64(i) {
			t.Fatalf("the plain consumer's record %d is at offset %d", i, h.offset)
		}
	}
	// The blocked key's two, and what was done ahead.
	if again := len(s.j.repeated()); again != ahead || len(got) != ahead+2 {
		t.Errorf("it was given %d records, %d of them again", len(got), again)
	}
	t.Logf("watermark %d, done ahead %d: the plain consumer was given %d records, %d of them again", watermark, ahead, len(got), len(s.j.repeated()))

	s.forget()
	open.Store(true)
	s.mu.Lock()
	earlier := slices.Max(s.tokens)
	s.tokens = nil
	s.mu.Unlock()
	before = len(s.j.get())
	m = s.ours(orderly.CooperativeSticky)
	s.write("p0-stuck", "p0-a")
	s.allDone()
	m.stop()
	if got := s.j.get()[before:]; len(got) != 2 {
		t.Errorf("ours was given %+v", got)
	}
	if !s.warned("foreign-commit", fmt.Sprintf("offset %d was committed without metadata", watermark+ahead+2)) {
		t.Errorf("warnings: %+v", s.warnings)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if least := slices.Min(s.tokens); least <= earlier {
		t.Errorf("fencing token %d after %d", least, earlier)
	}
	s.j.requireOrder(t, s.wrote)
}

func doneAhead(m progress.Meta) (n int64) {
	for _, r := range m.Ahead {
		n += r.To - r.From
	}
	return n
}

// parallelConsumerMetadata is what Confluent's Parallel Consumer 0.5.3.3 writes at
// offset 2 when of the records up to 9 those at 2, 5 and 7 are not done: its own
// encoder was asked.
const parallelConsumerMetadata = "bAAI1gA="

// Whoever committed metadata that is not ours: its offset counts and its metadata
// is ignored, with a warning; what it had recorded as done ahead comes again.
func TestMetadataOfOthers(t *testing.T) {
	for _, c := range []struct{ whose, metadata string }{
		{"the Parallel Consumer's", parallelConsumerMetadata},
		{"an application's", `{"node":"billing-3"}`},
	} {
		t.Run(c.whose, func(t *testing.T) {
			s := newScene(t, 1, fine)
			s.write("p0-a", "p0-b", "p0-c", "p0-a", "p0-b", "p0-c", "p0-a", "p0-b", "p0-c", "p0-a")
			ctx, cancel := context.WithTimeout(t.Context(), orderlytest.Patience)
			defer cancel()
			var os kadm.Offsets
			os.Add(kadm.Offset{Topic: s.topic, Partition: 0, At: 2, LeaderEpoch: -1, Metadata: c.metadata})
			if err := s.b.Admin().CommitAllOffsets(ctx, s.g.Name(), os); err != nil {
				t.Fatal(err)
			}
			m := s.ours(orderly.CooperativeSticky)
			s.b.Eventually("the commit of the end", func() bool { return s.committed(0).At == int64(s.records) })
			m.stop()
			if got := s.j.get(); len(got) != s.records-2 || !slices.ContainsFunc(got, func(h handled) bool { return h.offset == 2 }) {
				t.Errorf("handled %+v", got)
			}
			if !s.warned("foreign-commit", "committed by something other than orderly") {
				t.Errorf("warnings: %+v", s.warnings)
			}
		})
	}
}
