package orderlytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is one record's.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// journal is the history of one group.
type journal struct {
	scope history.Scope
	key   func(*kgo.Record) []byte
	// published, when set, returns only when all records that could have been
	// handed over by now are in the history.
	published func()

	rec     *history.Recorder
	batches atomic.Int64

	mu     sync.Mutex
	logged map[place]struct{}
	undone map[place]struct{} // of those
}

func newJournal(cfg *orderly.ConsumerConfig) *journal {
	j := &journal{
		key:    cfg.OrderBy.Key,
		rec:    history.NewRecorder(history.RecorderConfig{Keep: true}),
		logged: make(map[place]struct{}), undone: make(map[place]struct{}),
	}
	if cfg.Scope == orderly.ScopePartition {
		j.scope = history.ScopePartition
	}
	if j.key == nil {
		j.key = func(r *kgo.Record) []byte { return r.Key }
	}
	return j
}

// log takes a record that was written, in the order of offsets.
func (j *journal) log(r *kgo.Record) {
	at := place{r.Topic, r.Partition, r.Offset}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.logged[at]; known {
		return
	}
	j.logged[at], j.undone[at] = struct{}{}, struct{}{}
	j.rec.Add(history.Event{Kind: history.Log, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: history.BytesKey(j.key(r))})
}

// await returns when the records are in the history: their producer may still be
// waiting for their offsets.
func (j *journal) await(ms []*orderly.Message) {
	if j.published == nil {
		return
	}
	j.mu.Lock()
	known := 0
	for _, m := range ms {
		if _, ok := j.logged[place{m.Topic, m.Partition, m.Offset}]; ok {
			known++
		}
	}
	j.mu.Unlock()
	if known < len(ms) {
		j.published()
	}
}

// left is how many of the records are not done.
func (j *journal) left() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.undone)
}

func (j *journal) check(complete bool) history.Report {
	return history.Check(j.rec.Events(), history.Options{Scope: j.scope, Complete: complete})
}

// A witness writes down what one member's handlers do.
type witness struct {
	j    *journal
	name string
	seen func(m *orderly.Message, err error) // the end of an attempt; may be nil

	mu     sync.Mutex
	dead   bool
	tokens map[place]int64 // by partition; offset is 0
}

func newWitness(j *journal, name string) *witness {
	return &witness{j: j, name: name, tokens: make(map[place]int64)}
}

// add records what the member does, as long as it lives.
func (w *witness) add(e history.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addLocked(e)
}

func (w *witness) addLocked(e history.Event) {
	if !w.dead {
		e.Member = w.name
		w.j.rec.Add(e)
	}
}

// kill ends the member: what it does from now on is nobody's.
func (w *witness) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addLocked(history.Event{Kind: history.Kill})
	w.dead = true
}

func (w *witness) alive() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.dead
}

// own records a token, once.
func (w *witness) own(topic string, partition int32, token int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ownLocked(topic, partition, token)
}

func (w *witness) ownLocked(topic string, partition int32, token int64) {
	at := place{topic: topic, partition: partition}
	if w.tokens[at] < token {
		w.tokens[at] = token
		w.addLocked(history.Event{Kind: history.Own, Topic: topic, Partition: partition, Token: token})
	}
}

// start records that the records are handed over. It reports false when the
// context ended before that: the ownership may be over, and the handler is not
// called.
func (w *witness) start(ctx context.Context, batch int64, ms ...*orderly.Message) bool {
	w.j.await(ms)
	w.mu.Lock()
	defer w.mu.Unlock()
	// A context ends before the end of its ownership is told, which takes this
	// lock: one that has not ended now is in time.
	if ctx.Err() != nil {
		return false
	}
	for _, m := range ms {
		// A handler may begin under a new token before its event has come.
		w.ownLocked(m.Topic, m.Partition, m.FencingToken)
		w.addLocked(history.Event{Kind: history.Start, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
			Key: history.BytesKey(w.j.key(m.Record)), Token: m.FencingToken, Attempt: m.Attempt, Batch: batch})
	}
	return true
}

// end takes the outcome of one attempt: done, failed, or (cancelled) neither.
func (w *witness) end(m *orderly.Message, ok, cancelled bool, err error) {
	w.mu.Lock()
	dead := w.dead
	w.addLocked(history.Event{Kind: history.End, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		Token: m.FencingToken, Attempt: m.Attempt, OK: ok, Cancelled: cancelled})
	w.mu.Unlock()
	if dead {
		return
	}
	if ok {
		w.j.mu.Lock()
		delete(w.j.undone, place{m.Topic, m.Partition, m.Offset})
		w.j.mu.Unlock()
	}
	if w.seen != nil && !cancelled {
		w.seen(m, err)
	}
}

var errNotReturned = errors.New("the handler panicked, or ended its goroutine")

// plain is next with its calls written down.
func (w *witness) plain(next orderly.Handler) orderly.Handler {
	return func(ctx context.Context, m *orderly.Message) (err error) {
		if !w.start(ctx, 0, m) {
			return context.Cause(ctx)
		}
		err = errNotReturned
		defer func() {
			// A panic is passed on as it is: to recover it here would change its
			// stack.
			w.end(m, err == nil, err != nil && gone(ctx), err)
		}()
		return next(ctx, m)
	}
}

// gone says that the group has ended the context, so that a failure does not
// count.
func gone(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), orderly.ErrAttemptTimeout)
}

// batch is next with its calls written down: each record is an attempt.
func (w *witness) batch(next orderly.BatchHandler) orderly.BatchHandler {
	return func(ctx context.Context, ms []*orderly.Message) (done int, err error) {
		b := w.j.batches.Add(1)
		if !w.start(ctx, b, ms...) {
			return 0, context.Cause(ctx)
		}
		done, err = -1, errNotReturned
		defer func() {
			for i, m := range ms {
				switch {
				case done > len(ms) || done < 0 && len(ms) > 1:
					w.end(m, false, true, fmt.Errorf("cannot tell: %w", err))
				case i < done:
					w.end(m, true, false, nil)
				case i == max(done, 0):
					w.end(m, false, gone(ctx), err)
				default:
					w.end(m, false, true, nil)
				}
			}
		}()
		return next(ctx, ms)
	}
}

// passes writes down the records that are done without their handler, before the
// user's own functions are called.
func (w *witness) passes(ev *orderly.Events) {
	done := func(topic string, partition int32, offset, token int64, why string) {
		w.mu.Lock()
		w.addLocked(history.Event{Kind: history.Done, Topic: topic, Partition: partition, Offset: offset, Token: token, Why: why})
		dead := w.dead
		w.mu.Unlock()
		if !dead {
			w.j.mu.Lock()
			delete(w.j.undone, place{topic, partition, offset})
			w.j.mu.Unlock()
		}
	}
	parked := ev.Parked
	ev.Parked = func(e orderly.ParkedEvent) {
		w.add(history.Event{Kind: history.Park, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Token: e.FencingToken})
		if parked != nil {
			parked(e)
		}
	}
	numbered := ev.Sequence
	ev.Sequence = func(e orderly.SequenceEvent) {
		if e.Finding == orderly.SequenceDuplicate {
			done(e.Topic, e.Partition, e.Offset, e.FencingToken, "duplicate")
		}
		if numbered != nil {
			numbered(e)
		}
	}
	lettered, skipped := ev.DeadLettered, ev.Skipped
	ev.DeadLettered = func(e orderly.DeadLetteredEvent) {
		done(e.Topic, e.Partition, e.Offset, e.FencingToken, "dead-letter")
		if lettered != nil {
			lettered(e)
		}
	}
	ev.Skipped = func(e orderly.SkippedEvent) {
		done(e.Topic, e.Partition, e.Offset, e.FencingToken, "skip")
		if skipped != nil {
			skipped(e)
		}
	}
}
