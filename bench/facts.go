package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureAllocs: what we allocate for a record beyond what a bare loop does, once
// queues and pools have the size that they need.
func measureAllocs(ctx context.Context, b *bench) ([]row, error) {
	const bar = 0.001
	l := load{Records: b.opt.records, Size: b.opt.size}
	rs, err := b.inTurn(ctx, l, []contender{{"orderly", spec{Side: ours, Steady: true}}, {"floor", spec{Side: floor, Steady: true}}}, nil)
	if err != nil {
		return nil, err
	}
	allocs := func(r result) float64 { return r.Allocs }
	bytes := func(r result) float64 { return r.Bytes }
	a, f := median(each(rs[0], allocs)), median(each(rs[1], allocs))
	v := fmt.Sprintf("%.4f per record (%.4f - %.4f), %.0f bytes", a-f, a, f, median(each(rs[0], bytes))-median(each(rs[1], bytes)))
	return []row{fact("beyond the floor, keys distinct", v, fmt.Sprintf("at most %v", bar), a-f <= bar)}, nil
}

// measureIdle: what a consumer costs that has nothing to do.
func measureIdle(ctx context.Context, b *bench) ([]row, error) {
	const bar = 0.01
	l := load{Keys: 1000, Records: 1000, Size: b.opt.size}
	wait := 10 * time.Second
	if b.opt.quick {
		wait = 3 * time.Second
	}
	var got [2]result
	for i, s := range []side{ours, floor} {
		r, err := b.on(ctx, l, spec{Side: s, Idle: wait})
		if err != nil {
			return nil, err
		}
		got[i] = r
	}
	v := fmt.Sprintf("%.2f %% of a core (bare loop %.2f %%)", 100*got[0].IdleCPU, 100*got[1].IdleCPU)
	return []row{fact(fmt.Sprintf("CPU, %d partitions", b.opt.partitions), v, "under 1 %", got[0].IdleCPU < bar)}, nil
}

// measureMemory: the same number of records with few and with many keys. What waits
// has a state for each of its keys, so up to the buffer's 100,000 records memory
// grows a little with the keys; beyond it must not.
func measureMemory(ctx context.Context, b *bench) ([]row, error) {
	const bar = 1.15
	keys := []int64{1000, 100_000, 1_000_000}
	if b.opt.huge {
		keys = append(keys, 10_000_000)
	}
	records := max(b.opt.records, keys[len(keys)-1])
	var rows []row
	var full result // with a buffer full of different keys
	for _, k := range keys {
		l := load{Keys: k, Records: records, Size: b.opt.size}
		if k == records {
			l.Keys = 0
		}
		var peak, kept, live []float64
		var r result
		for range min(3, b.opt.pairs) {
			var err error
			if r, err = b.on(ctx, l, spec{Side: ours, Idle: time.Second}); err != nil {
				return nil, err
			}
			peak, kept, live = append(peak, float64(r.RSS)), append(kept, float64(r.Kept)), append(live, float64(r.Live))
		}
		r.RSS, r.Kept, r.Live = int64(median(peak)), int64(median(kept)), int64(median(live))
		b.say("  %s keys: live %s, peak RSS %s", group(k), mib(r.Live), mib(r.RSS))
		v := fmt.Sprintf("live heap %s while it runs, peak RSS %s, heap %s when all is handled", mib(r.Live), mib(r.RSS), mib(r.Kept))
		switch {
		case k <= 100_000:
			full = r
			rows = append(rows, row{Against: group(k) + " keys", Value: v})
		default:
			rows = append(rows, fact(group(k)+" keys", v, fmt.Sprintf("flat: RSS at most %.2f x that of 100,000", bar),
				float64(r.RSS) <= bar*float64(full.RSS)))
		}
	}
	return rows, nil
}

// measureRedelivery: a process is killed while one record is stuck and 100,000 are
// done behind it; how many of these are handled again?
func measureRedelivery(ctx context.Context, b *bench) ([]row, error) {
	const (
		behind   = 100_000
		interval = time.Second // CommitInterval's default
		workers  = 100
	)
	dir, err := os.MkdirTemp("", "orderly-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l := load{Records: 2 * behind, Size: b.opt.size}
	counts, err := b.topics.need(ctx, l)
	if err != nil {
		return nil, err
	}
	s := spec{Side: ours, Brokers: b.brokers, Topic: l.topic(), Counts: counts, Group: b.groupName(),
		Concurrency: workers, Sleep: 5 * time.Millisecond, Stick: true, DoneLog: filepath.Join(dir, "first")}
	var before, after []handledRecord
	err = runUntil(ctx, s, func(rs []handledRecord) bool {
		before = rs
		return len(rs) >= behind
	})
	if err != nil {
		return nil, err
	}
	before, err = readDoneLog(s.DoneLog) // also what was done until the kill
	if err != nil {
		return nil, err
	}
	type place struct {
		partition int32
		offset    int64
	}
	done := make(map[place]bool, l.Records)
	uncommitted := 0
	killed := before[len(before)-1].At
	for _, r := range before {
		done[place{r.Partition, r.Offset}] = true
		if killed.Sub(r.At) < interval+50*time.Millisecond {
			uncommitted++ // maybe
		}
	}
	s.Stick, s.DoneLog = false, filepath.Join(dir, "second")
	again := 0
	err = runUntil(ctx, s, func(rs []handledRecord) bool {
		for _, r := range rs[len(after):] {
			if at := (place{r.Partition, r.Offset}); done[at] {
				again++
			} else {
				done[at] = true
			}
		}
		after = rs
		return int64(len(done)) == l.Records
	})
	if err != nil {
		return nil, err
	}
	v := fmt.Sprintf("%s of %s done (%s of them in the last commit interval)",
		group(int64(again)), group(int64(len(before))), group(int64(uncommitted)))
	return []row{fact("after kill -9, one record stuck", v, "at most in flight + since the last commit", again <= uncommitted+workers)}, nil
}

// runUntil runs a spec that logs what is done, and kills its process when enough
// says so of the log.
func runUntil(ctx context.Context, s spec, enough func([]handledRecord) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("it takes too long"))
	defer cancel()
	cmd, _, err := command(ctx, s)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill() // that is what kill -9 sends
		_ = cmd.Wait()         // and "killed" is all it can say
	}()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
		rs, err := readDoneLog(s.DoneLog)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if len(rs) > 0 && enough(rs) {
			return nil
		}
	}
}
