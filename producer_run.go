package orderly

import (
	"context"
	"sync/atomic"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An outgoing is one record on its way. The client gets a copy: it may still hold
// it when the caller was told that its outcome is unknown, and has the record back.
type outgoing struct {
	produce.Item
	rec  kgo.Record
	src  *kgo.Record
	done func(*kgo.Record, error)
	err  error // the client's
	next *outgoing
}

// A run is what was taken from a partition's queue at a time. All of it goes into
// one batch, and so has one fate: the client fails whole partitions, but it tells
// us of a failure later than it happens, and a record that it takes in between
// would be written behind the failed one. That a record is in the same batch as
// those before it is the only thing that can be known at the time: the client
// asks its partitioner again before it begins another batch (admit), and is then
// told to leave the record.
type run struct {
	items  []*produce.Item
	ctx    context.Context
	cancel context.CancelFunc

	opened atomic.Bool  // the batch was begun
	shut   atomic.Bool  // no more of this run
	fed    atomic.Int32 // records given to the client
	seen   atomic.Int32 // of these, those for which it asked for a partition
	cut    atomic.Int32 // records before the one that was refused

	scan    int          // of the promises
	failed  atomic.Int32 // records that the client failed or was told to leave
	pending atomic.Int32
	done    chan struct{}
}

func newRun(ctx context.Context, items []*produce.Item) *run {
	r := &run{items: items, done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// feed gives the records to the client, as long as it takes them.
func (r *run) feed(cl *kgo.Client) {
	r.pending.Store(1)
	last := len(r.items) - 1
	for _, it := range r.items[:last] {
		r.pending.Add(1)
		r.fed.Add(1)
		cl.Produce(r.ctx, &it.Payload.(*outgoing).rec, r.promise)
		if r.shut.Load() {
			break
		}
	}
	if !r.shut.Load() {
		// With the last one the client is told not to wait for more: of all its
		// calls only ProduceSync does that for this partition alone.
		r.pending.Add(1)
		r.fed.Add(1)
		rec := &r.items[last].Payload.(*outgoing).rec
		go func() {
			res := cl.ProduceSync(r.ctx, rec)
			r.promise(rec, res[0].Err)
		}()
	}
	r.answered()
}

// promise takes a record's result from the client, in the order of the records
// as far as they were taken in.
func (r *run) promise(rec *kgo.Record, err error) {
	if err != nil {
		for i := range r.items {
			o := r.items[(r.scan+i)%len(r.items)].Payload.(*outgoing)
			if &o.rec == rec {
				o.err = err
				r.scan = (r.scan + i) % len(r.items)
				break
			}
		}
		r.failed.Add(1)
	}
	r.answered()
}

func (r *run) answered() {
	if r.pending.Add(-1) == 0 {
		close(r.done)
	}
}

// results returns how many records the client took in, and whether it failed any
// of them. After done only.
func (r *run) results() (admitted int, failed bool) {
	admitted = len(r.items)
	if r.failed.Load() == 0 {
		return admitted, false
	}
	if r.shut.Load() {
		admitted = int(r.cut.Load())
	}
	for i, it := range r.items {
		o := it.Payload.(*outgoing)
		if i >= admitted {
			// Left for the next run. The client has put the context of this one in.
			o.err, o.rec.Context = nil, o.src.Context
		} else if o.err != nil {
			failed = true
		}
	}
	return admitted, failed
}

// admit says whether the client may take a record in.
func (r *run) admit(newBatch bool) bool {
	switch n := r.fed.Load(); {
	case r.shut.Load():
		return false
	case !newBatch:
		// One before this that never came so far was failed on its way.
		if r.seen.Add(1) == n {
			return true
		}
	case r.opened.CompareAndSwap(false, true):
		return true
	}
	r.cut.Store(r.fed.Load() - 1)
	r.shut.Store(true)
	return false
}

// A placer is the client's partitioner: the partition is the one that we chose.
type placer struct{ p *Producer }

func (pl placer) ForTopic(name string) kgo.TopicPartitioner {
	return &topicPlacer{t: pl.p.topic(name)}
}

type topicPlacer struct {
	t        *topic
	newBatch bool
}

func (*topicPlacer) RequiresConsistency(*kgo.Record) bool { return true }

// OnNewBatch is called before Partition is called again.
func (tp *topicPlacer) OnNewBatch() { tp.newBatch = true }

func (tp *topicPlacer) Partition(rec *kgo.Record, n int) int {
	newBatch := tp.newBatch
	tp.newBatch = false
	r := tp.t.senders[rec.Partition].run.Load()
	if !r.admit(newBatch) {
		return -1
	}
	if int(rec.Partition) >= n {
		// The client knows an older state of the topic than we do.
		r.cut.Store(r.fed.Load() - 1)
		r.shut.Store(true)
		return -1
	}
	return int(rec.Partition)
}
