package prometheus

import (
	"fmt"
	"slices"
	"sync"

	"github.com/orderly-go/orderly"
	prom "github.com/prometheus/client_golang/prometheus"
)

// Options say where and how metrics are registered.
type Options struct {
	// Registerer takes the metrics. Default: prom.DefaultRegisterer.
	Registerer prom.Registerer
	// ConstLabels are added to each metric.
	ConstLabels prom.Labels
	// Buckets of handler durations and record ages. Defaults: 1 ms to 60 s, and
	// 10 ms to a day.
	DurationBuckets, AgeBuckets []float64
}

// Metrics are the metrics of the consumers of one process.
type Metrics struct {
	counters   map[string]*prom.CounterVec
	histograms map[string]*prom.HistogramVec
	gauges     map[string]*prom.GaugeVec // those that events set
	state      *collector

	mu     sync.Mutex
	groups []string
}

// setByEvents are the gauges that are not read from State.
var setByEvents = []string{lastCommit, notRecorded}

// counted are the counters that are read from State.
var counted = []string{loopTurns, received}

// New registers the metrics.
func New(o Options) (*Metrics, error) {
	if o.Registerer == nil {
		o.Registerer = prom.DefaultRegisterer
	}
	if o.DurationBuckets == nil {
		o.DurationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	}
	if o.AgeBuckets == nil {
		o.AgeBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}
	}
	reg := prom.WrapRegistererWith(o.ConstLabels, o.Registerer)
	m := &Metrics{counters: map[string]*prom.CounterVec{}, histograms: map[string]*prom.HistogramVec{},
		gauges: map[string]*prom.GaugeVec{}, state: newCollector()}
	var all []prom.Collector
	for _, d := range table {
		switch {
		case d.Type == "histogram":
			h := prom.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: o.DurationBuckets}
			if d.Name == recordAge {
				h.Buckets = o.AgeBuckets
			}
			m.histograms[d.Name] = prom.NewHistogramVec(h, d.Labels)
			all = append(all, m.histograms[d.Name])
		case d.Type == "counter" && !slices.Contains(counted, d.Name):
			m.counters[d.Name] = prom.NewCounterVec(prom.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
			all = append(all, m.counters[d.Name])
		case slices.Contains(setByEvents, d.Name):
			m.gauges[d.Name] = prom.NewGaugeVec(prom.GaugeOpts{Name: d.Name, Help: d.Help}, d.Labels)
			all = append(all, m.gauges[d.Name])
		default:
			m.state.describe(d)
		}
	}
	all = append(all, m.state)
	for i, c := range all {
		if err := reg.Register(c); err != nil {
			for _, done := range all[:i] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("orderly metrics: %w (one Metrics serves all consumers of a process)", err)
		}
	}
	return m, nil
}

// Instrument returns the configuration with the metrics' functions before the
// user's own Events, and the handler timed.
func (m *Metrics) Instrument(cfg orderly.ConsumerConfig) orderly.ConsumerConfig {
	g := &groupMetrics{Metrics: m, group: cfg.Group}
	g.begin(cfg.Topics)
	cfg.Events = g.events(cfg.Events)
	if cfg.Handler != nil {
		cfg.Handler = g.handler(cfg.Handler)
	}
	if cfg.Batch.Handler != nil {
		cfg.Batch.Handler = g.batch(cfg.Batch.Handler)
	}
	if cfg.Effects.Handler != nil {
		cfg.Effects.Handler = g.effects(cfg.Effects.Handler)
	}
	return cfg
}

// Watch adds the gauges of a consumer, which are read when they are scraped. A
// group is watched once: two members in one process would have the same series.
func (m *Metrics) Watch(c *orderly.Consumer) error {
	group := c.State().Group
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.groups, group) {
		return fmt.Errorf("orderly metrics: a consumer of group %q is watched already: "+
			"give each member of a group that is in the same process Metrics of its own, with other ConstLabels", group)
	}
	m.groups = append(m.groups, group)
	m.state.add(c)
	return nil
}
