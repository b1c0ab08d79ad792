package orderly_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s(go test -run '^%s$' . -update writes it)", path, got, want, t.Name())
	}
}

// good is a configuration without a problem.
func good() orderly.ConsumerConfig {
	return orderly.ConsumerConfig{Brokers: []string{"127.0.0.1:9092"}, Group: "g", Topics: []string{"t"}, Handler: nothing}
}

func TestConfigMinimal(t *testing.T) {
	if _, err := orderly.NewConsumer(good()); err != nil {
		t.Error(err)
	}
}

// All problems come at once, each with the field's name and the way out.
func TestConfigProblemsAllAtOnce(t *testing.T) {
	batch := func(context.Context, []*orderly.Message) (int, error) { return 0, nil }
	var text strings.Builder
	for _, c := range []struct {
		title string
		cfg   orderly.ConsumerConfig
	}{
		{"nothing", orderly.ConsumerConfig{}},
		{"everything", orderly.ConsumerConfig{
			Brokers: []string{" "}, Topics: []string{"a", "", "a"}, Handler: nothing, Batch: orderly.Batch{Handler: batch, Max: 20_000, Wait: time.Minute},
			Scope: 7, OrderBy: orderly.OrderBy{Name: "Upper Case", Key: func(r *kgo.Record) []byte { return r.Key }}, NullKeys: 9,
			Retry: orderly.Retry{MaxAttempts: -1, Backoff: time.Minute, MaxBackoff: time.Second}, OnExhausted: "drop",
			Concurrency: -1, Lanes: 100_000, Buffer: orderly.Buffer{Records: 1, Bytes: 1, Window: 1},
			Breaker: orderly.Breaker{Disabled: true, ProbeURL: "ftp://x", ProbeTCP: "nowhere", ProbeTimeout: time.Hour,
				ProbeInterval: time.Minute, MaxInterval: time.Second, Successes: -1},
			AttemptTimeout: -1, DrainTimeout: time.Hour, CommitInterval: time.Millisecond, StartTimeout: -1,
			SessionTimeout: time.Millisecond, RebalanceTimeout: 2 * time.Hour, HeartbeatInterval: time.Minute,
			Balancer: orderly.MigrateFrom(orderly.CooperativeSticky), Reset: 5, OnStuckHandler: 3,
			KafkaOpts: []kgo.Opt{kgo.GreedyAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) {})},
		}},
		{"halves", orderly.ConsumerConfig{
			Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, Batch: orderly.Batch{Max: 5},
			Scope: orderly.ScopePartition, OrderBy: orderly.OrderBy{Key: func(r *kgo.Record) []byte { return r.Key }}, Balancer: orderly.MigrateFrom(),
		}},
		{"name without a function", orderly.ConsumerConfig{
			Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing, OrderBy: orderly.OrderBy{Name: "x"}, OnExhausted: "drop",
		}},
		{"dead letters without their policy", orderly.ConsumerConfig{
			Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing,
			DeadLetter: orderly.DeadLetter{Create: true}, OnWriteFailure: orderly.PolicyStop,
		}},
		{"dead letters", orderly.ConsumerConfig{
			Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t", "t-dlt"}, Handler: nothing, OnExhausted: orderly.PolicyDeadLetter,
			DeadLetter: orderly.DeadLetter{Profile: "connect", MaxHeaderBytes: 10}, OnWriteFailure: orderly.PolicySkip,
		}},
		{"sequence", orderly.ConsumerConfig{
			Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing,
			Sequence: orderly.SequenceGuard{Headers: true, Field: "n", OnGap: "wait", Keys: -1},
		}},
		{"sequence without a place", orderly.ConsumerConfig{
			Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, Handler: nothing, Sequence: orderly.SequenceGuard{OnGap: orderly.GapPark},
		}},
	} {
		_, err := orderly.NewConsumer(c.cfg)
		var ce *orderly.ConfigError
		if !errors.As(err, &ce) {
			t.Fatalf("%s: %v", c.title, err)
		}
		text.WriteString("== " + c.title + "\n" + err.Error() + "\n")
	}
	golden(t, "config-problems.golden", text.String())
}

// Options that would break the contract are refused by name, with the way out.
func TestConfigRefusedOptions(t *testing.T) {
	nop := func(context.Context, *kgo.Client, map[string][]int32) {}
	var names []string
	var text strings.Builder
	for _, o := range []struct {
		name string
		opt  kgo.Opt
	}{
		{"SeedBrokers", kgo.SeedBrokers("other:9092")},
		{"ConsumerGroup", kgo.ConsumerGroup("other")},
		{"ConsumeTopics", kgo.ConsumeTopics("other")},
		{"ConsumeRegex", kgo.ConsumeRegex()},
		{"ConsumePartitions", kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset()}})},
		{"ConsumeStartOffset", kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd())},
		{"ConsumeResetOffset", kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd())},
		{"FetchIsolationLevel", kgo.FetchIsolationLevel(kgo.ReadCommitted())},
		{"Balancers", kgo.Balancers(kgo.RangeBalancer())},
		{"InstanceID", kgo.InstanceID("i")},
		{"SessionTimeout", kgo.SessionTimeout(time.Minute)},
		{"RebalanceTimeout", kgo.RebalanceTimeout(5 * time.Minute)},
		{"HeartbeatInterval", kgo.HeartbeatInterval(time.Second)},
		{"DisableAutoCommit", kgo.DisableAutoCommit()},
		{"GreedyAutoCommit", kgo.GreedyAutoCommit()},
		{"AutoCommitMarks", kgo.AutoCommitMarks()},
		{"AutoCommitInterval", kgo.AutoCommitInterval(time.Second)},
		{"AutoCommitCallback", kgo.AutoCommitCallback(func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {})},
		{"OnOffsetsFetched", kgo.OnOffsetsFetched(func(context.Context, *kgo.Client, *kmsg.OffsetFetchResponse) error { return nil })},
		{"OnPartitionsCallbackBlocked", kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) {})},
		{"ShareGroup", kgo.ShareGroup("x")},
		{"BlockRebalanceOnPoll", kgo.BlockRebalanceOnPoll()},
		{"OnPartitionsAssigned", kgo.OnPartitionsAssigned(nop)},
		{"OnPartitionsRevoked", kgo.OnPartitionsRevoked(nop)},
		{"OnPartitionsLost", kgo.OnPartitionsLost(nop)},
		{"AdjustFetchOffsetsFn", kgo.AdjustFetchOffsetsFn(func(_ context.Context, m map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			return m, nil
		})},
		{"KeepControlRecords", kgo.KeepControlRecords()},
		{"DisableIdempotentWrite", kgo.DisableIdempotentWrite()},
		{"TransactionalID", kgo.TransactionalID("x")},
	} {
		cfg := good()
		cfg.KafkaOpts = []kgo.Opt{o.opt}
		_, err := orderly.NewConsumer(cfg)
		if err == nil || !strings.Contains(err.Error(), "kgo."+o.name+" is refused: ") {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		names = append(names, o.name)
		text.WriteString(err.Error() + "\n")
	}
	golden(t, "config-refused-options.golden", text.String())
	if len(names) != len(slices.Compact(names)) {
		t.Error("an option is there twice")
	}

	cfg := good()
	cfg.KafkaOpts = []kgo.Opt{kgo.ClientID("orderly-billing"), kgo.FetchMaxBytes(1 << 20), kgo.MetadataMaxAge(time.Minute), kgo.Rack("r1"),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelNone, nil))}
	if _, err := orderly.NewConsumer(cfg); err != nil {
		t.Errorf("options that are nobody's business: %v", err)
	}
}

func TestJSON(t *testing.T) {
	type order struct {
		ID    string `json:"id"`
		Cents int    `json:"cents"`
	}
	var got []order
	h := orderly.JSON(func(_ context.Context, o order, m *orderly.Message) error {
		got = append(got, o)
		return nil
	})
	call := func(value string) error {
		return h(context.Background(), &orderly.Message{Record: &kgo.Record{Value: []byte(value)}})
	}
	if err := call(`{"id":"a","cents":7,"more":1}`); err != nil {
		t.Error(err)
	}
	if err := call(`{"id":"b"}`); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, []order{{"a", 7}, {"b", 0}}) {
		t.Errorf("%+v: a value of one record is seen in the next", got)
	}
	for _, bad := range []string{"", "{", `{"cents":"x"}`, `{"id":"a"} {"id":"b"}`, "null x"} {
		err := call(bad)
		var d *orderly.DecodeError
		if !errors.As(err, &d) || errors.Unwrap(err) == nil || !strings.Contains(err.Error(), "JSON") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if len(got) != 2 {
		t.Error("the function was called with what does not decode")
	}
}
