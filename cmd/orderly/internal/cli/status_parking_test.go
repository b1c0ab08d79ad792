package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/status"
	"github.com/orderly-go/orderly/health"
	"github.com/orderly-go/orderly/orderlytest"
)

// status shows what is parked, for how long, and who has paused what and why.
func TestStatusShowsParkedAndPaused(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	g := b.Group(orderly.ConsumerConfig{Group: "billing", Topics: []string{"orders"}, OnExhausted: orderly.PolicyPark, CommitInterval: 20 * time.Millisecond,
		Handler: func(_ context.Context, m *orderly.Message) error {
			if strings.HasPrefix(string(m.Key), "bad") {
				return orderly.Permanent(errors.New("no such account"))
			}
			return nil
		}})
	b.Produce("orders", orderlytest.Msg("bad", "0").Partition(0), orderlytest.Msg("bad", "1").Partition(0), orderlytest.Msg("good", "2").Partition(0),
		orderlytest.Msg("bad2", "3").Partition(0), orderlytest.Msg("good", "0").Partition(1))
	m := g.Start()
	srv := httptest.NewServer(health.Handler(m.Consumer(), health.Options{}))
	defer srv.Close()
	args := []string{"status", "-b", strings.Join(b.Addrs(), ","), "-g", "billing", "--members", strings.TrimPrefix(srv.URL, "http://")}
	b.Eventually("all to be parked", func() bool {
		n := 0
		for _, p := range m.Consumer().State().Partitions {
			n += p.Parking.Records
		}
		return n == 3
	})
	for _, line := range []string{"--partition 1 --reason moving", "--partition 0 --key bad2 --reason ask"} {
		say := append([]string{"pause", "-b", strings.Join(b.Addrs(), ","), "-g", "billing", "-t", "orders", "--who", "ann"}, strings.Split(line, " ")...)
		if code, out, errs := call(t.Context(), say...); code != exitOK {
			t.Fatalf("pause: exit %d\n%s%s", code, out, errs)
		}
	}
	var r status.Report
	b.Eventually("the pauses, and the age of what is parked", func() bool {
		code, out, errs := call(t.Context(), append(args, "--json")...)
		if code != exitOK {
			t.Fatalf("exit %d, %s", code, errs)
		}
		r = status.Report{}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return r.Parked != nil && r.Parked.Paused == 2 && r.Parked.Oldest != nil
	})
	if k := r.Parked; k.Keys != 2 || k.Records != 3 || k.Bytes == 0 {
		t.Errorf("%+v", k)
	}
	if k := r.Partitions[0].Live.Parking; k.Keys != 2 || k.Records != 3 || len(k.Pauses) != 1 || k.Pauses[0].Who != "ann" || k.Pauses[0].Reason != "ask" {
		t.Errorf("%+v", k)
	}
	code, out, errs := call(t.Context(), args...)
	for _, want := range []string{"parked: 2 keys with 3 records, the oldest for ", "3 (2 keys)", "PARKED OF", "orderly keys list --state parked -g billing",
		"orders/1  all of it", `"ann"`, "moving", "ask", "hash:"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in:\n%s%s", code, want, out, errs)
		}
	}
	if strings.Contains(out, "Parking topics:") {
		t.Errorf("something is said to be wrong with the parking topic:\n%s", out)
	}
	// Without members nothing is known of it, and nothing is said.
	if code, out, _ = call(t.Context(), args[:len(args)-2]...); code != exitOK || strings.Contains(out, "parked:") || strings.Contains(out, "PAUSED") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}
