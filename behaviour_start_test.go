package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) lines(with string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

func nothing(context.Context, *orderly.Message) error { return nil }

// Nobody answers: a line for each try, then a typed error.
func TestStartTimeout(t *testing.T) {
	t.Parallel()
	var log logged
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: []string{"127.0.0.1:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing,
		StartTimeout: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = c.Run(context.Background())
	took := time.Since(began)
	var ce *orderly.ConnectError
	if !errors.As(err, &ce) || len(ce.Brokers) != 1 || ce.Brokers[0] != "127.0.0.1:1" || ce.Waited < 2*time.Second || ce.Err == nil {
		t.Errorf("Run: %v", err)
	}
	if took < 2*time.Second || took > 8*time.Second {
		t.Errorf("Run gave up after %s", took)
	}
	if n := log.lines("no broker answers"); n < 2 || log.lines("try=1 ") != 1 || log.lines("127.0.0.1:1") < n {
		t.Errorf("%d lines:\n%s", n, log.b.String())
	}
}

// Without StartTimeout Run waits for ever, and ends well when it is asked to.
func TestStartWithoutBrokerEndsWithContext(t *testing.T) {
	t.Parallel()
	var log logged
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: []string{"127.0.0.1:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	eventually(t, "the first try", func() bool { return log.lines("no broker answers") > 0 })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// Abort while no broker answers.
func TestAbortBeforeABrokerAnswers(t *testing.T) {
	t.Parallel()
	var log logged
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: []string{"127.0.0.1:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing,
		StartTimeout: 20 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- c.Run(context.Background()) }()
	eventually(t, "the first try", func() bool { return log.lines("no broker answers") > 0 })
	c.Abort()
	if err := <-ended; !errors.Is(err, orderly.ErrAborted) || time.Since(began) > 15*time.Second {
		t.Errorf("Run after %s: %v", time.Since(began), err)
	}
}

func TestTopicMissing(t *testing.T) {
	t.Parallel()
	b := engine(t)
	there := newTopic(t, b, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{there, "not-there"}, Handler: nothing})
	err := g.Start().Wait()
	var a *orderly.AccessError
	if !errors.As(err, &a) || a.Resource != "topic" || a.Name != "not-there" || a.Operation != "Describe" || !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("Run: %v", err)
	}
}

// A topic grows: the new partitions are read from their oldest record, also with
// StartLatest, and one warning says which keys may have moved.
func TestPartitionsGrow(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	var warnings seen[orderly.WarningEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Start: orderly.StartLatest(), Handler: nothing,
		Events: orderly.Events{Warning: warnings.add}, KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(500 * time.Millisecond)}})
	m := g.Start()
	for p := range int32(2) {
		g.Owner(topic, p)
	}
	b.GrowTopic(topic, 4)
	// Written, at the first at least, before the consumer knows of the partition: not
	// one is skipped.
	for i := range 5 {
		b.Produce(topic, orderlytest.Msg("k", fmt.Sprint(i)).Partition(3))
	}
	g.WaitDone()
	committed(t, b, m, topic, 3, 5)
	b.Eventually("the warning", func() bool { return warnings.len() > 0 })
	if w := warnings.get(); len(w) != 1 || w[0].Code != "partitions-grew" ||
		!strings.Contains(w[0].Message, topic+" grew from 2 to 4 partitions: about 50 % of the keys") {
		t.Errorf("warnings: %+v", w)
	}
	g.RequireComplete(t)
}

// Foreign and newer commit metadata is ignored, with a warning; the offset
// counts.
func TestForeignCommitMetadata(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(5, "k")...)
	for _, c := range []struct{ metadata, code string }{
		{"", "foreign-commit"},
		{"some other tool's", "foreign-commit"},
		{"orderly99;from=the future", "metadata-ignored"},
		{"orderly1;t=1;w=2;k=00000000", "metadata-ignored"},
	} {
		var warnings seen[orderly.WarningEvent]
		var got seen[string]
		g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&got), Events: orderly.Events{Warning: warnings.add}})
		ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
		os := kadm.Offsets{}
		os.Add(kadm.Offset{Topic: topic, Partition: 0, At: 2, LeaderEpoch: -1, Metadata: c.metadata})
		err := b.Admin().CommitAllOffsets(ctx, g.Name(), os)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		m := g.Start()
		committed(t, b, m, topic, 0, 5)
		if s := fmt.Sprint(got.get()); s != "[2 3 4]" {
			t.Errorf("%q: handled %s", c.metadata, s)
		}
		w := warnings.get()
		if len(w) != 1 || w[0].Code != c.code || !strings.Contains(w[0].Message, topic) {
			t.Errorf("%q: warnings %+v", c.metadata, w)
		}
		stopAll(t, m)
	}
}
