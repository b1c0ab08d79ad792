package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
)

// Store keeps positions of partitions where the effects of their records are: the
// offsets that the group has committed are hints then.
type Store interface {
	// Look reads a token that the next one has to be above.
	Look(ctx context.Context, ask StoreAsk) (above int64, err error)
	// Open begins an ownership. It returns at once.
	Open(ask StoreAsk, host StoreHost) Stored
}

// A StoreAsk names a partition, and what the group's commit says beside it.
type StoreAsk struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
	Extra     []progress.Field
	Moved     *Moved // nil: nobody has moved the group's offset since
	// Of a commit of ours: its offset and fencing token; zero: there is none.
	Offset, Token int64
	// Above is what Look has returned; Open has it.
	Above int64
}

// Stored is one ownership's side.
type Stored interface {
	// Take takes the partition over in the store, under a token that the coordinator
	// has granted: also again, under a higher one. A partition that the store does not
	// know begins at low. It returns from where records are needed, and the highest
	// offset that the store knows of. clean: the owner before has released the partition
	// in order.
	Take(ctx context.Context, token, low int64, clean bool) (start, highest int64, err error)
	// Started says where its records run, before any of them does, and what stands beside
	// the partition; nil: nothing does. It waits for nothing.
	Started(part *lane.Partition, beside Parked)
	// Extra returns the fields of the next commit, whose watermark was taken before. It
	// waits for nothing.
	Extra(of []progress.Field) []progress.Field
	// Settled says that all below is settled. It waits for nothing.
	Settled(watermark int64)
	// End ends the ownership. It waits for nothing.
	End()
}

// StoreHost is the partition, as Stored sees it.
type StoreHost interface {
	// Doubt: the store has another token than this one. The whole step again, above.
	Doubt(token, above int64)
	// Lost: the store has lost what it had acknowledged under this token. The ownership
	// ends, and the next one reads from where the store is by then.
	Lost(token int64, err error)
}

// The errors of Look and Take.
type (
	// StoreAboveError: the token has to be above this one.
	StoreAboveError struct{ Above int64 }
	// StoreLostError: the store has lost what it had acknowledged in this ownership.
	StoreLostError struct {
		Topic     string
		Partition int32
		Err       error
	}
	// StoreError: nothing that passes. It ends the Session.
	StoreError struct {
		Topic     string
		Partition int32
		Err       error
	}
)

func (e *StoreAboveError) Error() string {
	return fmt.Sprintf("the store has fencing token %d: a higher one is taken", e.Above)
}

func (e *StoreLostError) Error() string {
	return fmt.Sprintf("topic %s partition %d: %v", e.Topic, e.Partition, e.Err)
}
func (e *StoreLostError) Unwrap() error { return e.Err }

func (e *StoreError) Error() string {
	return fmt.Sprintf("topic %s partition %d: %v", e.Topic, e.Partition, e.Err)
}
func (e *StoreError) Unwrap() error { return e.Err }

type storeHost struct {
	s *Session
	p *Partition
}

func (h storeHost) Doubt(token, above int64) {
	h.s.mu.Lock()
	if h.p.state != gone && h.p.token == token {
		h.p.above = max(h.p.above, above)
		h.p.doubt()
	}
	h.s.mu.Unlock()
	h.s.kickCommitter()
}

func (h storeHost) Lost(token int64, err error) {
	h.s.mu.Lock()
	ours := h.p.state == live && h.p.token == token
	h.s.mu.Unlock()
	if ours {
		h.p.lane.SetHalt(haltGrant)
		h.s.aside(func(context.Context) { h.s.storeLost(h.p, err) })
	}
}

// storeLost ends an ownership whose records have to be read again.
func (s *Session) storeLost(p *Partition, err error) {
	s.cfg.Hooks.Warning("store-lost", fmt.Sprintf("group %s topic %s partition %d: %v; its records are read again from where the database is",
		s.cfg.Group, p.topic, p.partition, err))
	s.lose([]*Partition{p})
	s.fail(ErrRejoin)
}

// storeAtATime bounds how many partitions ask the store at a time.
const storeAtATime = 8

// each calls f for each number below n, several at a time; it returns the first
// error in the order of numbers that ends the session, else the first.
func (s *Session) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.commitTimeout())
	defer cancel()
	errs := make([]error, n)
	places := make(chan struct{}, storeAtATime)
	var wg sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			errs[i] = f(ctx, i)
			<-places
		})
	}
	wg.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	for _, err := range errs {
		if s.fatal(err) != nil {
			return err
		}
	}
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// lookInStore reads what the store has of partitions: their next tokens are above
// that. While it cannot be read nothing is granted.
func (s *Session) lookInStore(ctx context.Context, parts []*Partition, read map[tp]stored, topics map[string]topicInfo) error {
	if s.cfg.Store == nil {
		return nil
	}
	return s.each(ctx, len(parts), func(ctx context.Context, i int) error {
		p := parts[i]
		st := read[p.tp]
		ask := StoreAsk{Topic: p.topic, TopicID: topics[p.topic].id, Partition: p.partition}
		if meta, err := progress.Decode(st.offset, st.text); st.offset >= 0 && err == nil {
			ask.Extra, ask.Offset, ask.Token = meta.Extra, st.offset, meta.Token
		}
		ask.Moved = s.movedTo(p, st)
		above, err := s.cfg.Store.Look(ctx, ask)
		if err != nil {
			return err
		}
		s.mu.Lock()
		p.above = max(p.above, above)
		if p.stored == nil {
			ask.Above = above
			p.stored = s.cfg.Store.Open(ask, storeHost{s, p})
		}
		s.mu.Unlock()
		return nil
	})
}

// takeStore takes partitions over in the store whose tokens were committed as member
// in gen, and makes them live. It returns those that are not. What happened to the
// membership meanwhile is not known to the tokens: then the whole step again.
func (s *Session) takeStore(ctx context.Context, items []commitItem, member string, gen int32) (open []*Partition, err error) {
	var mu sync.Mutex
	log := s.listed(ctx, items)
	err = s.each(ctx, len(items), func(ctx context.Context, i int) error {
		err := s.takeOne(ctx, items[i], member, gen, log)
		s.mu.Lock()
		left := items[i].p.state == granting || items[i].p.state == live && items[i].p.needGrant
		s.mu.Unlock()
		if left {
			mu.Lock()
			open = append(open, items[i].p)
			mu.Unlock()
		}
		return err
	})
	return open, err
}

// A listing is where the logs of partitions begin and end. Listing one costs as much as
// all of its topic, so those that are granted together share one.
type listing func() (map[tp]bound, error)

func (s *Session) listed(ctx context.Context, items []commitItem) listing {
	return sync.OnceValues(func() (map[tp]bound, error) {
		ctx, cancel := context.WithTimeout(ctx, s.commitTimeout())
		defer cancel()
		parts, read := make([]*Partition, len(items)), make(map[tp]stored, len(items))
		for i, it := range items {
			parts[i], read[it.p.tp] = it.p, stored{}
		}
		return s.bounds(ctx, parts, read)
	})
}

func (s *Session) takeOne(ctx context.Context, it commitItem, member string, gen int32, log listing) error {
	p := it.p
	start, highest, err := p.stored.Take(ctx, it.token, it.offset, it.clean)
	var above *StoreAboveError
	if errors.As(err, &above) {
		s.mu.Lock()
		p.above = max(p.above, above.Above)
		s.mu.Unlock()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	first := p.state == granting
	s.mu.Unlock()
	if first {
		if err = s.inLog(ctx, it, start, highest, log); err != nil {
			return err
		}
	}
	s.mu.Lock()
	nowMember, nowGen, ok := s.membership()
	if !ok || nowMember != member || nowGen != gen || it.doubts != s.doubtsOf(p) || p.state != granting && p.state != live {
		s.mu.Unlock()
		return nil
	}
	it.start = start
	s.granted(it, member)
	s.mu.Unlock()
	s.tellGranted(it, first)
	return nil
}

// inLog compares what the store knows with the partition's log.
func (s *Session) inLog(ctx context.Context, it commitItem, start, highest int64, log listing) error {
	p := it.p
	var b bound
	// The shared one may be of before an owner's last steps, and a leader that was just
	// elected may know of less.
	for _, log := range []listing{log, s.listed(ctx, []commitItem{it}), s.listed(ctx, []commitItem{it})} {
		bounds, err := log()
		if err != nil {
			return err
		}
		if b = bounds[p.tp]; b.err != nil {
			return b.err
		}
		if start >= b.start && max(start, highest) <= b.end {
			return nil
		}
	}
	if start < b.start {
		return &StoreError{p.topic, p.partition, fmt.Errorf("the store needs records from offset %d on, and the log begins at %d: "+
			"retention has deleted records that were not processed; raise it, and decide about the lost ones: with another name of the handler (Effects.Name) "+
			"the partition begins anew at the group's committed offset", start, b.start)}
	}
	return &StoreError{p.topic, p.partition, fmt.Errorf("the store is at offset %d, and the log ends at %d: the database is ahead of the log, "+
		"as when the log was cut or the topic's data are another cluster's; restore the log, or a backup of the database from before", max(start, highest), b.end)}
}

// tellGranted reports a token that was granted, and lets a kept partition go on.
func (s *Session) tellGranted(it commitItem, first bool) {
	p := it.p
	s.cfg.Hooks.Assigned(Assigned{Topic: p.topic, Partition: p.partition, Token: it.token, Offset: it.begin(),
		DoneAhead: it.ahead, Clean: it.clean, Regranted: !first})
	if !first {
		s.goOn(p, it.token)
	}
}

// begin is the offset at which a partition begins that is granted.
func (it *commitItem) begin() int64 {
	if it.p.stored != nil {
		return it.start
	}
	return it.offset
}

// doubtsOf counts what may have ended the ownership without our knowing. Called with
// Session.mu held.
func (s *Session) doubtsOf(p *Partition) uint64 { return s.silences + p.doubts }

// endStore ends the store's side, when the lanes are closed.
func (p *Partition) endStore() {
	if p.stored != nil {
		p.stored.End()
	}
}
