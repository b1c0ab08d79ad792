package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/orderly-go/orderly"
)

// options are what the flags say.
type options struct {
	records    int64
	size       int
	partitions int
	pairs      int
	quick      bool
	huge       bool
	match      *regexp.Regexp
	profile    string
}

// A bench is what the measurements share.
type bench struct {
	opt     options
	brokers []string
	topics  *topics
	say     func(format string, args ...any)
	runs    int // groups that were made, for fresh names
	prefix  string
}

// A workload is one thing to measure; it yields rows of the table.
type workload struct {
	name    string
	measure func(ctx context.Context, b *bench) ([]row, error)
}

// The bars are those that the project has set itself. A pair without one is for
// information.
func workloads(o options) []workload {
	thousand := load{Keys: 1000, Records: o.records, Size: o.size}
	distinct := load{Records: o.records, Size: o.size}
	hot := load{Keys: 1, Records: o.records, Size: o.size}
	empty := func(name string, l load, bar float64, s spec) workload {
		return workload{name, func(ctx context.Context, b *bench) ([]row, error) { return b.beside(ctx, l, s, bar) }}
	}
	ws := []workload{
		empty("empty, 1,000 keys", thousand, 0.75, spec{}),
		empty("empty, all keys distinct", distinct, 0.75, spec{}),
		empty("empty, partition scope", thousand, 0.9, spec{Whole: true}),
		empty("empty, one hot key", hot, 0.8, spec{}),
		empty("empty, batches, 1,000 keys", thousand, 0, spec{Batch: true}),
		empty("empty, batches, all keys distinct", distinct, 0, spec{Batch: true}),
	}
	sleeping := func(name string, d time.Duration, workers int, records int64, keys int64, skewed bool, bar float64) {
		if o.quick {
			records /= 2
		}
		l := load{Keys: keys, Skewed: skewed, Records: records, Size: o.size}
		s := spec{Sleep: d, Concurrency: workers}
		ws = append(ws, workload{fmt.Sprintf("sleep %s x %s%s", d, group(int64(workers)), name),
			func(ctx context.Context, b *bench) ([]row, error) { return b.besideSleepers(ctx, l, s, bar) }})
	}
	const ms = time.Millisecond
	sleeping("", ms, 100, 200_000, 0, false, 0.93)
	sleeping("", ms, 1000, 1_000_000, 0, false, 0.80)
	sleeping("", 10*ms, 1000, 250_000, 0, false, 0.97)
	sleeping("", 100*ms, 5000, 200_000, 0, false, 0.97)
	sleeping(", 100 keys", ms, 100, 200_000, 100, false, 0.93)
	sleeping(", 1,000 keys", 10*ms, 1000, 250_000, 1000, false, 0.97)
	// The most frequent key has 0.05 % of the records: one sequence carries half of
	// what it would take to hold all others up.
	sleeping(", skewed keys", 10*ms, 1000, 250_000, 4_000_000, true, 0.97)
	writing := func(name string, numbered bool, bar float64) workload {
		return workload{name, func(ctx context.Context, b *bench) ([]row, error) {
			return b.besideProducers(ctx, thousand, numbered, bar)
		}}
	}
	ws = append(ws, effectWorkloads()...)
	return append(ws,
		workload{"failure machinery, empty, 1,000 keys", measureMachinery(thousand, 0, 0)},
		workload{"failure machinery, sleep 1ms x 100", measureMachinery(load{Records: 600_000, Size: o.size}, ms, 100)},
		workload{"some keys fail, rate", measureFailingRate(failTransient, orderly.PolicyBlock)},
		workload{"some keys fail, latency", measureFailingLatency(failTransient, orderly.PolicyBlock)},
		workload{"some keys fail for ever, rate", measureFailingRate(failForEver, orderly.PolicyPark)},
		workload{"some keys fail for ever, latency", measureFailingLatency(failForEver, orderly.PolicyPark)},
		workload{"parking, rate, 1,000 keys", measureParkingRate(func(int64) int64 { return 1000 }, 2, 0.5)},
		workload{"parking, rate, 5 records of a key", measureParkingRate(func(n int64) int64 { return n / 5 }, 10, 0)},
		workload{"parking, rate, one key", measureParkingRate(func(int64) int64 { return 1 }, 2, 0)},
		workload{"parking, release, 1,000 keys", measureRelease(1000, 10)},
		workload{"parking, release, 20,000 keys", measureRelease(20_000, 50)},
		workload{"parking, nothing fails", measureHealthy(thousand)},
		workload{"parking, 100,000 keys", measureTakeover(100_000)},
		workload{"parking, 1,000,000 keys", measureTakeover(1_000_000)},
		workload{"parking, 500 partitions", measureAssignment},
		writing("producer, 1,000 keys", false, 0.85),
		writing("producer, sequence headers", true, 0),
		workload{"worker pipe", measurePipe},
		workload{"allocations", measureAllocs},
		workload{"idle", measureIdle},
		workload{"memory", measureMemory},
		workload{"redelivery", measureRedelivery},
	)
}

// groupName is a consumer group that nobody has used.
func (b *bench) groupName() string {
	b.runs++
	return fmt.Sprintf("%s-%d", b.prefix, b.runs)
}

// on runs a spec over a load.
func (b *bench) on(ctx context.Context, l load, s spec) (result, error) {
	if s.Write != nil {
		return b.writes(ctx, s)
	}
	counts, err := b.topics.need(ctx, l)
	if err != nil {
		return result{}, err
	}
	s.Brokers, s.Topic, s.Counts, s.Group = b.brokers, l.topic(), counts, b.groupName()
	if b.opt.profile != "" {
		s.Profile = fmt.Sprintf("%s/%03d-%s-%s", b.opt.profile, b.runs, l.topic(), s.Side)
	}
	return run(ctx, s)
}
