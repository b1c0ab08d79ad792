package orderly

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An outgoing is one record on its way.
type outgoing struct {
	produce.Item
	src    *kgo.Record
	done   func(*kgo.Record, error)
	ms     int64 // its timestamp, which the client writes at a time of its own
	traced bool  // it has a context; else the client puts the run's in
	// numbered: it has a number of its partition, which is its own when it is sent
	// again.
	numbered bool
}

// restore takes the context of a run out of the record.
func (o *outgoing) restore() {
	if !o.traced {
		o.src.Context = nil
	}
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

	shut    atomic.Bool // no more of this run
	opened  bool        // the batch was begun
	fed     int         // records given to the client
	seen    int         // of these, those for which it asked for a partition
	cut     int         // records before the one that was refused
	mu      sync.Mutex
	failed  []failed
	scanned int  // items, for failed
	over    bool // it was decided without the client: items are not looked at any more
	late    int  // records that the client failed after that

	_       [64]byte     // what follows is written by the client's goroutine
	pending atomic.Int32 // results to come
	done    chan struct{}
}

type failed struct {
	i   int
	err error
}

func newRun(ctx context.Context, items []*produce.Item) *run {
	r := &run{items: items, done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.pending.Store(int32(len(items)))
	return r
}

// feed gives the records to the client, as long as it takes them. The client lets
// in one record of a topic at a time: turn keeps the topic's partitions from
// fighting over each of them. Nothing waits in it: the client's buffer has no bounds
// but ours.
func (r *run) feed(cl *kgo.Client, turn *sync.Mutex) {
	const several = 256
	promise := r.promise
	last := len(r.items) - 1
	turn.Lock()
	for i, it := range r.items[:last] {
		if i%several == several-1 {
			turn.Unlock()
			turn.Lock()
		}
		r.fed++
		cl.Produce(r.ctx, it.Payload.(*outgoing).src, promise)
		if r.shut.Load() {
			turn.Unlock()
			r.answered(len(r.items) - r.fed)
			return
		}
	}
	turn.Unlock()
	// With the last one the client is told not to wait for more: of all its calls
	// only ProduceSync does that for this partition alone.
	r.fed++
	rec := r.items[last].Payload.(*outgoing).src
	go func() { r.promise(rec, cl.ProduceSync(r.ctx, rec)[0].Err) }()
}

// promise takes a record's result from the client.
func (r *run) promise(rec *kgo.Record, err error) {
	if err != nil {
		r.mu.Lock()
		if r.over {
			r.late++
			r.mu.Unlock()
			r.answered(1)
			return
		}
		for n := range r.items {
			i := (r.scanned + n) % len(r.items) // they come in order, but for one
			if r.items[i].Payload.(*outgoing).src == rec {
				r.failed = append(r.failed, failed{i, err})
				r.scanned = i + 1
				break
			}
		}
		r.mu.Unlock()
	}
	r.answered(1)
}

// decide keeps promise away from the items: their records are to be exchanged.
func (r *run) decide() {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
}

func (r *run) answered(n int) {
	if r.pending.Add(-int32(n)) == 0 {
		close(r.done)
	}
}

// results returns how many records the client took in, and the errors of those
// that it failed. After done only.
func (r *run) results() (admitted int, errs map[*produce.Item]error) {
	admitted = len(r.items)
	if r.shut.Load() {
		admitted = r.cut
	}
	for _, f := range r.failed {
		if f.i < admitted {
			if errs == nil {
				errs = make(map[*produce.Item]error)
			}
			errs[r.items[f.i]] = f.err
		}
	}
	for _, it := range r.items[admitted:] {
		it.Payload.(*outgoing).restore() // it is left for the next run
	}
	return admitted, errs
}

// admit says whether the client may take a record in. It is called while the
// record is given to the client.
func (r *run) admit(newBatch bool) bool {
	if !r.shut.Load() {
		switch {
		case newBatch && !r.opened:
			r.opened = true
			return true
		case !newBatch:
			// One before this that never came so far was failed on its way.
			if r.seen++; r.seen == r.fed {
				return true
			}
		}
		r.cut = r.fed - 1
		r.shut.Store(true)
	}
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
	if int(rec.Partition) >= n {
		// The client knows an older state of the topic than we do.
		r.cut = r.fed - 1
		r.shut.Store(true)
	}
	if !r.admit(newBatch) {
		return -1
	}
	return int(rec.Partition)
}
