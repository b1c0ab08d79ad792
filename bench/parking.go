package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/orderly-go/orderly"
)

// What parking costs: how fast records are parked, how long the next owner takes that
// finds them, what they take up in memory, and what empty parking topics add to an
// assignment.

// parkingSpec is a run of a consumer whose handler calls every record permanent, or has
// it fail (Fails), or releases what is parked (Releases).
type parkingSpec struct {
	Records  int64 // that are parked when it ends
	Policy   orderly.Policy
	Idle     time.Duration // how long to sit there then
	Fails    bool
	Releases bool
}

// config is how the consumer parks, and how its handler ends. What has failed is due for
// those who release, and for nobody else.
func (s *parkingSpec) config(cfg *orderly.ConsumerConfig) {
	const never = 24 * time.Hour
	cfg.OnExhausted, cfg.Parking.First, cfg.Parking.Longest = s.Policy, never, never
	cfg.Parking.Caps = orderly.ParkingCaps{RecordsPerKey: 10_000_000, KeysPerPartition: 10_000_000}
	err := orderly.Permanent(errors.New("permanent"))
	switch {
	case s.Releases:
		cfg.Parking.First, cfg.Parking.Longest, err = time.Second, time.Second, nil
	case s.Fails:
		err = errors.New("failed")
		cfg.Retry.MaxAttempts, cfg.Breaker.Disabled = 1, true
	}
	cfg.Handler = func(context.Context, *orderly.Message) error { return err }
}

// parkingResult is what such a run prints.
type parkingResult struct {
	Assigned float64 // seconds from Run until all partitions run
	Parked   float64 // seconds from then until all records are parked, or released
	Heap     int64   // alive then
	IdleCPU  float64 // while it sat there, of a core
	CPU      float64 // seconds of the processor until all records are parked
}

// runParking is the hidden command's part.
func runParking(ctx context.Context, s spec, m *meter) error {
	cfg := orderly.ConsumerConfig{
		Brokers: s.Brokers, Group: s.Group, Topics: []string{s.Topic},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1})), // one line for each parked key otherwise
	}
	s.Parking.config(&cfg)
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	m.begin()
	begun := time.Now()
	go func() { ended <- c.Run(ctx) }()
	var r parkingResult
	until := func(done func([]orderly.PartitionState) bool) (float64, error) {
		from := time.Now()
		for !done(c.State().Partitions) {
			select {
			case <-time.After(max(5*time.Millisecond, time.Since(from)/50)): // looking at the state costs too
			case err := <-ended:
				return 0, fmt.Errorf("the consumer ended: %w", err)
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		return time.Since(from).Seconds(), nil
	}
	if _, err = until(func(ps []orderly.PartitionState) bool {
		for _, p := range ps {
			if p.FencingToken == 0 || len(p.Reasons) > 0 {
				return false
			}
		}
		return len(ps) == len(s.Counts)
	}); err != nil {
		return err
	}
	r.Assigned = time.Since(begun).Seconds()
	if r.Parked, err = until(func(ps []orderly.PartitionState) bool {
		n := int64(0)
		for _, p := range ps {
			n += int64(p.Parking.Records)
		}
		return n >= s.Parking.Records && (!s.Parking.Releases || n == 0)
	}); err != nil {
		return err
	}
	m.finish()
	r.CPU = (m.over.cpu - m.begun.cpu).Seconds()
	if s.Parking.Idle > 0 {
		time.Sleep(3 * time.Second) // the last commits
		before := cpuTime()
		time.Sleep(s.Parking.Idle)
		r.IdleCPU = (cpuTime() - before).Seconds() / s.Parking.Idle.Seconds()
	}
	runtime.GC()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	r.Heap = int64(mem.HeapAlloc)
	stop()
	if err := <-ended; err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// park runs such a process.
func (b *bench) park(ctx context.Context, s spec) (r parkingResult, err error) {
	s.Side, s.Brokers = ours, b.brokers
	if b.opt.profile != "" {
		s.Profile = fmt.Sprintf("%s/%03d-%s", b.opt.profile, b.runs, s.Topic)
	}
	cmd, out, err := command(ctx, s)
	if err != nil {
		return r, err
	}
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("the process that parks %s: %w", s.Topic, err)
	}
	return r, json.Unmarshal([]byte(out.String()), &r)
}

// measureParkingRate: how fast records are parked, beside how fast our producer writes
// as many, one in so many of the records. The first record of each key is handled; the
// others follow it. A run of less than a second measures how it starts.
func measureParkingRate(keys func(records int64) int64, oneIn int64, bar float64) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		records := b.opt.records / oneIn
		return parkingRate(ctx, b, load{Keys: keys(records), Records: records, Size: b.opt.size}, bar)
	}
}

func parkingRate(ctx context.Context, b *bench, l load, bar float64) ([]row, error) {
	counts, err := b.topics.need(ctx, l)
	if err != nil {
		return nil, err
	}
	var ratios []float64
	for pair := range b.opt.pairs + 1 {
		s := spec{Topic: l.topic(), Counts: counts, Group: b.groupName(), Parking: &parkingSpec{Records: l.Records, Policy: orderly.PolicyPark}}
		parked, err := b.park(ctx, s)
		if err != nil {
			return nil, err
		}
		wrote, err := b.writes(ctx, spec{Side: producer, Write: &l})
		if err != nil {
			return nil, err
		}
		rate := float64(l.Records) / parked.Parked
		note := ""
		if pair == 0 {
			note = " (discarded)"
		} else {
			ratios = append(ratios, rate/wrote.Rate)
		}
		b.say("  %2d/%d  parked %s/s (%.1f µs of a core each), written %s/s (%.1f µs)%s", pair, b.opt.pairs, group(int64(rate)), 1e6*parked.CPU/float64(l.Records),
			group(int64(wrote.Rate)), 1e6*wrote.CPU/wrote.Rate, note)
	}
	s := summarize(ratios)
	name, value := "records parked a second, of what our producer writes", fmt.Sprintf("%.2f [%.2f - %.2f]", s.Median, s.Low, s.High)
	if bar == 0 {
		return []row{{Against: name, Value: value}}, nil
	}
	return []row{fact(name, value, fmt.Sprintf("at least %.1f", bar), s.High >= bar)}, nil
}

// measureRelease: how fast records of so many keys that are parked and due are released,
// beside how fast they were parked, one in so many of the records.
func measureRelease(keys, oneIn int64) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		l := load{Keys: keys, Records: b.opt.records / oneIn, Size: b.opt.size}
		counts, err := b.topics.need(ctx, l)
		if err != nil {
			return nil, err
		}
		var rates, ratios []float64
		for pair := range b.opt.pairs + 1 {
			s := spec{Topic: l.topic(), Counts: counts, Group: b.groupName()}
			s.Parking = &parkingSpec{Records: l.Records, Policy: orderly.PolicyPark, Fails: true}
			parked, err := b.park(ctx, s)
			if err != nil {
				return nil, err
			}
			s.Parking = &parkingSpec{Policy: orderly.PolicyPark, Releases: true}
			released, err := b.park(ctx, s)
			if err != nil {
				return nil, err
			}
			rate := float64(l.Records) / released.Parked
			note := ""
			if pair == 0 {
				note = " (discarded)"
			} else {
				rates, ratios = append(rates, rate), append(ratios, parked.Parked/released.Parked)
			}
			b.say("  %2d/%d  released %s/s (%.1f µs of a core each), parked %s/s%s", pair, b.opt.pairs, group(int64(rate)), 1e6*released.CPU/float64(l.Records),
				group(int64(float64(l.Records)/parked.Parked)), note)
		}
		s := summarize(ratios)
		return []row{
			{Against: "records released a second", Value: group(int64(median(rates)))},
			{Against: "of those parked a second", Value: fmt.Sprintf("%.2f [%.2f - %.2f]", s.Median, s.Low, s.High)},
		}, nil
	}
}

// measureHealthy: what the policy park costs while nothing fails, beside block.
func measureHealthy(l load) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		rs, err := b.inTurn(ctx, l, []contender{{"park", spec{Side: ours, Policy: orderly.PolicyPark}}, {"block", spec{Side: ours, Policy: orderly.PolicyBlock}}}, nil)
		if err != nil {
			return nil, err
		}
		return []row{ratioRow("policy block", rs[0], rs[1], 0)}, nil
	}
}

// measureTakeover: a group with many parked keys gets a new owner.
func measureTakeover(records int64) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		n := records
		if b.opt.quick {
			n /= 10
		}
		l := load{Records: n, Size: b.opt.size}
		counts, err := b.topics.need(ctx, l)
		if err != nil {
			return nil, err
		}
		s := spec{Topic: l.topic(), Counts: counts, Group: b.groupName(), Parking: &parkingSpec{Records: n, Policy: orderly.PolicyPark}}
		idle := 10 * time.Second
		nothing := s // another group: nothing is parked, nothing is parked in it
		nothing.Group = b.groupName()
		first, err := b.park(ctx, s)
		if err != nil {
			return nil, err
		}
		s.Parking.Idle = idle
		second, err := b.park(ctx, s)
		if err != nil {
			return nil, err
		}
		// The same without anything parked: the 1,000 keys of another topic block.
		empty := load{Records: 1000, Size: b.opt.size}
		if nothing.Counts, err = b.topics.need(ctx, empty); err != nil {
			return nil, err
		}
		nothing.Topic, nothing.Parking = empty.topic(), &parkingSpec{Policy: orderly.PolicyBlock, Idle: idle}
		none, err := b.park(ctx, nothing)
		if err != nil {
			return nil, err
		}
		name := group(n) + " parked keys"
		return []row{
			{Against: name + ": parked by the first owner", Value: fmt.Sprintf("%.1f s", first.Parked)},
			{Against: name + ": from Run until all partitions run", Value: fmt.Sprintf("%.1f s (%.1f s with none)", second.Assigned, none.Assigned)},
			{Against: name + ": memory for each", Value: fmt.Sprintf("%.0f bytes", float64(second.Heap-none.Heap)/float64(n))},
			{Against: name + ": idle", Value: fmt.Sprintf("%.2f %% of a core (%.2f %% with 1,000 keys that block)", 100*second.IdleCPU, 100*none.IdleCPU)},
		}, nil
	}
}

// measureAssignment: what empty parking topics add to the assignment of many partitions.
func measureAssignment(ctx context.Context, b *bench) ([]row, error) {
	const partitions, bar = 500, 2.0
	var topic string
	var took [2]float64
	for i, policy := range []orderly.Policy{orderly.PolicyBlock, orderly.PolicyPark} {
		g := b.groupName()
		if topic == "" {
			topic = g + "-wide"
			remove, err := createTopic(ctx, b.brokers, topic, partitions)
			if err != nil {
				return nil, err
			}
			defer func() { _ = remove() }() // the broker ends
		}
		var all []float64
		for range min(3, b.opt.pairs) + 1 { // the first makes the topic
			r, err := b.park(ctx, spec{Topic: topic, Counts: make([]int64, partitions), Group: g, Parking: &parkingSpec{Policy: policy}})
			if err != nil {
				return nil, err
			}
			all = append(all, r.Assigned)
		}
		took[i] = median(all[1:])
	}
	v := fmt.Sprintf("%.2f s: %.2f s, and %.2f s without", took[1]-took[0], took[1], took[0])
	return []row{fact("500 partitions with empty parking topics, added to an assignment", v, "less than 2 s", took[1]-took[0] < bar)}, nil
}
