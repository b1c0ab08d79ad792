package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// fetchBytes are as they are stored: compressed, they can be ten times as much.
	fetchBytes = 512 << 10
	// atOnce is how many partitions are read side by side. Each holds two fetches and
	// their records, beside the budget.
	atOnce = 4
	// saveEvery is how much work a death of the process costs.
	saveEvery = 30 * time.Second
	// patience is how long a partition may have nothing where it should have something.
	patience = 30 * time.Second
)

// Options say what is read, and how it is judged.
type Options struct {
	Client     *kgo.Client
	Topic      string
	Number     Numbering
	Since      time.Time // the zero time: all
	Partitions []int32   // none: all
	Keys       []string  // none: all
	Memory     int64     // for the states of keys
	Temp       string    // for spill files; "": the system's
	State      string    // file to go on from; "": none
	Limit      int       // of the examples of each kind
	Progress   func(Progress)
	Now        func() time.Time
}

// WithMemory makes a whole process keep to about so much memory, and gives what of it
// is for the states of keys: the rest is for what is being read, and for what the
// garbage collector has not taken yet, which it takes earlier near the limit. end
// takes the limit back.
func WithMemory(process int64) (states int64, end func()) {
	before := debug.SetMemoryLimit(process)
	return process / 3, func() { debug.SetMemoryLimit(before) }
}

// Progress is how far it is.
type Progress struct {
	Done, Total int64 // offsets
	Records     int64
	Found       int64 // so far: gaps and splits come at the end
	Spilled     int64 // bytes
	Took        time.Duration
}

// A PartitionError is a partition that was named and is not there.
type PartitionError struct {
	Topic     string
	Partition int32
	Have      []int32
}

func (e *PartitionError) Error() string {
	have := "only partition 0"
	if n := len(e.Have); n > 1 {
		have = fmt.Sprintf("partitions %d to %d", e.Have[0], e.Have[n-1])
	}
	return fmt.Sprintf("--partitions: topic %s has no partition %d: it has %s", e.Topic, e.Partition, have)
}

type audit struct {
	o         Options
	src       *logread.Source
	config    config
	starts    map[int32]int64
	positions map[int32]int64
	ends      map[int32]int64
	highest   map[int32]int64 // ends with what is not stable
	open      int64           // records behind the last stable offsets
	rules     Rules
	policyErr error
	compacted bool
	tally     *tally
	table     *table
	writers   map[string]uint32
	keys      map[string]bool
	began     time.Time
}

// read is a piece of a partition that was read.
type read struct {
	partition int32
	seen      []Observation
	writers   [][]byte // of sequence headers, one for each in seen
	next      int64
	gone      *logread.GoneError
}

// Run audits a topic up to what is stable in it now.
func Run(ctx context.Context, o Options) (rep *Report, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &audit{o: o, starts: map[int32]int64{}, positions: map[int32]int64{}, ends: map[int32]int64{}, highest: map[int32]int64{},
		writers: map[string]uint32{}, keys: map[string]bool{}, began: o.Now(), tally: newTally(o.Limit)}
	for _, k := range o.Keys {
		a.keys[k] = true
	}
	if a.src, err = logread.Open(ctx, o.Client, o.Topic); err != nil {
		return nil, err
	}
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	dir, keep := "", o.State != ""
	if keep {
		dir = spillDir(o.State)
	} else if dir, err = os.MkdirTemp(o.Temp, "orderly-audit-"); err != nil {
		return nil, fmt.Errorf("the folder for spill files: %w", err)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	a.table = newTable(a.rules, a.tally, o.Memory, dir)
	a.table.keep = keep
	defer func() { err = errors.Join(err, a.table.discard()) }()
	if keep {
		if err := a.restore(); err != nil {
			return nil, err
		}
	}
	for p, at := range a.positions {
		if end, ok := a.highest[p]; ok && at > end {
			return nil, &StateError{o.State, fmt.Sprintf("partition %d was read to before offset %d, and ends before %d now: the log was cut off (an unclean leader election); what is in the state is no longer what is in the topic", p, at, end)}
		}
	}
	for i, name := range a.tally.Writers {
		a.writers[name] = uint32(i + 1)
	}
	if err := a.read(ctx); err != nil {
		return nil, err
	}
	if keep {
		if err := a.save(); err != nil {
			return nil, err
		}
	}
	// Writers that were counted before stay in the state file as they were: the end
	// only adds to what is reported now.
	if err := a.table.end(); err != nil {
		return nil, err
	}
	a.tally.finish()
	return a.report(), nil
}

// prepare learns what there is to read.
func (a *audit) prepare(ctx context.Context) error {
	spans, err := a.src.Spans(ctx)
	if err != nil {
		return err
	}
	all := a.src.Partitions()
	parts := all
	if len(a.o.Partitions) > 0 {
		parts = slices.Compact(slices.Sorted(slices.Values(a.o.Partitions)))
		for _, p := range parts {
			if !slices.Contains(all, p) {
				return &PartitionError{a.o.Topic, p, all}
			}
		}
	}
	since := map[int32]int64{}
	if !a.o.Since.IsZero() {
		if since, err = a.src.At(ctx, a.o.Since); err != nil {
			return err
		}
	}
	for _, p := range parts {
		s := spans[p]
		a.starts[p], a.ends[p] = s.Start, s.Stable
		if !a.o.Since.IsZero() {
			if at, ok := since[p]; ok {
				a.starts[p] = max(at, s.Start)
			} else {
				a.starts[p] = s.Stable
			}
		}
		a.positions[p], a.highest[p] = a.starts[p], s.End
		a.open += max(0, s.End-s.Stable)
	}
	a.policy(ctx)
	a.rules = Rules{ByTime: a.o.Number.ByTime, OfWriter: a.o.Number.own(), NoGaps: a.compacted}
	a.config = config{Topic: a.o.Topic, TopicID: fmt.Sprintf("%x", a.src.ID), Number: a.o.Number.String(), NoGaps: a.compacted,
		Partitions: a.o.Partitions, Keys: a.o.Keys}
	if !a.o.Since.IsZero() {
		a.config.Since = a.o.Since.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

// policy asks whether the topic is compacted.
func (a *audit) policy(ctx context.Context) {
	rs, err := kadm.NewClient(a.o.Client).DescribeTopicConfigs(ctx, a.o.Topic)
	if err == nil {
		var rc kadm.ResourceConfig
		if rc, err = rs.On(a.o.Topic, nil); err == nil {
			err = rc.Err
		}
		for _, c := range rc.Configs {
			if c.Key == "cleanup.policy" {
				a.compacted = c.MaybeValue() != "delete"
			}
		}
	}
	a.policyErr = err
}

// read reads all partitions and applies what they say, in this goroutine.
func (a *audit) read(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	out := make(chan read)
	turns := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	parts := make([]int32, 0, len(a.ends))
	for p := range a.ends {
		parts = append(parts, p)
	}
	slices.Sort(parts)
	from := make(map[int32]int64, len(parts)) // positions belong to this goroutine
	total, done := int64(0), int64(0)
	for _, p := range parts {
		from[p] = a.positions[p]
		total += max(0, a.ends[p]-a.starts[p])
		done += max(0, a.positions[p]-a.starts[p])
	}
	wg.Go(func() {
		for _, p := range parts {
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-turns }()
				if err := a.partition(ctx, p, from[p], a.ends[p], out); err != nil {
					cancel(err)
				}
			})
		}
	})
	go func() {
		wg.Wait()
		close(out)
	}()
	var failed error
	told, saved := a.o.Now(), a.o.Now()
	for r := range out {
		if failed != nil {
			continue // let them end
		}
		done += max(0, r.next-a.positions[r.partition])
		if failed = a.apply(&r); failed != nil {
			cancel(failed)
			continue
		}
		now := a.o.Now()
		if a.o.Progress != nil && now.Sub(told) >= time.Second {
			told = now
			t := a.tally
			a.o.Progress(Progress{done, total, t.Records, t.Late.Count + t.Duplicates.Count + t.Zombies.Count, a.table.spilled, now.Sub(a.began)})
		}
		if a.o.State != "" && now.Sub(saved) >= saveEvery {
			saved = now
			if failed = a.save(); failed != nil {
				cancel(failed)
			}
		}
	}
	if failed != nil {
		return failed // the table may be in the middle of something
	}
	if err := context.Cause(ctx); err != nil {
		if a.o.State != "" {
			err = errors.Join(err, a.save())
		}
		return err
	}
	return nil
}

func (a *audit) apply(r *read) error {
	if r.gone != nil {
		a.tally.Deleted = append(a.tally.Deleted, Spot{r.partition, r.next})
	}
	for i := range r.seen {
		o := &r.seen[i]
		if name := r.writers; name != nil && name[i] != nil {
			id := a.writers[string(name[i])]
			if id == 0 {
				a.tally.Writers = append(a.tally.Writers, string(name[i]))
				id = uint32(len(a.tally.Writers))
				a.writers[string(name[i])] = id
			}
			o.Writer = id
		}
		if a.tally.seen(o) {
			if err := a.table.on(o); err != nil {
				return err
			}
		}
	}
	a.positions[r.partition] = r.next
	return nil
}
