package orderly

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/effects"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/store"
)

// With Effects the store keeps what is parked: a record that is given up gets its payload
// there, in the transaction in which its lane goes past it, and so do the later ones of its
// key. A release reads them from there, one after the other, and each goes in the
// transaction of its effect.

// decisionPark has a record parked in the store when it comes to a worker again.
const decisionPark = "park"

// payloadOf is what the store keeps of a record.
func payloadOf(m *Message) func() []byte {
	return func() []byte {
		p := effects.Payload{Timestamp: m.Timestamp.UnixMilli(), Record: parkedRecord(m.Record)}
		return p.Encode()
	}
}

// parkInStore parks Items[i], which was given up.
func (h handling) parkInStore(r *lane.Run, i int, own *owned) error {
	m := r.Items[i].Payload.(*Message)
	g := m.trouble.given
	f := store.Failure{Cause: brief(g.err), Permanent: g.reason != reasonExhausted, Attempts: g.attempts,
		First: m.trouble.first.UnixMilli(), Last: time.Now().UnixMilli()}
	err := own.ParkHead(r.Ctx, r.Lane, h.recordOf(r, i), f, g.audit)
	if err == nil {
		m.FencingToken = r.Token
		h.rep.parked(m, g, false)
	}
	return err
}

// errNoRoom is the result of a record that was given up and cannot be parked.
type errNoRoom struct {
	*givenUp
	full *effects.FullError
}

func (e errNoRoom) Error() string { return e.full.Error() }

// noRoom keeps a record blocked that cannot be parked.
func (h handling) noRoom(m *Message, keep *lane.Item, tr *trouble, e errNoRoom) lane.Verdict {
	tr.given = nil // its handler is called again
	e.decision = ""
	return lane.Verdict{Keep: keep, Spare: true, Delay: h.blockFor(m, tr, stateNotParked, errors.Join(e.full, e.err), e.attempts)}
}

// errOver is the result of a parked record whose release is over, as when the partition
// got another token meanwhile: it is in the store.
var errOver = errors.New("its release is over")

// behind does with the detached records from Items[i] on what their key's parked ones make
// necessary. It returns how many of them are settled; with none the first is handled.
func (h handling) behind(r *lane.Run, i int, own *owned) (n int, err error) {
	it := r.Items[i]
	m := it.Payload.(*Message)
	rec := h.recordOf(r, i)
	if m.release != nil {
		if !own.InHand(rec.Key, rec.Offset) {
			return 0, errOver
		}
		return 0, nil
	}
	switch own.Turn(rec) {
	case effects.Wait, effects.Full:
		return 0, errWaits
	case effects.Settled:
		h.followed(r, it, true)
		return 1, nil
	case effects.Handle:
		return 0, h.held(parkedOf(r), m)
	}
	recs := []effects.Record{rec}
	for j := i + 1; j < len(r.Items) && r.Items[j].Payload.(*Message).trouble == nil; j++ {
		next := h.recordOf(r, j)
		if own.Turn(next) != effects.Follow {
			break
		}
		recs = append(recs, next)
	}
	if n, err = own.ParkBehind(r.Ctx, r.Lane, recs); err != nil {
		return 0, err
	}
	for _, it := range r.Items[i : i+n] {
		h.followed(r, it, false)
	}
	if n == 0 {
		return 0, errWaits
	}
	return n, nil
}

// followed settles a record that is parked behind others of its key.
func (h handling) followed(r *lane.Run, it *lane.Item, before bool) {
	m := it.Payload.(*Message)
	m.FencingToken = r.Token
	h.rep.parked(m, nil, before)
	it.Slot.Done()
}

// endRelease ends the release of a record that is not in the store any more; applied: its
// effect is committed now.
func (m *Message) endRelease(applied bool) {
	switch {
	case m.release == nil:
	case applied:
		m.released()
	default:
		m.release.ended(nil)
	}
}

// waitsInStore lets a record wait until those of its key that are released before it are
// through, or until there is room.
func (h handling) waitsInStore(r *lane.Run, m *Message, keep *lane.Item, tr *trouble) lane.Verdict {
	v := lane.Verdict{Keep: keep, Spare: true}
	if p := parkedOf(r); p != nil {
		if by := h.pausedBy(p, h.parkKey(m)); by != nil {
			return h.waitsForResume(r, p, m, keep, tr, by)
		}
	}
	own := r.Part.Beside().(*ownership).owner.Load()
	rec := effects.Record{Offset: m.Offset, Key: h.storeKey(m), Payload: payloadOf(m), Size: int(size(m.Record)), Stays: !r.Side()}
	waits := func() bool { return own.Turn(rec) == effects.Wait }
	number := r.Lane
	if rec.Stays {
		waits = func() bool { return own.Fate(number, rec) == effects.Detached }
	}
	if !rec.Stays && own.Turn(rec) == effects.Full {
		tr.is(stateNotParked, errors.New("a cap is reached, and its key is parked"))
		v.Delay = h.jitter(m, int(keep.Attempts), h.cfg.Retry.MaxBackoff)
		return v
	}
	tr.is(stateBehind, errWaits)
	v.Await = lane.NewAwait(r, stateBehind)
	own.await(rec.Key, v.Await, waits)
	return v
}

// storeKey is what is parked together.
func (h handling) storeKey(m *Message) (key []byte) {
	if h.cfg.Scope == ScopeKey {
		key, _ = h.keyOf(m.Record) // one that has none is never handed over
	}
	return key
}

// owned is an ownership under one token.
type owned struct {
	*effects.Owner
	token  int64
	ctx    context.Context // ends with it
	cancel context.CancelFunc

	mu    sync.Mutex
	waits map[string][]*lane.Await // by key
	ends  map[string]chan struct{} // by key: closed when a release of it has ended
	over  bool
}

func newOwned(ctx context.Context, own *effects.Owner, token int64) *owned {
	o := &owned{Owner: own, token: token, waits: make(map[string][]*lane.Await), ends: make(map[string]chan struct{})}
	o.ctx, o.cancel = context.WithCancel(ctx)
	return o
}

// await has an Await answered when something of its key has changed.
func (o *owned) await(key []byte, a *lane.Await, waits func() bool) {
	o.mu.Lock()
	if !o.over {
		o.waits[string(key)] = append(o.waits[string(key)], a)
	}
	over := o.over
	o.mu.Unlock()
	if over || !waits() {
		a.Retry(0)
	}
}

// wake has those tried again that wait for a key.
func (o *owned) wake(key []byte) {
	o.mu.Lock()
	all := o.waits[string(key)]
	delete(o.waits, string(key))
	o.mu.Unlock()
	for _, a := range all {
		a.Retry(0)
	}
}

// ended is closed when the next release of a key has ended.
func (o *owned) ended(key []byte) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch := o.ends[string(key)]
	if ch == nil {
		ch = make(chan struct{})
		o.ends[string(key)] = ch
	}
	return ch
}

// woken tells that a release of a key has ended.
func (o *owned) woken(key []byte) {
	o.mu.Lock()
	if ch := o.ends[string(key)]; ch != nil {
		delete(o.ends, string(key))
		close(ch)
	}
	o.mu.Unlock()
	o.wake(key)
}

// sleep waits, or reports false when the ownership ends first.
func (o *owned) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.ctx.Done():
		return false
	}
}

// end ends it: who waits asks the next one.
func (o *owned) end() {
	if o == nil {
		return
	}
	o.cancel()
	o.mu.Lock()
	all := o.waits
	o.waits, o.over = nil, true
	o.mu.Unlock()
	for _, of := range all {
		for _, a := range of {
			a.Retry(0)
		}
	}
}

// tend releases keys whose time has come.
func (s *effectsStore) tend() {
	t := time.NewTicker(min(max(s.cfg.Parking.First/4, 10*time.Millisecond), time.Second))
	defer t.Stop()
	for {
		select {
		case <-s.tending.Done():
			return
		case <-t.C:
		}
		s.mu.Lock()
		for o := range s.parts {
			own, part := o.owner.Load(), o.part.Load()
			if own == nil || part == nil {
				continue
			}
			for _, key := range own.DueKeys(time.Now().UnixMilli()) {
				s.wg.Go(func() { o.releases(own, part, key) })
			}
		}
		s.mu.Unlock()
	}
}

// releases releases a key, and, as long as nothing fails, others whose time has come: what a
// handler needs may be gone, and then the next ones begin some time later.
func (o *ownership) releases(own *owned, part *lane.Partition, key []byte) {
	for due := true; due; {
		if f, _ := o.release(own, part, key); f != nil || own.ctx.Err() != nil {
			return
		}
		key, due = own.NextDue(time.Now().UnixMilli())
	}
}

// firstRelease is when releases on schedule begin, in milliseconds, where one may have ended
// the owner before.
func (o *ownership) firstRelease() int64 {
	return time.Now().Add(o.s.cfg.Parking.First).UnixMilli()
}

// release hands the parked records of a key to the handler, until one fails: the failure is
// returned. through: nothing of the key is parked any more.
func (o *ownership) release(own *owned, part *lane.Partition, key []byte) (f *parking.Failure, through bool) {
	defer own.woken(key)
	for {
		if o.pausedBy(key) != "" {
			own.Stop(key, time.Now().Add(time.Second).UnixMilli())
			return nil, false
		}
		e, ok := own.Take(key, time.Now().UnixMilli())
		if !ok {
			return nil, own.ctx.Err() == nil
		}
		f, err := o.releaseOne(own, part, e)
		switch {
		case own.ctx.Err() != nil:
			return nil, false
		case err != nil:
			o.s.rep.log(slog.LevelWarn, "a parked record cannot be read from the store; its key is tried again later",
				"topic", o.ask.Topic, "partition", o.ask.Partition, "offset", e.Offset, "error", err)
			own.Stop(key, time.Now().Add(o.s.cfg.Retry.MaxBackoff).UnixMilli())
			return &parking.Failure{Cause: brief(err)}, false
		case f == nil:
			if own.Back(key, e.Offset, nil); own.Freed(key) {
				own.wake(key)
			}
			continue
		}
		failure := again(e.Failure, f)
		own.Back(key, e.Offset, &failure)
		own.wake(key)
		if err := own.Tried(own.ctx, e.Offset, failure); err != nil && own.ctx.Err() == nil {
			// The next owner tries it sooner than this one would: that is all.
			o.s.rep.log(slog.LevelDebug, "the store did not take that a parked record has failed again", "topic", o.ask.Topic,
				"partition", o.ask.Partition, "offset", e.Offset, "error", err)
			o.doubtful(own, err)
		}
		return f, false
	}
}

// again is how a record has failed that was parked and has failed again.
func again(before store.Failure, f *parking.Failure) store.Failure {
	before.Cause, before.Permanent, before.Last = f.Cause, f.Permanent, f.Last
	before.Releases++
	if before.First == 0 { // it had followed others
		before.First = f.Last
	}
	return before
}

// releaseOne hands one parked record to the handler, and returns when that has returned.
func (o *ownership) releaseOne(own *owned, part *lane.Partition, e store.Exception) (*parking.Failure, error) {
	raw, err := own.Payload(own.ctx, e.Offset)
	if errors.Is(err, store.ErrStale) { // a step of ours whose outcome was not known, or another owner's
		err = own.Refresh(own.ctx, e.Lane)
		o.doubtful(own, err)
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	p, err := effects.DecodePayload(raw)
	if err != nil {
		return nil, err
	}
	ended := make(chan *parking.Failure, 1)
	body := &parking.ParkedBody{Record: p.Record, Topic: o.ask.Topic, Partition: o.ask.Partition, Timestamp: p.Timestamp, Failure: parking.Failure(e.Failure)}
	rec := parked.Record{Topic: o.ask.Topic, Partition: o.ask.Partition, Offset: e.Offset, Key: e.Key, Tries: e.Failure.Releases,
		Entry: &parking.Entry{Kind: parking.KindParked, Key: e.Key, Offset: e.Offset, Parked: body},
		Ended: func(f *parking.Failure) {
			select {
			case ended <- f:
			default: // it was handed over twice, under two tokens
			}
		}}
	for wait := 10 * time.Millisecond; !o.s.start(part, rec); wait = min(2*wait, time.Second) {
		// A handler of the key that has outlived an earlier ownership comes first.
		if !own.sleep(wait) {
			return nil, nil
		}
	}
	select {
	case f := <-ended:
		return f, nil
	case <-own.ctx.Done():
		return nil, nil
	}
}

// catchUp reads again what runs under the token before may have changed after it was
// taken over: a record that they parked is known as detached otherwise, and nobody would
// release its key.
func (o *ownership) catchUp(own *owned) {
	for _, after := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		if !own.sleep(after) {
			return
		}
		for _, lane := range own.DetachedLanes() {
			o.doubtful(own, own.Refresh(own.ctx, lane))
		}
	}
}

// doubtful takes errors of the store that say whose the partition is.
func (o *ownership) doubtful(own *owned, err error) {
	var fenced *effects.FencedError
	var lost *effects.LostError
	switch {
	case errors.As(err, &lost):
		o.host.Lost(own.token, lost)
	case errors.As(err, &fenced) && o.owner.Load() == own:
		o.fenced(own, fenced)
	}
}

// Extra implements group.Stored: who knows nothing of the store must not pass what is
// parked in it.
func (o *ownership) Extra(of []progress.Field) []progress.Field {
	own := o.owner.Load()
	if own == nil {
		return of
	}
	_, records, _ := own.Counts()
	return parking.WithStored(of, o.s.cfg.Effects.Name, records > 0)
}

// addParked says what is parked of the partition.
func (o *ownership) addParked(st *ParkingState) {
	own := o.owner.Load()
	if own == nil {
		return
	}
	st.Keys, st.Records, st.Bytes = own.Counts()
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); st.Keys > 0 && (now.Sub(o.oldestAt) >= oldestEvery || o.oldest.IsZero()) {
		o.oldestAt, o.oldest = now, time.Time{}
		if at := own.Oldest(); at > 0 {
			o.oldest = time.UnixMilli(at)
		}
	}
	if st.Keys > 0 {
		st.Oldest = o.oldest
	}
}

// oldestEvery is how long what was found by looking at all keys is told again.
const oldestEvery = 10 * time.Second
