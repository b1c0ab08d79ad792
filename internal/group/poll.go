package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// poll reads records and queues them. It never waits for a handler: when the
// buffer is full it stops polling, and a partition that holds more than its
// share for long is paused alone.
func (s *Session) poll(ctx context.Context) {
	var buf pollBuffer
	for s.room(ctx) {
		pctx := s.gate.enter(ctx)
		fetches := s.cl.PollRecords(pctx, s.most())
		s.pulses.poll.begin()
		s.fetched(fetches, &buf)
		s.gate.leave()
		s.pulses.poll.end()
		if fetches.IsClientClosed() {
			return
		}
	}
}

// A pollBuffer is reused from chunk to chunk, for its memory.
type pollBuffer struct {
	items   []*lane.Item
	offsets []int64
	slots   []progress.Slot
}

// pollChunk is how many records go through all steps of enqueue at once: few
// enough that they stay in the processor's cache from one step to the next.
const pollChunk = 2048

func (s *Session) fetched(fetches kgo.Fetches, buf *pollBuffer) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil {
			s.fetchError(f.Topic, f.Partition, f.Err)
		}
		if len(f.Records) == 0 {
			return
		}
		s.mu.Lock()
		p := s.parts[tp{f.Topic, f.Partition}]
		if p != nil && p.accepting.Load() {
			s.saw(p, &f.FetchPartition)
			p.ages.take(f.Records)
		}
		s.mu.Unlock()
		if p == nil || !p.accepting.Load() {
			s.cfg.Hooks.Dropped(f.Topic, f.Partition, len(f.Records), "not-owned")
			return
		}
		s.enqueue(p, f.Records, buf)
	})
	clear(buf.items[:cap(buf.items)])
	clear(buf.slots[:cap(buf.slots)])
}

func (s *Session) enqueue(p *Partition, recs []*kgo.Record, buf *pollBuffer) {
	// A partition that moved back and forth within the client may bring what is
	// in the ring already.
	next := p.ring.NextOffset()
	for len(recs) > 0 && recs[0].Offset < next {
		recs = recs[1:]
	}
	if p.skip != nil && len(recs) > 0 && recs[0].Offset >= p.skip.End() {
		p.skip = nil
	}
	for len(recs) > 0 {
		chunk := recs[:min(pollChunk, len(recs))]
		recs = recs[len(chunk):]
		if !s.chunk(p, chunk, buf) {
			return
		}
	}
	if p.ring.Reclaim() >= s.cfg.Window {
		s.setPause(p, pauseWindow, true)
	}
}

func (s *Session) chunk(p *Partition, recs []*kgo.Record, buf *pollBuffer) bool {
	from := 0
	for i, r := range recs {
		if !r.Attrs.IsControl() && (p.skip == nil || !p.skip.Done(r.Offset)) {
			continue
		}
		// What came before goes in first: the ring takes rising offsets only.
		if !s.push(p, recs[from:i], buf) {
			return false
		}
		if err := p.ring.AppendDone(r.Offset); err != nil {
			s.fail(fmt.Errorf("topic %s partition %d: %w", p.topic, p.partition, err))
			return false
		}
		from = i + 1
	}
	if !s.push(p, recs[from:], buf) {
		return false
	}
	p.queued.Store(p.ring.NextOffset())
	return true
}

// push appends records to the ring and hands them to the lanes.
func (s *Session) push(p *Partition, recs []*kgo.Record, buf *pollBuffer) bool {
	if len(recs) == 0 {
		return true
	}
	buf.offsets = buf.offsets[:0]
	for _, r := range recs {
		buf.offsets = append(buf.offsets, r.Offset)
	}
	var err error
	if buf.slots, err = p.ring.AppendN(buf.offsets, buf.slots[:0]); err != nil {
		s.fail(fmt.Errorf("topic %s partition %d: the client returned records out of order: %w", p.topic, p.partition, err))
		return false
	}
	buf.items = s.cfg.Items(recs, buf.items[:0])
	for i, it := range buf.items {
		it.Slot = buf.slots[i]
		if p.skip != nil {
			it.Attempts = int32(p.skip.Attempts(it.Offset))
		}
	}
	if n := p.lane.Enqueue(buf.items); n < len(buf.items) {
		s.cfg.Hooks.Dropped(p.topic, p.partition, len(buf.items)-n, "not-owned")
	}
	return true
}

// fetchError handles an error that the client gives with a poll. The client
// tries again by itself what may pass.
func (s *Session) fetchError(topic string, partition int32, err error) {
	var session *kgo.ErrGroupSession
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
	case errors.As(err, &session):
		s.sessionError(session.Err)
	case errors.As(err, &loss) && s.cfg.Reset == ResetStop:
		s.fail(&OffsetRangeError{Topic: topic, Partition: partition, Offset: loss.ConsumedTo, End: loss.ResetTo})
	case errors.As(err, &loss):
		// The log was cut below what we have read: only a new ownership may go back.
		s.mu.Lock()
		p := s.parts[tp{topic, partition}]
		s.mu.Unlock()
		if p != nil {
			s.aside(func(context.Context) { s.lose([]*Partition{p}) })
		}
		s.fail(ErrRejoin)
	case errors.Is(err, kerr.OffsetOutOfRange):
		s.aside(func(ctx context.Context) { s.outOfRange(ctx, topic, partition) })
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		s.aside(s.checkTopics)
	default:
		if a := access("topic", topic, "Read", err); a != nil {
			s.fail(a)
			return
		}
		s.cfg.Logger.Warn("orderly: reading; the client tries again", "group", s.cfg.Group, "topic", topic, "partition", partition, "error", err)
	}
}

// sessionError handles what ended the client's group session.
func (s *Session) sessionError(err error) {
	switch {
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		s.fail(&AccessError{Resource: "group", Name: s.cfg.Group, Operation: "Join", Err: fmt.Errorf("%w: the members of the group use a balancer that "+
			"this consumer was not given; take the group over with Balancer: MigrateFrom(...)", err)})
	case errors.Is(err, kerr.FencedInstanceID):
		s.fenced(err)
	case errors.Is(err, kerr.InvalidSessionTimeout):
		s.fail(&AccessError{Resource: "group", Name: s.cfg.Group, Operation: "Join", Err: fmt.Errorf("%w: SessionTimeout is %s, and the brokers allow "+
			"group.min.session.timeout.ms to group.max.session.timeout.ms (by default 6 s to 30 min)", err, s.cfg.Session)})
	default:
		if a := access("group", s.cfg.Group, "Read", err); a != nil {
			s.fail(a)
			return
		}
		s.cfg.Logger.Warn("orderly: the group session ended; joining again", "group", s.cfg.Group, "error", err)
	}
}

// fenced: another process took this member's instance id.
func (s *Session) fenced(err error) {
	s.fail(&AccessError{Resource: "group instance id", Name: s.cfg.InstanceID, Operation: "Join",
		Err: fmt.Errorf("another process uses the same InstanceID: %w", err)})
}

// outOfRange: the offset to read next was deleted while we consumed.
func (s *Session) outOfRange(ctx context.Context, topic string, partition int32) {
	s.mu.Lock()
	p := s.parts[tp{topic, partition}]
	s.mu.Unlock()
	if p == nil || !p.accepting.Load() || !p.ranging.CompareAndSwap(false, true) {
		return
	}
	defer p.ranging.Store(false)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Session)
	defer cancel()
	b, err := s.bounds(ctx, []*Partition{p}, map[tp]stored{p.tp: {}})
	if err != nil {
		s.cfg.Logger.Warn("orderly: offset out of range, and the log's bounds cannot be read; trying again", "group", s.cfg.Group,
			"topic", topic, "partition", partition, "error", err)
		return
	}
	at, in := p.ring.NextOffset(), b[p.tp]
	if in.err != nil {
		s.cfg.Logger.Warn("orderly: offset out of range, and the log's bounds are not known; trying again", "group", s.cfg.Group, "error", in.err)
		return
	}
	if at >= in.start && at <= in.end {
		return
	}
	to := in.start
	switch s.cfg.Reset {
	case ResetStop:
		s.fail(&OffsetRangeError{Topic: topic, Partition: partition, Offset: at, Start: in.start, End: in.end})
		return
	case ResetLatest:
		to = in.end
	}
	if to < at {
		// The log was cut below what we have read: only a new ownership may go back.
		s.lose([]*Partition{p})
		s.fail(ErrRejoin)
		return
	}
	s.cfg.Hooks.Warning("offset-reset", fmt.Sprintf("group %s topic %s partition %d: offset %d is outside the log [%d, %d]: it goes on at %d, as Reset says",
		s.cfg.Group, topic, partition, at, in.start, in.end, to))
	s.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: to}}})
}

// room waits until there is room for what a poll may return; false when ctx
// ends.
func (s *Session) room(ctx context.Context) bool {
	for waited := time.Duration(0); ; waited += time.Millisecond {
		if ctx.Err() != nil {
			return false
		}
		long := waited >= 100*time.Millisecond
		if !s.pressure(long) {
			s.full.Store(false)
			return true
		}
		s.full.Store(long)
		if !sleep(ctx, time.Millisecond+waited/20) {
			return false
		}
	}
}

// pauses are the reasons for which nothing is read of a partition: its own, and
// that the buffer has been full for some time. Called with Session.mu held.
func (s *Session) pauses(p *Partition) uint32 {
	if s.full.Load() {
		return p.pause | pauseBuffer
	}
	return p.pause
}

// most is how many records a poll may bring: what is left of the budget, but at
// least one share, for the partition that has not had its own.
func (s *Session) most() int {
	s.mu.Lock()
	n := max(1, len(s.parts))
	s.mu.Unlock()
	return max(s.cfg.Records-int(s.cfg.Pool.Records()), s.cfg.Records/2/n, 1)
}

// pressure says whether the buffer is too full to poll. One half of the budget
// is anybody's, the other is shared out evenly. When the first half stays used
// up (long), partitions that hold more than their share are paused for the sake
// of the others, which are read on. Where there is no other one it only waits: a
// pause throws away what was fetched, and the client can fetch it again only when
// its present request has been answered.
func (s *Session) pressure(long bool) bool {
	pool := s.cfg.Pool
	if pool.Records() < int64(s.cfg.Records/2) && pool.Bytes() < s.cfg.Bytes/2 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := max(1, len(s.parts))
	shareRecords, shareBytes := s.cfg.Records/2/n, s.cfg.Bytes/2/int64(n)
	overRecords, overBytes := 0, int64(0)
	others := false
	var over []*Partition
	for _, p := range s.parts {
		if p.lane == nil {
			continue
		}
		st := p.lane.Stat()
		if st.Records > shareRecords || st.Bytes > shareBytes {
			overRecords += max(0, st.Records-shareRecords)
			overBytes += max(0, st.Bytes-shareBytes)
			if p.pause == 0 {
				over = append(over, p)
			}
		} else if p.pause == 0 {
			others = true
		}
	}
	if overRecords <= s.cfg.Records/2 && overBytes <= s.cfg.Bytes/2 || len(over) == 0 {
		return false
	}
	if long && others {
		for _, p := range over {
			s.pauseLocked(p, pauseBuffer, true)
		}
		return false
	}
	return true
}

func (s *Session) setPause(p *Partition, why uint32, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauseLocked(p, why, on)
}

// pauseLocked adds or removes one reason for which a partition is not read.
func (s *Session) pauseLocked(p *Partition, why uint32, on bool) {
	if p.state != live {
		return
	}
	old := p.pause
	if on {
		p.pause |= why
	} else {
		p.pause &^= why
	}
	m := map[string][]int32{p.topic: {p.partition}}
	switch {
	case old == 0 && p.pause != 0:
		s.cl.PauseFetchPartitions(m)
	case old != 0 && p.pause == 0:
		s.cl.ResumeFetchPartitions(m)
	}
}
