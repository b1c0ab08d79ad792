package orderly

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A sender is one partition: its records in order, and one goroutine while there
// are any, which hands over runs, waits for their results and tells callers.
type sender struct {
	p         *Producer
	t         *topic
	partition int32
	limit     int           // bytes of a batch
	wake      chan struct{} // something is to be told, or need not linger
	run       atomic.Pointer[run]

	mu      sync.Mutex
	part    produce.Partition
	numbers *numbering
	working bool
	slab    []outgoing
}

func newSender(p *Producer, t *topic, partition int32, limit int) *sender {
	return &sender{p: p, t: t, partition: partition, limit: limit, wake: make(chan struct{}, 1), numbers: p.writer.forPartition()}
}

// add takes a record in; one with a cause has failed already.
func (s *sender) add(rec *kgo.Record, done func(*kgo.Record, error), size, wire int32, due time.Duration, cause error) {
	s.mu.Lock()
	if s.partition < 0 && s.t.loaded.Load() {
		// The topic was found in the meantime; closed keys have gone over.
		s.mu.Unlock()
		s.t.senderOf(s.p, rec).add(rec, done, size, wire, due, cause)
		return
	}
	if len(s.slab) == 0 {
		s.slab = make([]outgoing, 64)
	}
	o := &s.slab[0]
	s.slab = s.slab[1:]
	if rec.Partition != s.partition { // who sends it again may share it with the client
		rec.Partition = s.partition
	}
	if cause == nil && s.numbers != nil && s.part.Why(rec.Key) == nil {
		cause = s.numbers.stamp(rec)
		o.numbered = cause == nil
	}
	o.src, o.done, o.ms, o.traced = rec, done, rec.Timestamp.UnixMilli(), rec.Context != nil
	o.Key, o.Due, o.Payload = rec.Key, due, o
	o.Size, o.Wire = size, wire
	if cause != nil {
		s.part.Reject(&o.Item, cause)
		s.p.cfg.Logger.Error("orderly: a record was refused; its key is closed", "topic", s.t.name, "partition", s.partition,
			"key", string(rec.Key), "error", cause)
	} else {
		s.part.Add(&o.Item)
	}
	start := !s.working
	s.working = true
	poke := !start && (s.part.Told() || s.p.cfg.Linger > 0 && s.full())
	s.mu.Unlock()
	if start {
		s.p.spawn(s.work)
	} else if poke {
		s.poke()
	}
}

// refuse tells a caller that a record is not taken in; its key stays as it is.
func (s *sender) refuse(rec *kgo.Record, done func(*kgo.Record, error), size int32, cause error) {
	o := &outgoing{src: rec, done: done, traced: rec.Context != nil}
	o.Item = produce.Item{Key: rec.Key, Size: size, Payload: o}
	s.mu.Lock()
	s.part.Refuse(&o.Item, cause)
	s.mu.Unlock()
	s.start()
}

// leader is the broker that the client sends the partition's records to.
func (s *sender) leader() int32 {
	leader, _, _ := s.p.cl.PartitionLeader(s.t.name, s.partition) // -1 when it does not know
	return leader
}

// full reports that a batch's worth waits. Called with the lock held.
func (s *sender) full() bool {
	_, wire := s.part.Queued()
	return wire >= s.limit
}

func (s *sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// start sees to it that what was decided from outside is told.
func (s *sender) start() {
	s.mu.Lock()
	start := !s.working && !s.part.Idle()
	s.working = s.working || start
	s.mu.Unlock()
	if start {
		s.p.spawn(s.work)
	} else {
		s.poke()
	}
}

// work is the sender's goroutine.
func (s *sender) work() {
	s.linger()
	for {
		s.mu.Lock()
		s.expire()
		most := maxRun
		if s.run.Load() == nil {
			// The client does not know the topic perhaps; then it does not ask
			// for a partition at once.
			most = 1
		}
		items := s.part.Take(most, s.limit-batchOverhead)
		out := s.part.Out()
		if items == nil && out == nil {
			s.working = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if items == nil {
			s.tell(out)
			continue
		}
		// Callers of the last run are told while this one is on its way.
		mark := s.p.wire.mark(s.leader())
		r := newRun(s.p.runs, items)
		s.run.Store(r)
		r.feed(s.p.cl, &s.t.turn)
		s.tell(out)
		s.await(r, mark)
		r.cancel()
	}
}

// maxRun bounds a run's records, so that what it holds in memory is bounded when
// they are tiny.
const maxRun = 1 << 14

// linger waits for more records, when the partition was idle.
func (s *sender) linger() {
	if s.p.cfg.Linger == 0 || s.p.hurry.Load() > 0 {
		return
	}
	timer := time.NewTimer(s.lingers())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-s.p.closing:
			return
		case <-s.wake:
			s.mu.Lock()
			enough := s.full() || s.p.hurry.Load() > 0
			out := s.part.Out()
			s.mu.Unlock()
			s.tell(out)
			if enough {
				return
			}
		}
	}
}

// lingers is how long: not so long that there is no time left for sending.
func (s *sender) lingers() time.Duration {
	wait := s.p.cfg.Linger
	s.mu.Lock()
	defer s.mu.Unlock()
	if due, ok := s.part.Due(); ok {
		wait = min(wait, (due-s.p.now())/2)
	}
	return wait
}

// await returns when the client has answered all of a run. A run that is not
// answered by its deadline has failed with an unknown outcome, and still keeps the
// partition closed to others: the client will write it when it can.
func (s *sender) await(r *run, mark wireMark) {
	p := s.p
	// Before the deadline the client gets time to fail what it surely has not
	// sent: the rest may have been written.
	now, due := p.now(), r.items[0].Due
	giveUp := due - min((due-now)/4, 5*time.Second)
	timer := time.NewTimer(giveUp - now)
	defer timer.Stop()
	var given, decided bool
	abort := p.abort
	for {
		select {
		case <-r.done:
			s.finish(r, mark, decided)
			return
		case <-s.wake:
			s.mu.Lock()
			out := s.part.Out()
			s.mu.Unlock()
			s.tell(out)
		case <-abort:
			abort = nil
			due = min(due, p.now()+closeGrace)
			giveUp = min(giveUp, p.now())
			timer.Reset(0)
		case <-timer.C:
			now := p.now()
			if now >= giveUp && !given {
				given = true
				r.cancel()
				// The client looks at what it holds when it has new metadata, or
				// knows that there is none.
				p.cl.ForceMetadataRefresh()
			}
			if now >= due && !decided {
				decided = true
				s.decideUnknown(r)
			}
			next := due
			s.mu.Lock()
			if decided {
				s.expire()
				next = now + p.cfg.DeliveryTimeout
				if d, ok := s.part.Due(); ok {
					next = d
				}
			}
			out := s.part.Out()
			s.mu.Unlock()
			s.tell(out)
			timer.Reset(max(next-now, time.Millisecond))
		}
	}
}

// closeGrace is how long Close waits, past its deadline, for the client to fail
// what was surely not sent.
const closeGrace = 250 * time.Millisecond

// finish decides a run whose results are all in.
func (s *sender) finish(r *run, mark wireMark, decided bool) {
	p := s.p
	if decided {
		p.cfg.Logger.Warn("orderly: the outcome of records came after they had failed; the partition goes on", "topic", s.t.name,
			"partition", s.partition, "records", r.fed, "written", r.fed-len(r.failed)-r.late)
		s.mu.Lock()
		s.part.Release()
		s.mu.Unlock()
		return
	}
	admitted, errs := r.results()
	causes := map[error]error{}
	leader := s.leader()
	for _, err := range errs {
		if causes[err] == nil {
			causes[err] = p.cause(s.t, err)
		}
	}
	s.mu.Lock()
	s.part.Return(admitted)
	if len(errs) == 0 {
		s.part.Written()
	} else {
		s.part.Finish(func(it *produce.Item) (produce.Outcome, error) {
			err := errs[it]
			if err == nil {
				return produce.Written, nil
			}
			gaveUp := r.ctx.Err() != nil
			outcome := p.wire.outcome(err, mark, leader, gaveUp)
			switch {
			case gaveUp && !answered(err):
				return outcome, s.gaveUp(outcome != produce.NotWritten)
			case gaveUp && outcome == produce.NotWritten:
				return outcome, fmt.Errorf("%w: %w", s.gaveUp(false), causes[err])
			}
			return outcome, causes[err]
		})
	}
	s.part.Release()
	s.mu.Unlock()
	if len(errs) > 0 {
		s.logClosed(r.items[:admitted])
	}
	if admitted == 0 {
		// The client knows less of the topic than we do; it learns.
		p.cl.ForceMetadataRefresh()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.runs.Done():
		}
	}
}

// decideUnknown fails a run whose deadline has passed without an answer. The client
// goes on with the records until it has one: callers get copies to send again.
func (s *sender) decideUnknown(r *run) {
	r.decide()
	s.mu.Lock()
	if r.shut.Load() {
		for _, it := range r.items[r.cut:r.fed] {
			it.Payload.(*outgoing).restore() // it is left for the next run
		}
		s.part.Return(r.cut)
	}
	s.part.Finish(func(it *produce.Item) (produce.Outcome, error) {
		o := it.Payload.(*outgoing)
		own := &kgo.Record{Topic: s.t.name, Partition: s.partition, Key: o.src.Key, Value: o.src.Value, Headers: o.src.Headers,
			Timestamp: time.UnixMilli(o.ms)}
		if o.traced {
			own.Context = o.src.Context
		}
		o.src = own
		return produce.MaybeWritten, s.gaveUp(true)
	})
	out := s.part.Out()
	s.mu.Unlock()
	s.logClosed(r.items)
	s.tell(out)
}

// gaveUp is the cause of a failure that is our own decision.
func (s *sender) gaveUp(sent bool) error {
	select {
	case <-s.p.abort:
		return ErrProducerClosed
	default:
		return s.p.errDelivery(sent)
	}
}

// expire fails records that were not handed over in time. Called with the lock
// held.
func (s *sender) expire() {
	if n := s.part.Expire(s.p.now(), s.p.errDelivery(false)); n > 0 {
		s.p.cfg.Logger.Error("orderly: records were not sent within DeliveryTimeout; their keys are closed", "topic", s.t.name,
			"partition", s.partition, "records", n)
	}
}

func (s *sender) logClosed(failed []*produce.Item) {
	keys := map[*produce.Closed]bool{}
	var first *produce.Closed
	for _, it := range failed {
		if it.Fate == nil || it.Fate.Why == nil {
			continue
		}
		keys[it.Fate.Why] = true
		if first == nil {
			first = it.Fate.Why
		}
	}
	if first != nil {
		s.p.cfg.Logger.Error("orderly: records failed; their keys are closed until Clear", "topic", s.t.name, "partition", s.partition,
			"keys", len(keys), "first_key", string(first.Key), "error", first.Cause)
	}
}

// tell calls the callers' functions, in order, and gives the room back.
func (s *sender) tell(out []*produce.Item) {
	const several = 256
	for len(out) > 0 {
		some := out[:min(len(out), several)]
		out = out[len(some):]
		var bytes int64
		for _, it := range some {
			bytes += int64(it.Size)
			o := it.Payload.(*outgoing)
			src, done := o.src, o.done
			o.restore()
			if it.Outcome != produce.Written {
				s.p.noteUnsent(s, it)
				done(src, s.failure(it))
				continue
			}
			done(src, nil)
		}
		s.p.budget.Release(len(some), bytes)
	}
}

// failure is the error of a record that was not acknowledged.
func (s *sender) failure(it *produce.Item) error {
	outcome := ErrNotWritten
	if it.Outcome == produce.MaybeWritten {
		outcome = ErrMaybeWritten
	}
	c := it.Fate.Why
	if c == nil {
		return &failure{outcome, it.Fate.Err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := it.Payload.(*outgoing); o.numbered {
		s.numbers.failed(o.src)
	}
	closed := s.keyClosed(c, outcome, it.Fate.Refused, it.Fate.Err)
	closed.behind = c.First != it
	return closed
}

// keyClosed is called with the lock held, first before the caller has its record
// back.
func (s *sender) keyClosed(c *produce.Closed, outcome error, refused bool, cause error) *KeyClosedError {
	o := c.First.Payload.(*outgoing)
	if c.Note == "" {
		c.Note = o.describe()
	}
	return &KeyClosedError{Topic: s.t.name, Partition: s.partition, Key: clone(c.Key), First: o.src, Refused: refused,
		Outcome: outcome, Err: cause, first: c.Note}
}

// describe names a record that has no offset.
func (o *outgoing) describe() string {
	if n, ok := numberOf(o.src); ok {
		return fmt.Sprintf("number %d (%d bytes)", n, len(o.src.Value))
	}
	return fmt.Sprintf("of %s (%d bytes)", time.UnixMilli(o.ms).UTC().Format("2006-01-02T15:04:05.000Z"), len(o.src.Value))
}
