package group

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A commitItem is one partition's part of an OffsetCommit.
type commitItem struct {
	p           *Partition
	offset      int64
	text        string
	token       int64
	meta        progress.Meta
	limit       int  // of the metadata's text
	grant       bool // it carries a new token
	clean       bool // grant: the owner before released in order
	ahead       int64
	notRecorded int64
	settled     uint64           // records done under this ownership that it covers, at the least
	until       int64            // grant: for Partition.serial
	trying      progress.Attempt // what it announces
	beside      any              // grant: what was seen before it
	unread      bool             // grant: for Partition.unread
	start       int64            // grant: from where records are needed
	doubts      uint64           // grant: as doubtsOf counted when it was acknowledged
	err         error
	outcome     outcome
}

type outcome int

const (
	committed outcome = iota
	tryAgain          // refused for a reason that passes; it surely did not happen
	refused           // refused in this generation
	unknown           // no answer: it may still happen
)

// commitLoop commits what is done, and grants kept partitions anew where that is
// needed.
func (s *Session) commitLoop(ctx context.Context) {
	t := time.NewTicker(s.cfg.CommitInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.kick:
		}
		s.pulses.commit.begin()
		s.regrant(ctx)
		s.commit(ctx, s.all())
		s.pulses.commit.end()
	}
}

func (s *Session) kickCommitter() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// regrant takes the whole step again for kept partitions.
func (s *Session) regrant(ctx context.Context) {
	s.mu.Lock()
	_, gen := s.cl.GroupMetadata()
	var parts []*Partition
	if !s.silent && !s.joining.Load() {
		for _, p := range s.parts {
			if p.needGrant && p.state == live && p.refusedGen != gen {
				parts = append(parts, p)
			}
		}
	}
	s.mu.Unlock()
	if len(parts) == 0 {
		return
	}
	_, err := s.grantOnce(ctx, parts)
	var taken errTakenOver
	var lost *StoreLostError
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &lost):
		s.mu.Lock()
		p := s.parts[tp{lost.Topic, lost.Partition}]
		s.mu.Unlock()
		if p != nil {
			s.storeLost(p, lost.Err)
		}
	case errors.Is(err, errNoteRead):
		s.fail(ErrRejoin)
	case errors.As(err, &taken):
		s.lose([]*Partition{taken.p})
		s.fail(ErrRejoin)
	default:
		if fatal := s.fatal(err); fatal != nil {
			s.fail(fatal)
			return
		}
		s.cfg.Logger.Warn("orderly: granting fencing tokens anew; trying again", "group", s.cfg.Group, "partitions", len(parts), "error", err)
	}
}

// commit sends one OffsetCommit for those of the partitions that have something
// new to say, and takes in its answer.
func (s *Session) commit(ctx context.Context, parts []*Partition) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if ctx.Err() != nil {
		return // the turn came too late: what is not sent has no outcome
	}
	s.mu.Lock()
	member, gen, ok := s.membership()
	var items []commitItem
	if ok {
		for _, p := range parts {
			if it, ok := s.next(p, member, gen); ok {
				items = append(items, it)
			}
		}
	}
	s.mu.Unlock()
	s.send(ctx, member, gen, items)
}

// membership returns with what a commit is pinned. Called with Session.mu held,
// the lock of the ownership.
func (s *Session) membership() (member string, gen int32, ok bool) {
	member, gen = s.cl.GroupMetadata()
	ok = member != "" && gen >= 0 && !s.joining.Load() && !s.distrust.Load() && !s.silent
	return member, gen, ok
}

// next returns what a partition has to commit. Called with Session.mu held.
func (s *Session) next(p *Partition, member string, gen int32) (commitItem, bool) {
	if p.state != live && p.state != draining || p.ring == nil {
		return commitItem{}, false
	}
	if p.barred(member, gen) {
		return commitItem{}, false
	}
	if p.sealed != nil {
		if err := s.reseal(p); err != nil {
			s.cfg.Logger.Error("orderly: commit metadata", "group", s.cfg.Group, "topic", p.topic, "partition", p.partition, "error", err)
			return commitItem{}, false
		}
		it := *p.sealed
		return it, it.offset != p.committed || it.text != p.text
	}
	it, err := s.snapshot(p, false)
	if err != nil {
		s.cfg.Logger.Error("orderly: commit metadata", "group", s.cfg.Group, "topic", p.topic, "partition", p.partition, "error", err)
		return commitItem{}, false
	}
	if it.offset == p.committed && it.text == p.text {
		p.recorded = it.trying
	}
	return it, it.offset != p.committed || it.text != p.text
}

// snapshot is what is done of a partition now. Called with Session.mu held.
func (s *Session) snapshot(p *Partition, clean bool) (commitItem, error) {
	limit := int(s.metaLimit.Load())
	settled := p.lane.Stat().Done
	p.ring.Snapshot(&p.snap, s.mostRuns(p, limit))
	m := progress.Meta{
		Token: p.token, TopicID: p.topicID, Clean: clean, Extra: p.extra(), // what it says of parked records was true after the snapshot
	}
	if p.snap.Watermark == p.start {
		m.Unclean = p.meta.Unclean
	}
	if p.serial > 0 { // also when some are done, until they are through
		m.Unclean = max(p.meta.Unclean, crashes)
	}
	m.Ahead, m.CompleteUpTo = inherit(&p.snap, p.meta)
	for _, a := range p.meta.Attempts {
		if !within(m.Ahead, a.Offset) { // done; below the watermark Encode leaves it out
			m.Attempts = append(m.Attempts, a)
		}
	}
	p.lane.Failed(func(offset int64, attempts int32) {
		m.Attempts = append(m.Attempts, progress.Attempt{Offset: offset, Count: int(attempts)})
	})
	trying := p.announced(&m)
	m.Extra = p.ends.fields(m.Extra, &m, p.snap.Watermark, trying)
	slices.SortFunc(m.Attempts, func(a, b progress.Attempt) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	text, dropped, err := s.encode(p.snap.Watermark, m, limit)
	if err != nil {
		return commitItem{}, err
	}
	if dropped.Ahead > 0 || dropped.Attempts > 0 || p.snap.Unlisted > 0 {
		text, m, dropped = s.note(p, p.snap.Watermark, text, m, dropped, limit)
	}
	return commitItem{
		p: p, offset: p.snap.Watermark, text: text, token: p.token, meta: m, limit: limit,
		ahead: sum(m.Ahead) - dropped.Ahead, notRecorded: dropped.Ahead + int64(p.snap.Unlisted), settled: settled, trying: trying,
	}, nil
}

// reseal writes the metadata of a sealed commit anew when the token or the limit
// is another one by now. A grant that was on its way when the drain began may have
// been answered since: the old token, put over its own, would be given out a second
// time. Called with Session.mu held.
func (s *Session) reseal(p *Partition) error {
	it := p.sealed
	limit := int(s.metaLimit.Load())
	if it.token == p.token && it.limit == limit {
		return nil
	}
	it.meta.Extra = progress.WithNote(it.meta.Extra, progress.NoteOf(it.meta.Extra, it.meta.Token), p.token)
	it.meta.Token = p.token
	text, dropped, err := s.encode(it.offset, it.meta, limit)
	if err != nil {
		return err
	}
	it.text, it.token, it.limit = text, p.token, limit
	dropped = p.beyondNote(it.offset, text, it.meta, dropped)
	it.ahead = sum(it.meta.Ahead) - dropped.Ahead
	it.notRecorded = dropped.Ahead + int64(p.snap.Unlisted)
	return nil
}

// encode is progress.Encode, and refuses to leave out a field of a parking topic:
// what is parked would be dropped with it. Of the attempts in which processes ended the
// highest records' are left out first, where there is little room.
func (s *Session) encode(offset int64, m progress.Meta, limit int) (string, progress.Dropped, error) {
	text, dropped, err := progress.Encode(offset, m, limit)
	if err == nil && dropped.Extra > 0 && progress.NoteOf(m.Extra, m.Token) != nil {
		m.Extra = progress.WithNote(m.Extra, nil, 0)
		text, dropped, err = progress.Encode(offset, m, limit)
	}
	for ended := progress.Ended(m.Extra); err == nil && dropped.Extra > 0 && len(ended) > 0; {
		ended = ended[:len(ended)/2]
		m.Extra = progress.WithEnded(m.Extra, offset, ended)
		text, dropped, err = progress.Encode(offset, m, limit)
	}
	if err == nil && dropped.Extra > 0 && s.cfg.Parking != nil {
		err = fmt.Errorf("%d fields of the metadata do not fit %d characters; raise offset.metadata.max.bytes on the brokers", dropped.Extra, limit)
	}
	return text, dropped, err
}

// inherit adds to a snapshot what was done before this ownership and has not been
// read yet. Both parts meet where the snapshot ends, or the whole would not be
// closed per key: the ring may have grown since.
func inherit(snap *progress.Snapshot, before progress.Meta) (ahead []progress.Run, upTo int64) {
	ahead, upTo = snap.Runs, snap.CompleteUpTo
	if snap.Unlisted > 0 {
		return ahead, upTo
	}
	for _, r := range before.Ahead {
		if r.To > snap.CompleteUpTo {
			ahead = append(ahead, progress.Run{From: max(r.From, snap.CompleteUpTo), To: r.To})
		}
	}
	return join(ahead), max(upTo, before.CompleteUpTo)
}

func within(runs []progress.Run, offset int64) bool {
	i, _ := slices.BinarySearchFunc(runs, offset, func(r progress.Run, offset int64) int {
		if r.To <= offset {
			return -1
		}
		return 1
	})
	return i < len(runs) && runs[i].From <= offset
}

// join merges runs that touch.
func join(runs []progress.Run) []progress.Run {
	out := runs[:0]
	for _, r := range runs {
		if n := len(out); n > 0 && r.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

// commitGrants commits new tokens and makes the partitions live whose commit was
// acknowledged; it returns the others that are still ours. What the tokens are
// above was read as member in gen, and holds for no other membership: another
// owner may have come and gone in between.
func (s *Session) commitGrants(ctx context.Context, items []commitItem, member string, gen int32) (open []*Partition, acked []commitItem) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	nowMember, nowGen, ok := s.membership()
	ok = ok && nowMember == member && nowGen == gen
	send := items[:0:0]
	for _, it := range items {
		switch {
		case it.p.state != granting && it.p.state != live:
		case !ok || it.p.refusedGen == gen:
			open = append(open, it.p)
		default:
			it.p.tried = max(it.p.tried, it.token)
			send = append(send, it)
		}
	}
	s.mu.Unlock()
	s.send(ctx, member, gen, send)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range send {
		switch {
		case it.p.state == gone:
		case it.outcome != committed:
			open = append(open, it.p)
		case it.p.stored != nil:
			acked = append(acked, it)
		}
	}
	return open, acked
}

// send sends one OffsetCommit, once, to the coordinator. Called with commitMu
// held. A commit that is not answered is never sent again: it may land after a
// later one and put an older state over it. The next one waits for a generation
// in which the coordinator refuses it.
func (s *Session) send(ctx context.Context, member string, gen int32, items []commitItem) {
	if len(items) == 0 {
		return
	}
	started := time.Now()
	err := s.request(ctx, member, gen, items)
	took := time.Since(started)
	s.mu.Lock()
	rejoin := false
	var events []func()
	for i := range items {
		it := &items[i]
		if err != nil {
			it.err = err
			it.outcome = unknown
			if errors.Is(err, errNotSent) {
				it.outcome = tryAgain
			}
		}
		p := it.p
		ours := p.state != gone
		switch {
		case it.outcome == committed && ours:
			if it.grant && p.stored != nil {
				it.doubts = s.doubtsOf(p) // it is live when the store has its token
			} else if it.grant {
				first := p.state == granting
				s.granted(*it, member)
				granted := *it
				events = append(events, func() { s.tellGranted(granted, first) })
			} else {
				p.committed, p.text, p.recorded = it.offset, it.text, it.trying
				p.settled, p.notRecorded = it.settled, it.notRecorded
				p.extras = it.meta.Extra
				if p.stored != nil {
					p.stored.Settled(it.offset)
				}
				if p.park != nil && it.token == p.token {
					p.park.Committed(it.token, it.offset, it.meta.Extra)
				}
			}
		case it.outcome == refused || it.outcome == unknown:
			if !p.needGrant || p.refusedGen != gen {
				p.needSince = started
			}
			p.needGrant, p.refusedGen = true, gen
			if p.lane != nil && p.state == live {
				p.lane.SetHalt(haltGrant)
			}
			rejoin = rejoin || it.outcome == unknown && ours
		}
		c := Committed{Topic: p.topic, Partition: p.partition, Token: it.token, Offset: it.offset, DoneAhead: it.ahead,
			NotRecorded: it.notRecorded, Err: it.err, Unknown: it.outcome == unknown, Latency: took}
		events = append(events, func() { s.cfg.Hooks.Committed(c) })
	}
	s.mu.Unlock()
	for _, e := range events {
		e()
	}
	if rejoin {
		s.newGeneration(gen)
	}
}

// newGeneration makes the group move on, so that a commit of gen that is still on
// its way is refused when it lands.
func (s *Session) newGeneration(gen int32) {
	if s.rejoined.Swap(gen) == gen {
		return
	}
	s.cfg.Logger.Warn("orderly: an offset commit was not answered, or refused in this generation; joining a new one before the next commit",
		"group", s.cfg.Group, "generation", gen)
	if s.cfg.ServerSide {
		s.fail(ErrRejoin) // a member cannot move its own epoch
		return
	}
	s.cl.ForceRebalance()
}

// errNotSent: the request has surely not reached a broker.
var errNotSent = errors.New("not sent")

func (s *Session) request(ctx context.Context, member string, gen int32, items []commitItem) error {
	node, err := s.findCoordinator(ctx)
	if err != nil {
		return fmt.Errorf("%w: finding the group's coordinator: %w", errNotSent, err)
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = s.cfg.Group, member, gen
	if s.cfg.InstanceID != "" {
		req.InstanceID = &s.cfg.InstanceID
	}
	at := make(map[tp]*commitItem, len(items))
	topics := make(map[string]int)
	names := make(map[[16]byte]string)
	for i := range items {
		it := &items[i]
		at[it.p.tp] = it
		n, ok := topics[it.p.topic]
		if !ok {
			n = len(req.Topics)
			topics[it.p.topic] = n
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = it.p.topic, s.topicOf(it.p)
			names[t.TopicID] = t.Topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = it.p.partition, it.offset, &it.text
		req.Topics[n].Partitions = append(req.Topics[n].Partitions, rp)
		it.outcome, it.err = unknown, errors.New("the answer does not name the partition")
	}
	// Its answer is waited for also when nobody wants it any more: a commit without
	// an answer costs a new generation.
	limit := s.commitTimeout()
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	// A broker's Request, unlike the client's, is never sent twice.
	sent := time.Now()
	raw, err := s.cl.Broker(int(node)).Request(ctx, req)
	if err != nil {
		s.coordinator.Store(-1)
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return fmt.Errorf("%w: %w", errNotSent, err)
		}
		return err
	}
	for _, t := range raw.(*kmsg.OffsetCommitResponse).Topics {
		name := t.Topic
		if name == "" {
			name = names[t.TopicID]
		}
		for _, rp := range t.Partitions {
			if it := at[tp{name, rp.Partition}]; it != nil {
				it.err = kerr.ErrorForCode(rp.ErrorCode)
				it.outcome = s.judge(it)
				if it.err == nil && !s.cfg.ServerSide {
					// Any other answer may be that of a broker which coordinates
					// this group no more.
					s.heard.answered(sent)
				}
			}
		}
	}
	return nil
}

// commitTimeout bounds one OffsetCommit. A broker answers within
// offsets.commit.timeout.ms (5 s); after a third of the session waiting costs
// more than a new generation.
func (s *Session) commitTimeout() time.Duration {
	return max(min(10*time.Second, min(s.cfg.Session, s.cfg.Rebalance)/3), 100*time.Millisecond)
}

// judge says what an error code means for whether the commit happened.
func (s *Session) judge(it *commitItem) outcome {
	switch err := it.err; {
	case err == nil:
		return committed
	case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration),
		errors.Is(err, kerr.StaleMemberEpoch), errors.Is(err, kerr.UnknownMemberID):
		return refused
	case errors.Is(err, kerr.FencedInstanceID):
		s.fenced(err)
		return refused
	case errors.Is(err, kerr.NotCoordinator), errors.Is(err, kerr.CoordinatorLoadInProgress):
		s.coordinator.Store(-1)
		return tryAgain
	case errors.Is(err, kerr.OffsetMetadataTooLarge), errors.Is(err, kerr.InvalidCommitOffsetSize):
		// Several partitions of one commit are refused for the same limit.
		limit := int32(it.limit)
		switch {
		case int(limit/2) < s.leastLimit():
			s.fail(&AccessError{Resource: "group", Name: s.cfg.Group, Operation: "OffsetCommit", Err: fmt.Errorf("%w: the broker allows less than %d characters "+
				"of commit metadata, which the fencing token and the parking topic's guard need; raise offset.metadata.max.bytes", err, limit)})
		case s.metaLimit.CompareAndSwap(limit, limit/2):
			s.cfg.Logger.Info("orderly: the broker allows less commit metadata", "group", s.cfg.Group, "limit", limit/2)
			s.kickCommitter()
		}
		return tryAgain
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		s.aside(s.checkTopics)
		return tryAgain
	case access("group", s.cfg.Group, "Read", err) != nil:
		resource, name := "group", s.cfg.Group
		if errors.Is(err, kerr.TopicAuthorizationFailed) {
			resource, name = "topic", it.p.topic
		}
		s.fail(&AccessError{Resource: resource, Name: name, Operation: "Read", Err: err})
		return tryAgain
	}
	// COORDINATOR_NOT_AVAILABLE and REQUEST_TIMED_OUT also stand for a write to
	// the offsets topic that was appended and not replicated in time.
	s.coordinator.Store(-1)
	return unknown
}

func (s *Session) findCoordinator(ctx context.Context) (int32, error) {
	if node := s.coordinator.Load(); node >= 0 {
		return node, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.commitTimeout())
	defer cancel()
	r := s.adm.FindGroupCoordinators(ctx, s.cfg.Group)
	c, ok := r[s.cfg.Group]
	if !ok {
		return -1, errors.New("the answer does not name the group")
	}
	if c.Err != nil {
		return -1, c.Err
	}
	s.coordinator.Store(c.NodeID)
	return c.NodeID, nil
}
