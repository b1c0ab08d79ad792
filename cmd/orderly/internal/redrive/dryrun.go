package redrive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func sortHeld(hs []Held) {
	slices.SortFunc(hs, func(a, b Held) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
}

// look asks where the dead letters end, and how many partitions the topic has that
// they go back to.
func look(ctx context.Context, o *Options) (ends map[int32]int64, partitions int, err error) {
	cl, err := o.Cluster.Client()
	if err != nil {
		return nil, 0, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	limit, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	began := time.Now()
	md, err := adm.Metadata(limit, o.Topic, o.DLT)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		return nil, 0, &connect.UnreachableError{Brokers: o.Cluster.Brokers, Waited: time.Since(began), Err: err}
	}
	for _, name := range []string{o.Topic, o.DLT} {
		if err := md.Topics[name].Err; err != nil {
			return nil, 0, &orderly.AccessError{Resource: "topic", Name: name, Operation: "Describe", Err: err}
		}
	}
	listed, err := adm.ListCommittedOffsets(limit, o.DLT)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("the ends of topic %s: %w", o.DLT, err)
	}
	ends = map[int32]int64{}
	listed.Each(func(l kadm.ListedOffset) { ends[l.Partition] = l.Offset })
	return ends, len(md.Topics[o.Topic].Partitions), nil
}

// dryRun reads what Run would, from where the last one came to, and sends and
// commits nothing.
func dryRun(ctx context.Context, o *Options, ends map[int32]int64, partitions int) (Result, error) {
	cl, err := o.Cluster.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return Result{}, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	done, err := adm.FetchOffsets(ctx, Group(o.DLT))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return Result{}, fmt.Errorf("the progress of group %s: %w", Group(o.DLT), err)
	}
	starts, err := adm.ListStartOffsets(ctx, o.DLT)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return Result{}, fmt.Errorf("the beginnings of topic %s: %w", o.DLT, err)
	}
	from := map[int32]kgo.Offset{}
	skips := map[int32]*progress.Skip{}
	left := map[int32]bool{}
	starts.Each(func(l kadm.ListedOffset) {
		at := l.Offset
		if c, ok := done.Lookup(o.DLT, l.Partition); ok && c.Err == nil && c.At >= 0 {
			at = max(at, c.At)
			if m, err := progress.Decode(c.At, c.Metadata); err == nil {
				skips[l.Partition] = progress.NewSkip(m)
			}
		}
		if at < ends[l.Partition] {
			from[l.Partition] = kgo.NewOffset().At(at)
			left[l.Partition] = true
		}
	})
	var res Result
	if len(from) == 0 {
		return res, nil
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{o.DLT: from})
	type place struct {
		partition int32
		key       string
	}
	held := map[place]bool{}
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return res, context.Cause(ctx)
		}
		var bad error
		fs.EachError(func(_ string, p int32, err error) { bad = fmt.Errorf("topic %s partition %d: %w", o.DLT, p, err) })
		if bad != nil {
			return res, bad
		}
		fs.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= ends[r.Partition] {
				delete(left, r.Partition)
			}
			at := place{r.Partition, string(r.Key)}
			if s := skips[r.Partition]; r.Offset >= ends[r.Partition] || s != nil && s.Done(r.Offset) {
				return
			}
			if held[at] {
				res.Wait++
				return
			}
			if _, err := o.check(r, partitions); err != nil {
				held[at] = true
				res.Held = append(res.Held, Held{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Why: err.Error()})
				return
			}
			res.Sent++
			fmt.Fprintf(o.Out, "%s/%d/%d key %q\n", o.DLT, r.Partition, r.Offset, r.Key)
		})
	}
	sortHeld(res.Held)
	return res, nil
}
