package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureAllocs: what we allocate for a record beyond what a bare loop does.
func measureAllocs(ctx context.Context, b *bench) ([]row, error) {
	const bar = 0.001
	l := load{Records: b.opt.records, Size: b.opt.size}
	rs, err := b.inTurn(ctx, l, []contender{{"orderly", spec{Side: ours}}, {"floor", spec{Side: floor}}}, nil)
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

// measureMemory: the same number of records with few and with many keys.
func measureMemory(ctx context.Context, b *bench) ([]row, error) {
	keys := []int64{1000, 1_000_000}
	if b.opt.huge {
		keys = append(keys, 10_000_000)
	}
	records := max(b.opt.records, keys[len(keys)-1])
	var rows []row
	var first result
	for i, k := range keys {
		l := load{Keys: k, Records: records, Size: b.opt.size}
		if k == records {
			l.Keys = 0
		}
		var peak, kept, live []float64
		var r result
		for range min(3, b.opt.pairs) {
			var err error
			if r, err = b.on(ctx, l, spec{Side: ours}); err != nil {
				return nil, err
			}
			peak, kept, live = append(peak, float64(r.RSS)), append(kept, float64(r.Kept)), append(live, float64(r.Live))
		}
		r.RSS, r.Kept, r.Live = int64(median(peak)), int64(median(kept)), int64(median(live))
		b.say("  %s keys: live %s, peak RSS %s", group(k), mib(r.Live), mib(r.RSS))
		if i == 0 {
			first = r
		}
		v := fmt.Sprintf("live heap %s while it runs, peak RSS %s, heap %s when all is handled", mib(r.Live), mib(r.RSS), mib(r.Kept))
		if i == 0 {
			rows = append(rows, row{Against: group(k) + " keys", Value: v})
			continue
		}
		// What waits has a unit for each key at the most: a little more, and no
		// more with ten times the keys.
		rows = append(rows, fact(group(k)+" keys", v, "flat: RSS at most 1.25 x", float64(r.RSS) <= 1.25*float64(first.RSS)))
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
	if err := killWhen(ctx, s, behind); err != nil {
		return nil, err
	}
	before, err := readDoneLog(s.DoneLog)
	if err != nil || len(before) == 0 {
		return nil, fmt.Errorf("the log of what was done before the kill: %d entries, %w", len(before), err)
	}
	s.Stick, s.DoneLog = false, filepath.Join(dir, "second")
	if err := killWhen(ctx, s, int(l.Records)-len(before)); err != nil {
		return nil, err
	}
	after, err := readDoneLog(s.DoneLog)
	if err != nil {
		return nil, err
	}
	type place struct {
		partition int32
		offset    int64
	}
	done := make(map[place]bool, len(before))
	uncommitted := 0
	killed := before[len(before)-1].At
	for _, r := range before {
		done[place{r.Partition, r.Offset}] = true
		if killed.Sub(r.At) < interval+50*time.Millisecond {
			uncommitted++ // maybe
		}
	}
	again := 0
	for _, r := range after {
		if done[place{r.Partition, r.Offset}] {
			again++
		}
		done[place{r.Partition, r.Offset}] = true
	}
	v := fmt.Sprintf("%s of %s done (%s in the last commit interval, %d in flight), %s lost",
		group(int64(again)), group(int64(len(before))), group(int64(uncommitted)), workers, group(l.Records-int64(len(done))))
	return []row{fact("after kill -9, one record stuck", v, "in flight + since the last commit",
		again <= uncommitted+workers && int64(len(done)) == l.Records)}, nil
}

// killWhen runs a spec and kills its process when it has done that many records.
func killWhen(ctx context.Context, s spec, records int) error {
	cmd, _, err := command(ctx, s)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(limit)
	for size := int64(0); size < int64(records)*entrySize; {
		time.Sleep(5 * time.Millisecond)
		if st, err := os.Stat(s.DoneLog); err == nil {
			size = st.Size()
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // "killed" is what it has to say
	return ctx.Err()
}
