// Package prometheus exports what an orderly Consumer does as Prometheus metrics.
//
//	m, err := prometheus.New(prometheus.Options{})
//	cfg = m.Instrument(cfg)
//	c, err := orderly.NewConsumer(cfg)
//	err = m.Watch(c)
//
// Counters and histograms come from the consumer's Events; gauges are read from
// its State when they are scraped. No metric has a key as a label, so the number
// of series is bounded by topics and partitions. docs/metrics.md lists them all.
package prometheus
