package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A handler that ignores its ended context keeps its key closed in its process,
// also when the partition leaves and comes back; it is reported by name.
func TestRowStuckHandlerIsNeverOverlappedInAProcess(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	for p := range int32(2) {
		b.Produce(topic, orderlytest.Msg("stuck", "0").Partition(p), orderlytest.Msg("stuck", "1").Partition(p), orderlytest.Msg("other", "0").Partition(p))
	}
	release := make(chan struct{})
	var stuckCalls atomic.Int64
	var stuck seen[orderly.StuckEvent]
	var revoked seen[orderly.RevokedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, DrainTimeout: 100 * time.Millisecond, SessionTimeout: 2 * time.Second,
		Events: orderly.Events{Stuck: stuck.add, Revoked: revoked.add}})
	first := g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "stuck" {
				stuckCalls.Add(1)
				<-release
			}
			return nil
		}
	})
	b.Eventually("both keys to be stuck", func() bool { return stuckCalls.Load() == 2 && g.Left() == 4 })
	second := g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(_ context.Context, m *orderly.Message) error { return nil }
	})
	b.Eventually("the move of a partition", func() bool { return g.Left() == 2 })
	moved := revoked.get()[0]
	if moved.Clean || moved.Drain < 100*time.Millisecond {
		t.Errorf("revoked: %+v", moved)
	}
	b.Eventually("the report", func() bool {
		return stuck.any(func(e orderly.StuckEvent) bool {
			return e.Topic == topic && e.Partition == moved.Partition && e.Offset == 0 && string(e.Key) == "stuck" && e.Age > 0
		})
	})
	stopAll(t, second)
	b.Eventually("its return", func() bool { p, ok := stateOf(first, topic, moved.Partition); return ok && p.Committed == 3 })
	b.Produce(topic, orderlytest.Msg("stuck", "2").Partition(moved.Partition), orderlytest.Msg("other", "1").Partition(moved.Partition))
	b.Eventually("the other key to go on", func() bool { return g.Left() == 3 })
	if n := stuckCalls.Load(); n != 2 {
		t.Errorf("%d calls of stuck keys: one began beside one that runs", n)
	}
	close(release)
	g.WaitDone()
	g.RequireComplete(t)
}

// With StuckExit the process ends instead of releasing the partition.
func TestRowStuckHandlerExit(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(1, "a")...)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), stuckEnv+"="+strings.Join(b.Addrs(), ","), "ORDERLY_STUCK_TOPIC="+topic)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "the process ends instead of releasing its partition") {
		t.Errorf("the process ended with %v:\n%s", err, out)
	}
}

const stuckEnv = "ORDERLY_STUCK_BROKERS"

// stuckProcess is the process of TestRowStuckHandlerExit: its handler never
// returns, and it is asked to end.
func stuckProcess() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{
		Brokers: strings.Split(os.Getenv(stuckEnv), ","), Topics: []string{os.Getenv("ORDERLY_STUCK_TOPIC")}, Group: os.Getenv("ORDERLY_STUCK_TOPIC"),
		OnStuckHandler: orderly.StuckExit, DrainTimeout: 50 * time.Millisecond, SessionTimeout: 2 * time.Second, HeartbeatInterval: 100 * time.Millisecond,
		Handler: func(context.Context, *orderly.Message) error {
			cancel()
			select {}
		},
	})
	if err == nil {
		err = c.Run(ctx)
	}
	fmt.Println("Run has returned:", err)
	os.Exit(3)
}
