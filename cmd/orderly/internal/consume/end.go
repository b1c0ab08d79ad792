package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lookAgain is the time between two looks at how far the group is.
const lookAgain = 200 * time.Millisecond

// A watch ends the run when everything up to the end that it saw at its start
// is settled.
//
// The end of a partition is its last stable offset: what is behind it belongs to
// transactions that are still open, and is handed over to nobody. A partition is
// at the end when its commit is there; or when between the two there is nothing
// to hand over (records of aborted transactions, or what compaction left).
type watch struct {
	cl    *kgo.Client
	adm   *kadm.Client
	c     *orderly.Consumer
	topic string
	group string
	log   *slog.Logger
	ends  map[int32]int64 // of the partitions that are not at their end
	last  map[int32]int64 // commits at the last look
	done  chan struct{}
}

func startWatch(ctx context.Context, o *Options, c *orderly.Consumer, log *slog.Logger, stop context.CancelCauseFunc) (*watch, error) {
	cl, err := o.Cluster.Client()
	if err != nil {
		return nil, err
	}
	w := &watch{cl: cl, adm: kadm.NewClient(cl), c: c, topic: o.Topic, group: o.Group, log: log,
		last: map[int32]int64{}, done: make(chan struct{})}
	if w.ends, err = endsOf(ctx, w.adm, o.Cluster.Brokers, o.Topic); err != nil {
		cl.Close()
		return nil, err
	}
	go func() {
		defer close(w.done)
		defer cl.Close()
		if err := w.run(ctx); err == nil {
			stop(errAtEnd)
		} else if ctx.Err() == nil {
			stop(err)
		}
	}()
	return w, nil
}

func (w *watch) wait() { <-w.done }

// endsOf asks where the partitions end now. A partition without a leader may have one
// in a moment.
func endsOf(ctx context.Context, adm *kadm.Client, brokers []string, topic string) (map[int32]int64, error) {
	limit, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	began := time.Now()
	var last error
	for {
		listed, err := adm.ListCommittedOffsets(limit, topic)
		switch {
		case ctx.Err() != nil:
			return nil, nil // the run ends at once, in order
		case err != nil && last != nil && limit.Err() != nil:
			return nil, last
		case errors.As(err, new(*kadm.AuthError)):
			return nil, access(topic, err)
		case err != nil && !shardMayRecover(err):
			return nil, &connect.UnreachableError{Brokers: brokers, Waited: time.Since(began), Err: err}
		}
		var ends map[int32]int64
		if err == nil {
			ends, err = theEnds(listed, topic)
		}
		if err == nil || !shardMayRecover(err) && !kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicOrPartition) {
			return ends, access(topic, err)
		}
		last = access(topic, err)
		select {
		case <-limit.Done():
		case <-time.After(lookAgain):
		}
	}
}

// shardMayRecover says that a broker answered for some partitions with an error that
// passes.
func shardMayRecover(err error) bool {
	var shards *kadm.ShardErrors
	if !errors.As(err, &shards) {
		return false
	}
	for _, s := range shards.Errs {
		if kerr.IsRetriable(s.Err) {
			return true
		}
	}
	return false
}

func theEnds(listed kadm.ListedOffsets, topic string) (ends map[int32]int64, err error) {
	ends = map[int32]int64{}
	listed.Each(func(l kadm.ListedOffset) {
		if l.Err != nil {
			err = l.Err
		}
		ends[l.Partition] = l.Offset
	})
	if err == nil && len(ends) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	return ends, err
}

func access(topic string, err error) error {
	if err == nil {
		return nil
	}
	return &orderly.AccessError{Resource: "topic", Name: topic, Operation: "Describe", Err: err}
}

// run returns nil when everything is settled.
func (w *watch) run(ctx context.Context) error {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("orderly: looking for the end; trying again", "topic", w.topic, "error", err)
		}
		if len(w.ends) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// look takes partitions that are at their end off the list.
func (w *watch) look(ctx context.Context) error {
	st := w.c.State()
	if st.Member == "" {
		return nil // not in the group yet: old commits may be of another topic
	}
	ours, idle := map[int32]int64{}, map[int32]bool{}
	for _, p := range st.Partitions {
		if p.Topic == w.topic {
			ours[p.Partition], idle[p.Partition] = p.Committed, p.Waiting == 0
			if p.FencingToken == 0 {
				ours[p.Partition] = -1 // not granted: the same
			}
		}
	}
	others, err := w.others(ctx, ours)
	if err != nil {
		return err
	}
	for p, end := range w.ends {
		at, known := ours[p]
		if !known {
			at, known = others[p]
		}
		if !known || at < 0 {
			continue
		}
		settled := at >= end
		if before, ok := w.last[p]; !settled && ok && before == at {
			// It does not move: there may be nothing left to wait for.
			if settled, err = w.nothingBetween(ctx, p, at, end, !idle[p]); err != nil {
				return err
			}
		}
		w.last[p] = at
		if settled {
			delete(w.ends, p)
		}
	}
	return nil
}

// others are the commits of partitions that another member of the group has.
func (w *watch) others(ctx context.Context, ours map[int32]int64) (map[int32]int64, error) {
	missing := false
	for p := range w.ends {
		if _, ok := ours[p]; !ok {
			missing = true
		}
	}
	if !missing {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	groups, err := w.adm.DescribeGroups(ctx, w.group)
	if err != nil {
		return nil, err
	}
	group := groups[w.group]
	taken := group.AssignedPartitions()
	offsets, err := w.adm.FetchOffsets(ctx, w.group)
	if err != nil {
		return nil, err
	}
	at := map[int32]int64{}
	for p := range w.ends {
		o, ok := offsets.Lookup(w.topic, p)
		if _, mine := ours[p]; ok && o.Err == nil && !mine && taken.Lookup(w.topic, p) {
			at[p] = o.At
		}
	}
	return at, nil
}

var errMoved = errors.New("the partition's leader has moved")

func broken(topic string, p int32, err error) error {
	return fmt.Errorf("topic %s partition %d: %w", topic, p, err)
}
