package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/embedded"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The parking scene: the records of one key in a hundred fail for ever, until somebody
// mends what is wrong. Two groups do the same work at the same time and pace, one with
// the faulty keys and one without: what do the faulty keys cost the others? Then the
// fault is mended, the keys are released by command, and the end is compared.

const (
	parkingMost  = 6000 // records, at the most
	parkingPace  = 2500 // records per second and group
	parkingWork  = 4 * time.Millisecond
	faultyEvery  = 100 // one key in so many
	parkingGroup = "parking-demo"
	sentAt       = "sent" // header: when it was written
)

var errNoRate = errors.New("no exchange rate for this customer")

// crew is one group of the scene.
type crew struct {
	topic  string
	faulty map[string]bool
	mended *atomic.Bool
	plan   plan

	mu        sync.Mutex
	files     *Files
	seqs      map[string]int
	done      int // of all
	healthy   int
	overtakes int
	early     int // calls for records behind a parked one
	delays    []time.Duration
	last      time.Time
}

func (c *crew) handle(ctx context.Context, m *orderly.Message) error {
	var ch Change
	if err := json.Unmarshal(m.Value, &ch); err != nil {
		return orderly.Permanent(err)
	}
	select {
	case <-time.After(c.plan.work(m.Partition, m.Offset, m.Attempt)):
	case <-ctx.Done():
		return ctx.Err()
	}
	bad := c.faulty[ch.Path]
	c.mu.Lock()
	defer c.mu.Unlock()
	if bad && !c.mended.Load() {
		if ch.Seq > 1 {
			c.early++
		}
		return errNoRate
	}
	if ch.Seq != c.seqs[ch.Path]+1 || c.files.Apply(ch) != nil {
		c.overtakes++
	}
	c.seqs[ch.Path] = max(c.seqs[ch.Path], ch.Seq)
	if c.done++; bad {
		return nil
	}
	c.healthy++
	c.last = time.Now()
	for _, h := range m.Headers {
		if at, err := strconv.ParseInt(string(h.Value), 10, 64); h.Key == sentAt && err == nil {
			c.delays = append(c.delays, c.last.Sub(time.Unix(0, at)))
		}
	}
	return nil
}

// numbers are the rate of the healthy records since the first was written, and their
// 99th percentile from being written to being done.
func (c *crew) numbers(began time.Time) (rate, p99 float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.delays) == 0 {
		return 0, 0
	}
	slices.Sort(c.delays)
	return float64(c.healthy) / c.last.Sub(began).Seconds(), c.delays[len(c.delays)*99/100].Seconds()
}

func (c *crew) count() (done, healthy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done, c.healthy
}

// faultyKeys draws them from the files that were changed more than once.
func faultyKeys(seed uint64, changes []Change) map[string]bool {
	counts := map[string]int{}
	for _, c := range changes {
		counts[c.Path]++
	}
	keys := slices.Sorted(maps.Keys(counts))
	p := plan{seed: seed}
	slices.SortStableFunc(keys, func(a, b string) int {
		if once := cmp.Compare(min(counts[b], 2), min(counts[a], 2)); once != 0 {
			return once
		}
		return cmp.Compare(p.draw(0, int64(len(a)), hashOf(a)), p.draw(0, int64(len(b)), hashOf(b)))
	})
	faulty := map[string]bool{}
	for _, k := range keys[:max(1, len(keys)/faultyEvery)] {
		faulty[k] = true
	}
	return faulty
}

func hashOf(s string) (h uint64) {
	for i := range len(s) {
		h = h*1099511628211 + uint64(s[i])
	}
	return h
}

// parkingScene plays the scene.
func (o *Options) parkingScene(ctx context.Context, in *Input, say func(string)) (*ParkingScene, error) {
	changes := in.Changes[:min(len(in.Changes), parkingMost)]
	truth, err := TruthOf(in.Name, changes)
	if err != nil {
		return nil, err
	}
	say("starting a broker and two groups")
	var mended atomic.Bool
	quiet := &crew{topic: "quiet"}
	crews := []*crew{quiet, {topic: "faulty", faulty: faultyKeys(o.Seed, changes)}}
	for _, c := range crews {
		c.mended, c.plan, c.files, c.seqs = &mended, plan{seed: o.Seed, maxWork: parkingWork}, NewFiles(), map[string]int{}
	}
	cluster, err := embedded.New(kfake.NumBrokers(1), kfake.SeedTopics(int32(o.Partitions), crews[0].topic, crews[1].topic))
	if err != nil {
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	defer cluster.Close()
	run := &parkingRun{o: o, brokers: cluster.ListenAddrs(), crews: crews, changes: changes, say: say}
	defer run.stop()
	s := &ParkingScene{Records: len(changes), FaultyKeys: len(crews[1].faulty), Keys: (&Input{Changes: changes}).Keys(), Listed: []ParkedKey{}}
	if err := run.play(ctx, s, &mended); err != nil {
		if !errors.Is(err, errStalled) {
			return nil, err
		}
		s.Stalled = err.Error()
	}
	c := crews[1]
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Overtakes, s.HandedOver, s.Different = c.overtakes, c.early, len(c.files.Differences(truth))
	return s, nil
}

// parkingRun is a scene that is played.
type parkingRun struct {
	o       *Options
	brokers []string
	crews   []*crew
	changes []Change
	say     func(string)
	members []*orderly.Consumer
	end     context.CancelFunc
	running sync.WaitGroup
	failed  atomic.Pointer[error]
}

// join starts a consumer for each crew.
func (r *parkingRun) join() error {
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	for _, c := range r.crews {
		m, err := orderly.NewConsumer(orderly.ConsumerConfig{
			Brokers: r.brokers, Group: parkingGroup + "-" + c.topic, Topics: []string{c.topic}, Handler: c.handle,
			Retry:          orderly.Retry{MaxAttempts: 3, Backoff: 20 * time.Millisecond, MaxBackoff: 100 * time.Millisecond},
			Parking:        orderly.Parking{First: time.Hour}, // the scene releases them by command
			CommitInterval: commitEvery, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			return err
		}
		r.members = append(r.members, m)
		r.running.Go(func() {
			if err := m.Run(ctx); err != nil {
				r.failed.Store(&err)
			}
		})
	}
	return nil
}

func (r *parkingRun) stop() {
	if r.end != nil {
		r.end()
	}
	r.running.Wait()
}

// await returns when the condition holds.
func (r *parkingRun) await(ctx context.Context, what string, cond func() bool) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for deadline := time.Now().Add(r.o.patience); !cond(); {
		if err := r.failed.Load(); err != nil {
			return fmt.Errorf("parking scene: %w", *err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: waited %s for %s", errStalled, r.o.patience, what)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	return nil
}

func (r *parkingRun) play(ctx context.Context, s *ParkingScene, mended *atomic.Bool) error {
	if err := r.join(); err != nil {
		return err
	}
	err := r.await(ctx, "the groups to get their partitions", func() bool {
		for _, m := range r.members {
			ps := m.State().Partitions
			if len(ps) != r.o.Partitions || slices.ContainsFunc(ps, func(p orderly.PartitionState) bool { return len(p.Reasons) > 0 }) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	r.say(fmt.Sprintf("%s records to each group; %d of %s keys of one of them fail", thousands(s.Records), s.FaultyKeys, thousands(s.Keys)))
	began := time.Now()
	if err := r.produce(ctx); err != nil {
		return err
	}
	bad := 0
	for _, c := range r.changes {
		if r.crews[1].faulty[c.Path] {
			bad++
		}
	}
	err = r.await(ctx, "the healthy records to be done and the others to be parked", func() bool {
		quiet, _ := r.crews[0].count()
		done, _ := r.crews[1].count()
		return quiet == s.Records && done == s.Records-bad && r.parked() == bad
	})
	s.QuietRate, s.QuietP99 = r.crews[0].numbers(began)
	s.Rate, s.P99 = r.crews[1].numbers(began)
	if s.Parked = r.parked(); err != nil {
		return err
	}
	r.say(fmt.Sprintf("%s records of %d keys are parked; the fault is mended, the keys are released", thousands(bad), s.FaultyKeys))
	return r.release(ctx, s, mended)
}

// parked is how many records the faulty group has parked.
func (r *parkingRun) parked() (n int) {
	for _, p := range r.members[1].State().Partitions {
		n += p.Parking.Records
	}
	return n
}

// produce writes the changes to both topics, in pace.
func (r *parkingRun) produce(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return err
	}
	defer cl.Close()
	const every = 10 * time.Millisecond
	t := time.NewTicker(every)
	defer t.Stop()
	var failed atomic.Pointer[error]
	began := time.Now()
	for sent := 0; sent < len(r.changes); {
		for due := int(time.Since(began).Seconds() * parkingPace); sent < min(due, len(r.changes)); sent++ {
			for _, c := range r.crews {
				cl.Produce(ctx, &kgo.Record{Topic: c.topic, Key: []byte(r.changes[sent].Path), Value: r.changes[sent].encode(),
					Headers: []kgo.RecordHeader{{Key: sentAt, Value: strconv.AppendInt(nil, time.Now().UnixNano(), 10)}}}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Store(&err)
					}
				})
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("writing to the embedded broker: %w", *err)
	}
	return nil
}

// release lists the parked keys as an operator would, mends the fault, and releases them.
func (r *parkingRun) release(ctx context.Context, s *ParkingScene, mended *atomic.Bool) error {
	topic := r.crews[1].topic
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: r.brokers, Group: parkingGroup + "-" + topic, Who: "demo"})
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(ctx, r.o.patience)
	defer cancel()
	keys, err := a.ParkedKeys(ctx, topic)
	if err != nil {
		return err
	}
	slices.SortStableFunc(keys, func(a, b orderly.ParkedKey) int { return cmp.Compare(b.Records, a.Records) })
	s.InOrder = len(keys) == s.FaultyKeys
	for i, k := range keys {
		recs, err := a.ParkedRecords(ctx, topic, k.Partition, k.Key, s.Records)
		if err != nil {
			return err
		}
		p := ParkedKey{Key: string(k.Key), Records: k.Records, Cause: k.Cause}
		s.InOrder = s.InOrder && len(recs) == k.Records
		for j, rec := range recs {
			var c Change
			if err := json.Unmarshal(rec.Record.Value, &c); err != nil || c.Path != p.Key || c.Seq != j+1 {
				s.InOrder = false
			}
			p.First, p.Last = min(cmp.Or(p.First, c.Seq), c.Seq), max(p.Last, c.Seq)
		}
		if i < 3 {
			s.Listed = append(s.Listed, p)
		}
	}
	mended.Store(true)
	began := time.Now()
	var wg sync.WaitGroup
	errs := make([]error, len(keys))
	gate := make(chan struct{}, 4)
	for i, k := range keys {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			_, errs[i] = a.Retry(ctx, orderly.Command{Topic: topic, Partition: k.Partition, Key: k.Key, Offset: k.FirstOffset})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.Released = seconds(time.Since(began))
	return r.await(ctx, "all records to be done", func() bool {
		done, _ := r.crews[1].count()
		return done == s.Records && r.parked() == 0
	})
}
