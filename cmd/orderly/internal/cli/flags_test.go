package cli

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/consume"
	"github.com/orderly-go/orderly/cmd/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Each flag has its effect on what is run, and no other.
func TestFlagsOfConsume(t *testing.T) {
	var got *consume.Options
	runConsume = func(_ context.Context, o consume.Options) (consume.Result, error) {
		got = &o
		return consume.Result{}, nil
	}
	t.Cleanup(func() { runConsume = consume.Run })
	options := func(args ...string) consume.Options {
		t.Helper()
		got = nil
		if code, _, errs := call(t.Context(), append([]string{"consume", "-t", "t", "-g", "g"}, args...)...); code != exitOK || got == nil {
			t.Fatalf("%q: exit %d, %s", args, code, errs)
		}
		return *got
	}
	plain := options()
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		args string
		want func(o *consume.Options)
	}{
		{"--scope partition", func(o *consume.Options) { o.Scope = orderly.ScopePartition }},
		{"--from latest", func(o *consume.Options) { o.Start = orderly.StartLatest() }},
		{"--from 2026-01-31T08:00:00Z", func(o *consume.Options) { o.Start = orderly.StartAt(at) }},
		{"--reset earliest", func(o *consume.Options) { o.Reset = orderly.ResetEarliest }},
		{"--reset latest", func(o *consume.Options) { o.Reset = orderly.ResetLatest }},
		{"--on-exhausted block", func(o *consume.Options) { o.OnExhausted = orderly.PolicyBlock }},
		{"--sequence headers", func(o *consume.Options) { o.Sequence.Headers = true }},
		{"--sequence .a.b --on-gap park", func(o *consume.Options) {
			o.Sequence = orderly.SequenceGuard{Field: ".a.b", OnGap: orderly.GapPark}
		}},
		{"--on-exhausted skip", func(o *consume.Options) { o.OnExhausted = orderly.PolicySkip }},
		{"--on-exhausted dead-letter --dead-letter-topic d --on-write-failure stop", func(o *consume.Options) {
			o.OnExhausted, o.DeadLetter.Topic, o.OnWriteFailure = orderly.PolicyDeadLetter, "d", orderly.PolicyStop
		}},
		{"--max-attempts 3", func(o *consume.Options) { o.Retry.MaxAttempts = 3 }},
		{"--backoff 2s", func(o *consume.Options) { o.Retry.Backoff = 2 * time.Second }},
		{"--max-backoff 2m", func(o *consume.Options) { o.Retry.MaxBackoff = 2 * time.Minute }},
		{"--session-timeout 10s", func(o *consume.Options) { o.SessionTimeout = 10 * time.Second }},
		{"--concurrency 7", func(o *consume.Options) { o.Concurrency = 7 }},
		{"--until-end", func(o *consume.Options) { o.UntilEnd = true }},
		{"-v", func(o *consume.Options) { o.Verbose = true }},
		{"--metrics :9464", func(o *consume.Options) { o.Metrics = ":9464" }},
		{"--log-keys plain", func(o *consume.Options) { o.LogKeys = orderly.KeysPlain }},
		{"-- worker --fast", func(o *consume.Options) { o.Command = []string{"worker", "--fast"} }},
	} {
		o := options(strings.Fields(c.args)...)
		want := plain
		c.want(&want)
		if same(o, plain) {
			t.Errorf("%s has no effect", c.args)
		}
		if !same(o, want) {
			t.Errorf("%s: %+v, want %+v", c.args, o, want)
		}
	}
}

// same compares what is not made anew by each call.
func same(a, b consume.Options) bool {
	for _, o := range []*consume.Options{&a, &b} {
		o.Cluster, o.Out, o.Err = nil, nil, nil
		if len(o.Command) == 0 {
			o.Command = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestFlagsOfProduce(t *testing.T) {
	var got *produce.Options
	runProduce = func(_ context.Context, o produce.Options) (produce.Result, error) {
		got = &o
		return produce.Result{}, nil
	}
	t.Cleanup(func() { runProduce = produce.Run })
	code, _, errs := call(t.Context(), "produce", "-t", "t", "--key", ".a.b", "--value", ".c", "--create", "--partitions", "3", "--skip-bad", "--max-record-bytes", "120000000",
		"--delivery-timeout", "3s", "--client-id", "mine", "--security-protocol", "SSL", "-b", "k:1", "x.jsonl", "-")
	if code != exitOK || got == nil {
		t.Fatalf("exit %d, %s", code, errs)
	}
	if got.Topic != "t" || got.Key.String() != ".a.b" || got.Value == nil || got.Value.String() != ".c" || !got.Create || got.Partitions != 3 || !got.SkipBad ||
		got.MaxRecord != 120_000_000 || got.DeliveryTimeout != 3*time.Second || !reflect.DeepEqual(got.Files, []string{"x.jsonl", "-"}) {
		t.Errorf("%+v", got)
	}
	cl, err := got.Cluster.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if cl.OptValue(kgo.ClientID) != "mine" || !reflect.DeepEqual(got.Cluster.Brokers, []string{"k:1"}) {
		t.Errorf("client %v of %v", cl.OptValue(kgo.ClientID), got.Cluster.Brokers)
	}
	if tls := cl.OptValue(kgo.DialTLSConfig); reflect.ValueOf(tls).IsNil() {
		t.Error("SSL without TLS")
	}
}
