package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A command for a partition without an owner waits, and says so; the first one makes the
// topic that it is written to, for a topic of the group alone.
func TestWordsWithoutAnOwner(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	b.CreateTopic("other", 2)
	g := b.Group(orderly.ConsumerConfig{Group: "billing", Topics: []string{"orders"}, OnExhausted: orderly.PolicyBlock,
		Handler: func(context.Context, *orderly.Message) error { return nil }})
	b.Produce("orders", orderlytest.Msg("a", "0").Partition(0), orderlytest.Msg("a", "0").Partition(1))
	m := g.Start()
	g.WaitDone()
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	waits := "is done when the partition has an owner"
	for _, c := range []struct {
		line string
		out  []string // empty: nothing is printed
		errs string
	}{
		{"pause -t other --reason x", nil, "group billing has committed nothing of topic other"},
		{"keys retry -t other --partition 0 --key a --offset 0", nil, "group billing has committed nothing of topic other"},
		{"pause -t orders --reason x", []string{"orders/0: requested (command ", "orders/1: requested (command "}, waits},
		{"pause -t orders --partition 1 --reason x --json", []string{`"state":"requested"`, `"at":null`}, waits},
		{"pause -t orders --partition 7 --reason x", nil, "none of number 7"},
		{"keys retry -t orders --partition 0 --key a --offset 0", []string{"requested (command "}, waits},
		{"keys retry -t orders --partition 0 --key a --offset 0 --json", []string{`"state":"requested"`, `"at":null`}, waits},
	} {
		args := append(strings.Split(c.line, " "), "--brokers", strings.Join(b.Addrs(), ","), "-g", "billing", "--timeout", "1s")
		code, out, errs := call(t.Context(), args...)
		if code != exitFailed || !strings.Contains(errs, c.errs) || c.out == nil && out != "" {
			t.Errorf("%s: exit %d\n%s%s", c.line, code, out, errs)
		}
		for _, want := range c.out {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %s", c.line, want, out)
			}
		}
	}
	for _, verb := range []string{"pause", "resume", "keys retry", "keys skip", "keys park"} {
		_, out, _ := call(t.Context(), append(strings.Split(verb, " "), "--help")...)
		for _, want := range []string{"Where there is no parking topic the first command makes it", "when the partition has an owner"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s --help does not say %q", verb, want)
			}
		}
	}
}
