package orderly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/effects"
	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
)

// A StoreError ends Run: what the database says of a partition does not fit the
// topic, the configuration or this release.
type StoreError struct {
	Topic     string
	Partition int32
	Err       error
}

// Error names the partition, the cause and the way out.
func (e *StoreError) Error() string {
	return fmt.Sprintf("orderly: topic %s partition %d: %v", e.Topic, e.Partition, e.Err)
}

// Unwrap returns the cause: a *store.SchemaError, *store.LayoutError,
// *store.TopicError ...
func (e *StoreError) Unwrap() error { return e.Err }

// lowLimit is how long a move of a low-water row may take. It is lazy: the next
// commit brings the next one.
const lowLimit = 10 * time.Second

// effectsStore keeps the positions of a consumer's partitions in its database.
type effectsStore struct {
	cfg  *ConsumerConfig
	rep  reporter
	seq  *sequenceWatch
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	start   func(part *lane.Partition, r parked.Record) bool // hands a parked record over
	tending context.Context
	relax   context.CancelFunc

	mu    sync.Mutex
	parts map[*ownership]struct{}
}

func newEffectsStore(h handling) *effectsStore {
	if !h.cfg.Effects.on() {
		return nil
	}
	s := &effectsStore{cfg: h.cfg, rep: h.rep, seq: h.seq, start: h.start, parts: make(map[*ownership]struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.tending, s.relax = context.WithCancel(s.ctx)
	s.wg.Go(s.tend)
	return s
}

// end waits for the moves of low-water rows that are under way, and ends releases.
func (s *effectsStore) end() {
	if s == nil {
		return
	}
	s.relax()
	s.wg.Wait()
	s.stop()
}

func (s *effectsStore) part(ask group.StoreAsk) store.Part {
	return store.Part{Group: s.cfg.Group, Handler: s.cfg.Effects.Name, Topic: ask.Topic, TopicID: ask.TopicID, Partition: ask.Partition}
}

// Look implements group.Store.
func (s *effectsStore) Look(ctx context.Context, ask group.StoreAsk) (above int64, err error) {
	if ask.TopicID == [16]byte{} {
		return 0, &group.StoreError{Topic: ask.Topic, Partition: ask.Partition, Err: errors.New("the brokers give no topic ids (Kafka before 2.8): " +
			"a topic that is deleted and created again could not be told from the old one, and the store would skip its records; use newer brokers, or a plain Handler")}
	}
	g, err := parking.GuardOf(ask.Extra)
	if err != nil || g != nil && g.Holds {
		return 0, &group.StoreError{Topic: ask.Topic, Partition: ask.Partition, Err: errors.Join(errors.New("records of this group are parked on Kafka, "+
			"and Effects would pass them: run the handler that parked them until nothing is parked (\"orderly keys\"), or use another group"), err)}
	}
	above, err = s.cfg.Effects.Store.Token(ctx, s.part(ask))
	if err == nil && above > 0 && ask.Moved != nil {
		return 0, &group.StoreError{Topic: ask.Topic, Partition: ask.Partition, Err: &MovedError{Group: s.cfg.Group, Topic: ask.Topic,
			Partition: ask.Partition, Offset: ask.Moved.Offset, Foreign: ask.Moved.Foreign}}
	}
	return above, s.problem(ask, err)
}

// problem says which errors of the store end the session: those that time does not
// mend.
func (s *effectsStore) problem(ask group.StoreAsk, err error) error {
	var (
		fenced *store.FencedError
		schema *store.SchemaError
		layout *store.LayoutError
		topic  *store.TopicError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fenced):
		return &group.StoreAboveError{Above: fenced.Have}
	case errors.As(err, &schema), errors.As(err, &layout), errors.As(err, &topic):
		return &group.StoreError{Topic: ask.Topic, Partition: ask.Partition, Err: err}
	}
	return fmt.Errorf("the database, for topic %s partition %d: %w", ask.Topic, ask.Partition, err)
}

// Open implements group.Store.
func (s *effectsStore) Open(ask group.StoreAsk, host group.StoreHost) group.Stored {
	o := &ownership{s: s, ask: ask, host: host}
	s.mu.Lock()
	s.parts[o] = struct{}{}
	s.mu.Unlock()
	return o
}

// An ownership is the store's side of one ownership of a partition.
type ownership struct {
	s     *effectsStore
	ask   group.StoreAsk
	host  group.StoreHost
	owner atomic.Pointer[owned]
	part  atomic.Pointer[lane.Partition]
	park  atomic.Pointer[parked.Partition] // nil: no commands

	newKeys atomic.Int64 // with sequence numbers of which the store had none
	pruning atomic.Bool

	mu      sync.Mutex
	pending int64 // the low-water row is to be moved there
	moving  bool

	asked     bool  // Take was called
	notBefore int64 // no release on schedule begins, in milliseconds: the owner before may have ended by one

	oldest, oldestAt time.Time // of what is parked, and when it was looked for
}

// Take implements group.Stored.
func (o *ownership) Take(ctx context.Context, token, low int64, clean bool) (start, highest int64, err error) {
	if !o.asked && !clean { // later commits are ours
		o.notBefore = o.firstRelease()
	}
	o.asked = true
	var before *effects.Owner
	if was := o.owner.Load(); was != nil {
		before = was.Owner
	}
	own, err := effects.Begin(ctx, o.s.cfg.Effects.Store, o.s.part(o.ask), o.s.cfg.layout(), token, low, o.s.cfg.parkingRules(), before)
	var lost *effects.LostError
	if errors.As(err, &lost) {
		return 0, 0, &group.StoreLostError{Topic: o.ask.Topic, Partition: o.ask.Partition, Err: lost}
	}
	if err != nil {
		return 0, 0, o.s.problem(o.ask, err)
	}
	own.NotBefore(o.notBefore)
	now := newOwned(o.s.tending, own, token)
	was := o.owner.Swap(now)
	if was.end(); was != nil {
		o.s.wg.Go(func() { o.catchUp(now) })
	} else {
		o.behind(own)
	}
	o.prune()
	return own.Start(), own.Positions(), nil
}

// behind names a group that was moved on without the store: the tokens tell that somebody
// has owned the partition who does not write to it, the offsets that he got further. An
// owner that ended between its commit and its first step here has got nowhere. It is no
// error, for a database that was set back looks the same, and has to be read on from there.
func (o *ownership) behind(own *effects.Owner) {
	a, highest := &o.ask, own.Positions()
	if a.Token <= a.Above || a.Offset <= highest { // one that the store has not known begins at the group's offset
		return
	}
	o.s.rep.warn("store-behind", fmt.Sprintf("group %s topic %s partition %d: the group has committed offset %d under fencing token %d, and the database of handler %q ends at offset %d and token %d: "+
		"the partition was handled without it (by a plain handler, or with another Effects.Name), or the database was set back. Effects are applied from offset %d on, also those of records that were "+
		"handled meanwhile; to begin where the group is instead, stop it and run %s",
		o.s.cfg.Group, a.Topic, a.Partition, a.Offset, a.Token, o.s.cfg.Effects.Name, highest, a.Above, own.Start(), resetCommand(o.s.cfg.Group, a.Topic, a.Partition, a.Offset, true)))
}

// fenced: the store has another token.
func (o *ownership) fenced(own *owned, err *effects.FencedError) {
	o.s.rep.log(slog.LevelWarn, "the store has another owner's fencing token; confirming that the partition is ours",
		"topic", o.ask.Topic, "partition", o.ask.Partition, "token", own.token, "other", err.Theirs)
	o.host.Doubt(own.token, err.Theirs)
}

// Settled implements group.Stored.
func (o *ownership) Settled(watermark int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = max(o.pending, watermark)
	if !o.moving {
		o.moving = true
		o.s.wg.Go(o.move)
	}
}

// move moves the low-water row as far as it is said to be.
func (o *ownership) move() {
	var moved int64
	for {
		o.mu.Lock()
		to := o.pending
		if o.moving = to > moved; !o.moving {
			o.pending = 0
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		ctx, cancel := context.WithTimeout(o.s.ctx, lowLimit)
		own := o.owner.Load()
		if err := own.Low(ctx, to); err != nil {
			o.doubtful(own, err)
			o.s.rep.log(slog.LevelDebug, "the store's low-water row was not moved; the next commit tries again",
				"topic", o.ask.Topic, "partition", o.ask.Partition, "error", err)
		}
		cancel()
		moved = to
	}
}

// Started implements group.Stored.
func (o *ownership) Started(part *lane.Partition, beside group.Parked) {
	if p, ok := beside.(*parked.Partition); ok {
		o.park.Store(p)
	}
	o.part.Store(part)
}

// End implements group.Stored: a move that is under way ends by itself, and changes
// nothing under another token.
func (o *ownership) End() {
	o.s.mu.Lock()
	delete(o.s.parts, o)
	o.s.mu.Unlock()
	o.owner.Load().end()
}

// parkingRules say when what is parked in the store is released, and its caps.
func (c *ConsumerConfig) parkingRules() *parking.Rules {
	r := c.Parking.rules()
	return &r
}
