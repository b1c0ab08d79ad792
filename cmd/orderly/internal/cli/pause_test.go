package cli

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A group is paused and resumed, and a blocked key is parked and shown, by commands alone.
func TestPauseParkAndShowByCommand(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	step := func(want int, line string, texts ...string) string {
		t.Helper()
		args := append(strings.Split(line, " "), "--brokers", strings.Join(b.Addrs(), ","), "-g", "billing", "--who", "ann")
		if strings.HasPrefix(line, "keys show") || strings.HasPrefix(line, "keys list") {
			args = args[:len(args)-2]
		}
		code, out, errs := call(t.Context(), args...)
		for _, text := range texts {
			if code != want || !strings.Contains(out+errs, text) {
				t.Fatalf("%s: exit %d, want %d with %q\n%s\n%s", line, code, want, text, out, errs)
			}
		}
		return out
	}
	step(exitFailed, "pause --reason x", "has committed nothing")
	var mended atomic.Bool
	var done atomic.Int64
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyBlock, Group: "billing", Topics: []string{"orders"},
		Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour}, KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(time.Second)},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" && !mended.Load() {
				return errors.New("no such account")
			}
			done.Add(1)
			return nil
		}})
	b.Produce("orders", orderlytest.Msg("good", "0").Partition(1))
	m := g.Start()
	committed := func(offset int64) {
		t.Helper()
		b.Eventually("a commit", func() bool {
			for _, p := range m.Consumer().State().Partitions {
				if p.Partition == 1 && p.Committed == offset {
					return true
				}
			}
			return false
		})
	}
	committed(1)
	step(exitUsage, "pause", "needs --reason")
	step(exitUsage, "pause --partition 1 --reason x", "of a topic (-t)")
	step(exitUsage, "pause -t orders --key a --reason x", "with it --partition")
	step(exitOK, "pause --reason moving", "orders/0: done", "orders/1: done")
	b.Produce("orders", orderlytest.Msg("good", "1").Partition(1))
	b.Eventually("the partition to be paused", func() bool {
		for _, p := range m.Consumer().State().Partitions {
			if p.Partition == 1 && len(p.Reasons) == 1 && p.Reasons[0] == "paused" && p.Parking.Cause == "paused by ann: moving" && p.Waiting == 1 {
				return true
			}
		}
		return false
	})
	if done.Load() != 1 {
		t.Error("handled while paused")
	}
	step(exitOK, "resume -t orders --json", `"state":"done"`)
	committed(2)
	step(exitOK, "pause -t orders --partition 1 --key good --reason ask", "orders/1: done")
	step(exitOK, "resume -t orders --partition 1 --key good", "orders/1: done")

	b.Produce("orders", orderlytest.Msg("bad", `{"total":1}`).Partition(1), orderlytest.Msg("bad", "1").Partition(1))
	b.Eventually("the key to block", func() bool {
		for _, p := range m.Consumer().State().Partitions {
			if p.Blocked == 1 {
				return true
			}
		}
		return false
	})
	step(exitUsage, "keys park -t orders --partition 1 --key bad --offset 2", "needs --reason")
	step(exitFailed, "keys park -t orders --partition 1 --key bad --offset 17 --reason x", "no record at 17 is blocked")
	step(exitOK, "keys park -t orders --partition 1 --key bad --offset 2 --reason tomorrow", "done: its key is parked")
	committed(4)
	step(exitOK, "keys list --state parked -t orders --sort records --json", `"state":"parked"`, `"records":2`, `"first_offset":2`, "by an operator, ann: tomorrow")
	if out := step(exitOK, "keys show -t orders --partition 1 --key bad", "no such account", "tomorrow", "ann", "resume", "done"); strings.Contains(out, "total") {
		t.Errorf("values are shown:\n%s", out)
	}
	step(exitOK, "keys show -t orders --partition 1 --key bad --show-values --json", `"value":"{\"total\":1}"`, `"verb":"park"`, `"offset":3`)
	mended.Store(true)
	step(exitOK, "keys retry -t orders --partition 1 --key bad --offset 2", "done: released")
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}
