package prometheus_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	metrics "github.com/orderly-go/orderly/metrics/prometheus"
	"github.com/orderly-go/orderly/orderlytest"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const doc = "../../docs/metrics.md"

// The list in the documentation is the table's.
func TestMetricsDocument(t *testing.T) {
	want := metrics.Markdown()
	if *update {
		if err := os.WriteFile(doc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doc)
	if err != nil || string(got) != want {
		t.Errorf("docs/metrics.md is not what the code registers (%v): run go generate ./... in metrics/prometheus", err)
	}
}

func TestTableIsWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range metrics.Table() {
		switch {
		case seen[m.Name]:
			t.Errorf("%s is there twice", m.Name)
		case !strings.HasPrefix(m.Name, "orderly_"):
			t.Errorf("%s lacks the prefix", m.Name)
		case (m.Type == "counter") != strings.HasSuffix(m.Name, "_total"):
			t.Errorf("%s is a %s", m.Name, m.Type)
		case m.Help == "" || m.Unit() == "":
			t.Errorf("%s has no meaning or no unit", m.Name)
		case slices.ContainsFunc(m.Labels, func(l string) bool { return strings.Contains(l, "key") }):
			t.Errorf("%s has a key as a label", m.Name)
		}
		seen[m.Name] = true
	}
}

func gather(t *testing.T, reg *prom.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, f := range all {
		byName[f.GetName()] = f
	}
	return byName
}

// value is the sum of the series that have all these labels ("name=value").
func value(f *dto.MetricFamily, labels ...string) (sum float64) {
	if f == nil {
		return -1
	}
	for _, m := range f.Metric {
		var has []string
		for _, l := range m.Label {
			has = append(has, l.GetName()+"="+l.GetValue())
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(has, l) }) {
			continue
		}
		switch {
		case m.Counter != nil:
			sum += m.Counter.GetValue()
		case m.Gauge != nil:
			sum += m.Gauge.GetValue()
		case m.Histogram != nil:
			sum += float64(m.Histogram.GetSampleCount())
		}
	}
	return sum
}

// One key fails for ever, the others are done: the metrics tell just that.
func TestABlockedKey(t *testing.T) {
	const topic = "orders"
	b := orderlytest.NewBroker(t, topic)
	reg := prom.NewPedanticRegistry()
	m, err := metrics.New(metrics.Options{Registerer: reg, ConstLabels: prom.Labels{"app": "billing"}})
	if err != nil {
		t.Fatal(err)
	}
	userSaw := make(chan struct{}, 1000)
	cfg := m.Instrument(orderly.ConsumerConfig{
		Brokers: b.Addrs(), Group: "billing", Topics: []string{topic}, Logger: slog.New(slog.DiscardHandler),
		CommitInterval: 50 * time.Millisecond, Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Hour},
		Events: orderly.Events{Attempt: func(orderly.AttemptEvent) { userSaw <- struct{}{} }},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" {
				return errors.New("no such account")
			}
			return nil
		}})
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Watch(c); err != nil {
		t.Fatal(err)
	}
	if err := m.Watch(c); err == nil || !strings.Contains(err.Error(), `"billing"`) {
		t.Errorf("watched twice: %v", err)
	}
	var recs []orderlytest.Record
	for i := range 30 {
		recs = append(recs, orderlytest.Msg("bad", fmt.Sprint(i)), orderlytest.Msg("good", fmt.Sprint(i)))
	}
	b.Produce(topic, recs...)

	// Before it runs: what can be counted stands at zero, and is there.
	start := gather(t, reg)
	if v := value(start["orderly_order_violations_total"]); v != 0 {
		t.Errorf("orderly_order_violations_total is %v before the start", v)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()

	var now map[string]*dto.MetricFamily
	b.Eventually("the metrics to say it", func() bool {
		now = gather(t, reg)
		return value(now["orderly_records_done_total"], "outcome=ok", "topic=orders", "app=billing") == 30 &&
			value(now["orderly_partition_undone_records"]) == 30 && value(now["orderly_commits_total"], "outcome=ok") > 1 &&
			value(now["orderly_partition_commit_lag_records"]) == 30+value(now["orderly_partition_done_ahead_records"]) && // everything behind the first bad record is done ahead, or lag
			value(now["orderly_partition_keys_blocked"]) == 1
	})
	for _, w := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "orderly_attempts_failed_total", []string{"class=error", "group=billing"}},
		{30, "orderly_handler_duration_seconds", []string{"outcome=ok"}},
		{1, "orderly_handler_duration_seconds", []string{"outcome=error"}},
		{30, "orderly_record_age_seconds", nil},
		{1, "orderly_group_joined", nil},
		{1, "orderly_rebalances_total", []string{"cause=joined"}},
		{1, "orderly_partition_keys_blocked", nil},
		{29, "orderly_partition_records_behind_blocked", nil},
		{1, "orderly_keys_blocked", []string{"state=backoff", "topic=orders"}},
		{1, "orderly_keys_blocked", nil},
		{1, "orderly_breaker_state", []string{"state=closed"}},
		{1, "orderly_breaker_state", nil},
		{0, "orderly_breaker_next_probe_timestamp_seconds", nil},
		{60, "orderly_partition_records_received_total", nil},
		{0, "orderly_order_violations_total", nil},
		{0, "orderly_partition_state", []string{"state=window-full"}},
		{30, "orderly_buffer_records", nil},
		{100_000, "orderly_buffer_limit_records", nil},
	} {
		if got := value(now[w.name], w.labels...); got != w.want {
			t.Errorf("%s%v is %v, want %v", w.name, w.labels, got, w.want)
		}
	}
	for _, name := range []string{"orderly_partition_oldest_undone_timestamp_seconds", "orderly_partition_keys_blocked_oldest_timestamp_seconds"} {
		if at := value(now[name]); time.Since(time.Unix(int64(at), 0)).Abs() > time.Hour {
			t.Errorf("%s is %v", name, at)
		}
	}
	if len(userSaw) != 1 {
		t.Errorf("the user's own function was called %d times", len(userSaw))
	}
	// All of the table is there, and nothing else.
	for _, d := range metrics.Table() {
		f := now[d.Name]
		if f == nil {
			t.Errorf("%s is in the table and not exported", d.Name)
			continue
		}
		if got := strings.ToLower(f.GetType().String()); got != d.Type || f.GetHelp() != d.Help {
			t.Errorf("%s is a %s, %q", d.Name, got, f.GetHelp())
		}
		for _, l := range f.Metric[0].Label {
			if n := l.GetName(); n != "app" && !slices.Contains(d.Labels, n) {
				t.Errorf("%s has the label %s, which the table does not know", d.Name, n)
			}
		}
		delete(now, d.Name)
	}
	for name := range now {
		t.Errorf("%s is exported and not in the table", name)
	}
	// As it is scraped.
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || strings.Contains(w.Body.String(), "bad") {
		t.Errorf("%d; a key is in it: %v", w.Code, strings.Contains(w.Body.String(), "bad"))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	over := gather(t, reg)
	if v := value(over["orderly_partitions_revoked_total"], "drain=clean"); v < 1 {
		t.Errorf("%v partitions revoked", v)
	}
	if f := over["orderly_partition_done_ahead_not_recorded_records"]; f != nil {
		t.Errorf("series of partitions that have gone: %v", f)
	}
}

func TestRegisteredTwice(t *testing.T) {
	reg := prom.NewRegistry()
	if _, err := metrics.New(metrics.Options{Registerer: reg}); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.New(metrics.Options{Registerer: reg}); err == nil || !strings.Contains(err.Error(), "one Metrics serves") {
		t.Errorf("%v", err)
	}
	if _, err := metrics.New(metrics.Options{Registerer: reg, ConstLabels: prom.Labels{"a": "b"}}); err == nil {
		t.Error("the same names with other labels")
	}
}

// A fast handler is not slowed by being timed, and is called each time.
func TestFastHandlersAreSampled(t *testing.T) {
	reg := prom.NewRegistry()
	m, err := metrics.New(metrics.Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	cfg := m.Instrument(orderly.ConsumerConfig{Group: "g", Topics: []string{"t"}, Handler: func(context.Context, *orderly.Message) error {
		calls++
		return nil
	}})
	const n = 200_000
	for i := range n {
		if err := cfg.Handler(t.Context(), &orderly.Message{Record: &kgo.Record{Topic: "t", Offset: int64(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	// How many depends on how fast this machine is; TestSampler knows the rest.
	if timed := value(gather(t, reg)["orderly_handler_duration_seconds"]); timed < n/80 || timed > n/2 || calls != n {
		t.Errorf("of %d calls %d were made, %v timed", n, calls, timed)
	}
}
