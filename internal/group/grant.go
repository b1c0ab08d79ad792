package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/internal/rewind"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// grant gives each partition its fencing token in the present generation: it
// reads the committed offset and metadata, takes a token above all that it
// finds, and commits the same offset and metadata with it. Only a member of the
// present generation can do that, so the token is granted by the coordinator.
// It returns when all are granted or gone, or with ctx.
//
// The same step is taken again for partitions that are kept while the generation
// moves, when a commit was refused or not answered: nothing of them is committed
// and nothing starts before.
func (s *Session) grant(ctx context.Context, parts []*Partition) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		open, err := s.grantOnce(ctx, parts)
		if err != nil {
			if fatal := s.fatal(err); fatal != nil {
				s.fail(fatal)
				<-ctx.Done() // the session ends; the client waits in here meanwhile
				return ctx.Err()
			}
			s.cfg.Logger.Warn("orderly: granting fencing tokens; trying again", "group", s.cfg.Group,
				"partitions", len(parts), "in", wait, "error", err)
		}
		if len(open) == 0 {
			return nil
		}
		parts = open
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// fatal returns the error that ends the session for err, or nil when trying
// again may help.
func (s *Session) fatal(err error) error {
	var a *AccessError
	var r *OffsetRangeError
	var c *RecreatedError
	var p *ParkingError
	var st *StoreError
	if errors.As(err, &st) {
		return st
	}
	var reset *ResetError
	if errors.As(err, &reset) || errors.As(err, &p) || errors.As(err, &a) || errors.As(err, &r) || errors.As(err, &c) {
		return err
	}
	return access("group", s.cfg.Group, "Read", err)
}

// grantOnce tries once and returns the partitions that are still not granted.
func (s *Session) grantOnce(ctx context.Context, parts []*Partition) (open []*Partition, err error) {
	s.mu.Lock()
	member, gen := s.cl.GroupMetadata()
	var try []*Partition
	for _, p := range parts {
		switch {
		case p.state == gone || p.state == draining:
		case p.refusedGen >= 0 && p.refusedGen == gen:
			open = append(open, p) // a new generation has to be joined first
		default:
			try = append(try, p)
		}
	}
	s.mu.Unlock()
	if len(try) == 0 {
		return open, nil
	}
	s.watchGeneration() // told before what it brought
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Rebalance)
	defer cancel()
	topics, err := s.readTopics(ctx, s.cl)
	if err != nil {
		var a *AccessError
		if errors.As(err, &a) && (kerr.IsRetriable(a.Err) || errors.Is(a.Err, errNotNamed)) {
			// One broker that lags, or the topic is gone: that is found out with time.
			s.aside(s.checkTopics)
			err = fmt.Errorf("topic %s: %w", a.Name, a.Err)
		}
		return append(open, try...), err
	}
	read, err := s.readCommitted(ctx, try, topics)
	if err != nil {
		return append(open, try...), err
	}
	if err := s.resets(try, read); err != nil {
		return append(open, try...), err
	}
	if err := s.lookInStore(ctx, try, read, topics); err != nil {
		return append(open, try...), err
	}
	sights := s.sights(ctx, try, read, topics)
	items, left, err := s.decide(ctx, try, read, sights, topics, member)
	if items == nil {
		return append(open, try...), err
	}
	open = append(open, left...)
	left, acked := s.commitGrants(ctx, items, member, gen)
	open = append(open, left...)
	if len(acked) > 0 {
		left, storeErr := s.takeStore(ctx, acked, member, gen)
		return append(open, left...), errors.Join(err, storeErr)
	}
	return open, err
}

// stored is what the group's offsets say of a partition.
type stored struct {
	offset int64 // -1: nothing is committed
	text   string
}

func (s *Session) readCommitted(ctx context.Context, parts []*Partition, topics map[string]topicInfo) (map[tp]stored, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = s.cfg.Group
	if s.cfg.ServerSide {
		member, epoch := s.cl.GroupMetadata()
		g.MemberID, g.MemberEpoch = &member, epoch
	}
	byTopic := make(map[string][]int32)
	names := make(map[[16]byte]string)
	for _, p := range parts {
		byTopic[p.topic] = append(byTopic[p.topic], p.partition)
	}
	for topic, partitions := range byTopic {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = topic, topics[topic].id, partitions
		names[t.TopicID] = topic
		g.Topics = append(g.Topics, t)
	}
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return nil, fmt.Errorf("reading committed offsets: %w", err)
	}
	if len(resp.Groups) == 0 {
		return nil, errors.New("reading committed offsets: the coordinator's answer names no group")
	}
	if err := kerr.ErrorForCode(resp.Groups[0].ErrorCode); err != nil {
		return nil, fmt.Errorf("reading committed offsets: %w", err)
	}
	out := make(map[tp]stored)
	for _, t := range resp.Groups[0].Topics {
		name := t.Topic
		if name == "" {
			name = names[t.TopicID]
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				if a := access("topic", name, "Read", err); a != nil {
					return nil, a
				}
				return nil, fmt.Errorf("reading the committed offset of %s/%d: %w", name, p.Partition, err)
			}
			st := stored{offset: p.Offset}
			if p.Metadata != nil {
				st.text = *p.Metadata
			}
			out[tp{name, p.Partition}] = st
		}
	}
	for _, p := range parts {
		if _, ok := out[p.tp]; !ok {
			return nil, fmt.Errorf("reading committed offsets: the answer does not name %s/%d", p.topic, p.partition)
		}
	}
	return out, nil
}

// sights looks at what stands beside the partitions. Their tokens are granted after
// that: whatever is found is used under a token that is younger.
func (s *Session) sights(ctx context.Context, parts []*Partition, read map[tp]stored, topics map[string]topicInfo) map[tp]ParkingSight {
	asks := make([]ParkingAsk, len(parts))
	for i, p := range parts {
		st := read[p.tp]
		meta, err := progress.Decode(st.offset, st.text)
		asks[i] = ParkingAsk{Topic: p.topic, TopicID: topics[p.topic].id, Partition: p.partition,
			Committed: st.offset >= 0 && err == nil && meta.Present, Extra: meta.Extra}
		s.mu.Lock()
		if asks[i].Committed && (p.state != live || p.unread) && s.cfg.Store == nil {
			asks[i].Note = progress.NoteOf(meta.Extra, meta.Token)
		}
		if p.state == live && !asks[i].Committed { // the commit is gone; what we know is not
			asks[i].Committed, asks[i].Extra = true, p.extras
		}
		s.mu.Unlock()
	}
	sights := make(map[tp]ParkingSight, len(parts))
	for i, sight := range s.lookBeside(ctx, asks) {
		sights[parts[i].tp] = sight
	}
	return sights
}

// decide makes of what was read the offset, token and metadata to commit. It
// leaves partitions for later whose log cannot be asked now: one without a leader
// holds up no other. No items at all: the error is for all of them.
func (s *Session) decide(ctx context.Context, parts []*Partition, read map[tp]stored, sights map[tp]ParkingSight, topics map[string]topicInfo, member string) (
	items []commitItem, left []*Partition, later error) {
	bounds, err := s.bounds(ctx, parts, read)
	if err != nil {
		return nil, nil, err
	}
	items = make([]commitItem, 0, len(parts))
	clocked := 0
	for _, p := range parts {
		st := read[p.tp]
		id := topics[p.topic].id
		beside := sights[p.tp]
		if beside.Err != nil && beside.Fatal {
			return nil, nil, &ParkingError{beside.Err}
		}
		if beside.Err != nil {
			left, later = append(left, p), beside.Err
			continue
		}
		var meta progress.Meta
		var moved *progress.MovedError
		if st.offset >= 0 {
			meta, err = progress.Decode(st.offset, st.text)
			switch {
			case err == nil:
			case errors.Is(err, progress.ErrForeign):
				s.cfg.Hooks.Warning("foreign-commit", fmt.Sprintf("group %s topic %s partition %d: offset %d was committed by something other than orderly "+
					"(metadata %.40q): the offset is taken over; if a plain consumer is still in the group, order does not hold", s.cfg.Group, p.topic, p.partition, st.offset, st.text))
				meta = progress.Meta{}
			case errors.As(err, &moved):
				// Its token and topic still count; its offsets do not.
				s.cfg.Hooks.Warning("foreign-commit", fmt.Sprintf("group %s topic %s partition %d: %v", s.cfg.Group, p.topic, p.partition, err))
			default:
				s.cfg.Hooks.Warning("metadata-ignored", fmt.Sprintf("group %s topic %s partition %d: %v", s.cfg.Group, p.topic, p.partition, err))
				meta = progress.Meta{}
			}
			if st.text == "" {
				s.cfg.Hooks.Warning("foreign-commit", fmt.Sprintf("group %s topic %s partition %d: offset %d was committed without metadata, "+
					"by something other than orderly: the offset is taken over; if a plain consumer is still in the group, order does not hold",
					s.cfg.Group, p.topic, p.partition, st.offset))
			}
		}
		_, meta.Extra, _ = rewind.Of(meta.Extra) // who may start has taken notice
		known := s.topicOf(p)
		if known != [16]byte{} && id != [16]byte{} && id != known {
			return nil, nil, &RecreatedError{Topic: p.topic, Old: known, New: id}
		}
		token := meta.Token
		if meta.TopicID != [16]byte{} && id != [16]byte{} && meta.TopicID != id {
			s.cfg.Hooks.Warning("topic-recreated", fmt.Sprintf("group %s topic %s partition %d: the committed offset %d belongs to a topic of this name "+
				"that was deleted since: it does not apply, and the partition begins at Start", s.cfg.Group, p.topic, p.partition, st.offset))
			st.offset = -1
			meta = progress.Meta{Token: token, Extra: meta.Extra}
		}
		s.mu.Lock()
		kept, mine := p.state == live, p.token
		above := p.above
		noteRead := kept && p.unread && !beside.Unread
		if kept && !meta.Present && len(meta.Extra) == 0 {
			meta.Extra = p.extras
		}
		own := meta.Token <= p.tried && p.member == member // a grant of ours that was not answered
		s.mu.Unlock()
		if kept && meta.Token > mine && !own {
			// Another owner was there while we believed that we were.
			return nil, nil, errTakenOver{p}
		}
		if noteRead {
			return nil, nil, errNoteRead
		}
		switch {
		case token == 0 && mine == 0 && above == 0:
			// Nobody has left a token: the wall clock is above all that were
			// given before the group's offsets were lost.
			token = time.Now().UnixMilli()
			clocked++
		default:
			token = max(token, mine)
		}
		token = max(token, above)
		token++
		b := bounds[p.tp]
		offset := st.offset
		if b.err != nil && offset < 0 && !kept {
			left, later = append(left, p), b.err
			continue
		}
		if offset < 0 {
			offset = b.first
			if kept {
				s.mu.Lock()
				offset = p.committed // the commit is gone; what we know is not
				s.mu.Unlock()
			}
		} else if b.err == nil && (offset < b.start || offset > b.end) && !kept {
			switch s.cfg.Reset {
			case ResetStop:
				return nil, nil, &OffsetRangeError{Topic: p.topic, Partition: p.partition, Offset: offset, Start: b.start, End: b.end}
			case ResetEarliest:
				offset = b.start
			case ResetLatest:
				offset = b.end
			}
			s.cfg.Hooks.Warning("offset-reset", fmt.Sprintf("group %s topic %s partition %d: the committed offset %d is outside the log [%d, %d]: "+
				"it goes on at %d, as Reset says", s.cfg.Group, p.topic, p.partition, st.offset, b.start, b.end, offset))
			meta = progress.Meta{Extra: meta.Extra}
		}
		unread := false
		if !kept {
			applies := err == nil && meta.Present && offset == st.offset
			if unread = applies && beside.Unread; !unread {
				meta = withNoted(meta, beside.Noted, applies)
			}
		}
		note := progress.NoteOf(meta.Extra, meta.Token)
		meta.Extra = progress.WithNote(meta.Extra, note, token)
		clean := meta.Clean
		if meta.Present && !meta.Clean && !kept {
			meta.Unclean++
		}
		meta.Token, meta.TopicID, meta.Clean = token, id, false
		limit := int(s.metaLimit.Load())
		text, dropped, err := s.encode(offset, meta, limit)
		if err != nil {
			return nil, nil, fmt.Errorf("metadata of %s/%d: %w", p.topic, p.partition, err)
		}
		if note != nil {
			dropped.Ahead = 0 // it says so
		}
		items = append(items, commitItem{
			p: p, offset: offset, text: text, token: token, meta: meta, limit: limit, grant: true,
			clean: clean || !meta.Present, ahead: sum(meta.Ahead) - dropped.Ahead, notRecorded: dropped.Ahead,
			until: s.serialUntil(offset, meta, b), beside: beside.What, unread: unread,
		})
	}
	if clocked > 0 {
		s.cfg.Logger.Info("orderly: no fencing token is stored; tokens begin at the clock", "group", s.cfg.Group, "partitions", clocked)
	}
	return items, left, later
}

// errNoteRead says that the note of a partition that has waited for it can be read, or is
// gone. What it says has to be known before the first record: the partition is taken anew.
var errNoteRead = errors.New("what a note says is known now")

// errTakenOver says that another owner's token stands in the commit of a
// partition that we believed to be ours.
type errTakenOver struct{ p *Partition }

func (e errTakenOver) Error() string {
	return fmt.Sprintf("topic %s partition %d: another owner has committed a higher fencing token", e.p.topic, e.p.partition)
}

func (s *Session) topicOf(p *Partition) [16]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.topicID != [16]byte{} {
		return p.topicID
	}
	return s.topics[p.topic].id
}

func sum(runs []progress.Run) (n int64) {
	for _, r := range runs {
		n += r.To - r.From
	}
	return n
}

// bound is a partition's log: first is where one without a commit begins. With
// err it is not known.
type bound struct {
	start, end, first int64
	err               error
}

func (s *Session) bounds(ctx context.Context, parts []*Partition, read map[tp]stored) (map[tp]bound, error) {
	topics := make(map[string]bool)
	fresh := false
	for _, p := range parts {
		topics[p.topic] = true
		fresh = fresh || read[p.tp].offset < 0
	}
	names := make([]string, 0, len(topics))
	for t := range topics {
		names = append(names, t)
	}
	starts, err := s.adm.ListStartOffsets(ctx, names...)
	if err != nil && len(starts) == 0 {
		return nil, fmt.Errorf("listing start offsets: %w", err)
	}
	ends, err := s.adm.ListEndOffsets(ctx, names...)
	if err != nil && len(ends) == 0 {
		return nil, fmt.Errorf("listing end offsets: %w", err)
	}
	var at kadm.ListedOffsets
	if fresh && !s.cfg.StartAt.IsZero() {
		if at, err = s.adm.ListOffsetsAfterMilli(ctx, s.cfg.StartAt.UnixMilli(), names...); err != nil && len(at) == 0 {
			return nil, fmt.Errorf("listing offsets at %s: %w", s.cfg.StartAt, err)
		}
	}
	out := make(map[tp]bound, len(parts))
	for _, p := range parts {
		first, ok1 := starts.Lookup(p.topic, p.partition)
		last, ok2 := ends.Lookup(p.topic, p.partition)
		if err := errors.Join(missing(ok1 && ok2), first.Err, last.Err); err != nil {
			if a := access("topic", p.topic, "Describe", err); a != nil {
				return nil, a
			}
			out[p.tp] = bound{err: fmt.Errorf("listing offsets of %s/%d: %w", p.topic, p.partition, err)}
			continue
		}
		b := bound{start: first.Offset, end: last.Offset, first: first.Offset}
		s.mu.Lock()
		later := int(p.partition) >= s.topics[p.topic].initial
		s.mu.Unlock()
		switch {
		case later: // it came while we ran: nothing of it is old
		case s.cfg.StartLatest:
			b.first = b.end
		case !s.cfg.StartAt.IsZero():
			l, ok := at.Lookup(p.topic, p.partition)
			if err := errors.Join(missing(ok), l.Err); err != nil && read[p.tp].offset < 0 {
				b.err = fmt.Errorf("listing offsets of %s/%d: %w", p.topic, p.partition, err)
			}
			b.first = l.Offset
		}
		out[p.tp] = b
	}
	return out, nil
}

func missing(ok bool) error {
	if ok {
		return nil
	}
	return errors.New("the answer does not name the partition")
}

// granted makes a partition live with its token. Called with Session.mu held,
// when the commit that carries the token was acknowledged.
func (s *Session) granted(it commitItem, member string) {
	p := it.p
	first := p.state == granting
	p.token, p.topicID = it.token, it.meta.TopicID
	p.committed, p.text, p.extras, p.above = it.offset, it.text, it.meta.Extra, 0
	p.member, p.needGrant, p.unsure, p.refusedGen = member, false, false, -1
	if first {
		p.meta, p.unread = it.meta, it.unread
		p.start = it.begin()
		p.ends.known = progress.Ended(it.meta.Extra)
		p.ends.used = len(p.ends.known) > 0
		if p.stored != nil { // only its rows say what is done
			p.meta.Ahead, p.meta.CompleteUpTo = nil, 0
		}
		p.ring = progress.NewRing(p.start)
		p.skip = progress.NewSkip(p.meta)
		pc := s.cfg.Partition(p.topic, p.partition)
		s.beginSerial(p, it.until, &pc)
		s.beginBeside(p, &pc)
		if p.stored != nil {
			pc.Beside = p.stored
		}
		p.lane = s.cfg.Pool.Add(pc, it.token)
		if p.stored != nil {
			p.stored.Started(p.lane, p.park)
		}
		p.state = live
	}
	s.grantBeside(p, &it)
}

// goOn lets a kept partition start handlers again, under its new token, when that
// was made known.
func (s *Session) goOn(p *Partition, token int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.state != live || p.needGrant || p.token != token {
		return // something has happened meanwhile
	}
	p.lane.SetToken(token)
	p.lane.Renew()
	p.lane.ClearHalt(haltGrant)
}
