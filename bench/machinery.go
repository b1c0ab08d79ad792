package main

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-go/orderly"
	metrics "github.com/orderly-go/orderly/metrics/prometheus"
	prom "github.com/prometheus/client_golang/prometheus"
)

// What it costs, while all is well, to be ready for failures and to be seen: our
// consumer with metrics and breaker beside the same build without either. The check
// of the order on itself and the counting of attempts cannot be switched off.

// machinery says what of it is on.
type machinery string

const (
	asItComes   machinery = ""     // the defaults: the breaker, no metrics
	machineryOn machinery = "on"   // metrics, too
	noMachinery machinery = "none" // neither
)

// apply changes the configuration; watch is called with the consumer.
func (m machinery) apply(cfg orderly.ConsumerConfig) (_ orderly.ConsumerConfig, watch func(*orderly.Consumer) error, err error) {
	switch m {
	case machineryOn:
		ms, err := metrics.New(metrics.Options{Registerer: prom.NewRegistry()})
		if err != nil {
			return cfg, nil, err
		}
		return ms.Instrument(cfg), ms.Watch, nil
	case noMachinery:
		cfg.Breaker.Disabled = true
	}
	return cfg, func(*orderly.Consumer) error { return nil }, nil
}

// measureMachinery compares the two over an empty handler, where it shows most, and
// over one that sleeps.
func measureMachinery(l load, sleep time.Duration, workers int) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		const bar = 0.97
		with := spec{Side: ours, Sleep: sleep, Concurrency: workers, Machinery: machineryOn}
		without := with
		without.Machinery = noMachinery
		rs, err := b.inTurn(ctx, l, []contender{{"metrics and breaker", with}, {"neither", without}}, nil)
		if err != nil {
			return nil, err
		}
		var cpu []float64
		for i := range rs[0] {
			cpu = append(cpu, perRecord(rs[0][i])/perRecord(rs[1][i]))
		}
		s := summarize(cpu)
		v := fmt.Sprintf("%.3f [%.3f - %.3f] x", s.Median, s.Low, s.High)
		return []row{
			ratioRow("the same without either", rs[0], rs[1], bar),
			fact("processor time of a record, beside without either", v, "at most 1.03 x", s.Low <= 1.03),
		}, nil
	}
}
