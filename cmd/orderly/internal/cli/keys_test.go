package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A topic is set up, a key is parked, listed, skipped and retried, by commands alone.
func TestParkedKeysByCommand(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	args := func(line string) []string {
		return append(strings.Fields(line), "--brokers", strings.Join(b.Addrs(), ","), "-t", "orders", "-g", "billing")
	}
	step := func(want int, line, text string) string {
		t.Helper()
		code, out, errs := call(t.Context(), args(line)...)
		if code != want || !strings.Contains(out+errs, text) {
			t.Fatalf("%s: exit %d, want %d with %q\n%s\n%s", line, code, want, text, out, errs)
		}
		return out
	}
	step(exitFailed, "keys list --state parked", "nothing was ever parked")
	step(exitOK, "setup --parking --dry-run", "would have made orderly-parked.billing.orders: 2 partitions")
	step(exitOK, "setup --parking", "made orderly-parked.billing.orders: 2 partitions")
	step(exitOK, "setup --parking", "is there: 2 partitions")
	step(exitOK, "setup --parking --print-acls", "--operation Delete")
	var mended atomic.Bool
	var tried atomic.Int64 // the highest offset that was handed to the handler, and one
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Group: "billing", Topics: []string{"orders"}, Parking: orderly.Parking{NoCreate: true},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if tried.Store(m.Offset + 1); !mended.Load() {
				return orderly.Permanent(errors.New("no such account"))
			}
			return nil
		}})
	b.Produce("orders", orderlytest.Msg("a", "0").Partition(1), orderlytest.Msg("a", "1").Partition(1), orderlytest.Msg("a", "2").Partition(1))
	m := g.Start()
	b.Eventually("three records to be parked", func() bool {
		n := 0
		for _, p := range m.Consumer().State().Partitions {
			n += p.Parking.Records
		}
		return n == 3
	})
	out := step(exitOK, "keys list --state parked --json", `"state":"parked"`)
	var k struct {
		Partition         int32
		Key, Cause        string
		FirstOffset       int64 `json:"first_offset"`
		Records, Attempts int
	}
	if err := json.Unmarshal([]byte(out), &k); err != nil || k.Partition != 1 || k.Key != "a" || k.Cause != "no such account" || k.Records != 3 || k.Attempts != 1 {
		t.Errorf("%s: %+v, %v", out, k, err)
	}
	step(exitOK, "keys list --state parked", "1 parked keys, 1 shown")
	step(exitOK, "keys retry --partition 1 --key a --offset 0", "failed again: no such account")
	step(exitOK, "keys skip --partition 1 --key a --offset 0 --reason broken", "done: skipped")
	// What is behind a skipped record goes on by itself, and fails like it.
	b.Eventually("the next record to be tried", func() bool { return tried.Load() == 2 })
	step(exitOK, "keys retry --partition 1 --key a --offset 1", "failed again: no such account")
	mended.Store(true)
	step(exitOK, "keys retry --partition 1 --key a --offset 1 --json", `"result":"released"`)
	step(exitFailed, "keys skip --partition 1 --key b --offset 9 --reason x", "nothing of its key is parked")
	step(exitOK, "keys list --state parked", "0 parked keys")
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}
