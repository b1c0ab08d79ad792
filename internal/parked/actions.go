package parked

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kerr"
)

// plan queues one action of the owner. Called with mu held.
func (p *Partition) plan(o *parking.Owner, action parking.Action) {
	l := p.log
	switch a := action.(type) {
	case parking.Write:
		p.queue(func() { p.write(o, l, a) })
	case parking.Probe:
		p.m.run(func() { p.probe(o, l, a) })
	case parking.Policy:
		p.m.once("mixed-policies", "group %s topic %s: partitions were owned under policy %q, and this member has %q: until all members have the same, "+
			"what becomes of a record that fails depends on who owns its partition", p.m.cfg.Group, p.topic, a.Before, p.m.cfg.Self.Policy)
	case parking.Settle:
		delete(p.words, a.Offset) // the owner answers
		p.settled(a.Offset, a.N)
	case parking.Live:
		p.answer(a.Offset, Waiter.Live)
	case parking.Block:
		p.answer(a.Offset, func(w Waiter) { w.Blocked(a.Reason, a.TooLarge) })
	case parking.Run:
		// Behind what was queued before: who listens hears of a skip first.
		p.queue(func() { p.m.run(func() { p.release(o, l, a) }) })
	case parking.NeedToken:
		p.doubt(a.Above, errors.New(a.Reason))
	case parking.Stop:
		p.reason = StateMismatch
		p.cause = &MismatchError{Topic: p.topic, ParkingTopic: l.name, Partition: p.partition, Err: a.Err}
		p.m.once("parking-mismatch", "%v", p.cause)
		p.queue(p.host.Shut)
	case parking.Commit:
		p.queue(p.host.Commit)
	case parking.Delete:
		p.m.run(func() { p.trim(l, a.Before) })
	case parking.Skipped:
		s := Skip{Topic: p.topic, Partition: p.partition, Token: p.token, Key: a.Key, Offset: a.Offset, Command: a.Command, Part: p.lane, Entry: p.skipping[a.Offset]}
		delete(p.skipping, a.Offset)
		p.queue(func() { p.m.cfg.Skipped(s) })
	case parking.Ask:
		p.ask(o, a)
	}
}

// answer answers who waits at an offset. Called with mu held.
func (p *Partition) answer(offset int64, how func(Waiter)) {
	if w, ok := p.waiters[offset]; ok {
		delete(p.waiters, offset)
		p.queue(func() { how(w.Waiter) })
	}
}

// settled tells who waits for the records that came together from an offset on that n of
// them are settled. Called with mu held.
func (p *Partition) settled(offset int64, n int) {
	w, ok := p.waiters[offset]
	if !ok {
		return
	}
	delete(p.waiters, offset)
	n = min(n, len(w.offsets))
	if w.offsets = w.offsets[n:]; len(w.offsets) > 0 {
		p.waiters[w.offsets[0]] = w
	}
	p.queue(func() { w.Settled(n) })
}

// waiterOf is who waits for a record. Called with mu held.
func (p *Partition) waiterOf(offset int64) (w waiting, ok bool) {
	if w, ok = p.waiters[offset]; ok {
		return w, true
	}
	for _, w := range p.waiters { // of a run, and not its first: asked only for a failure
		if _, ok := slices.BinarySearch(w.offsets, offset); ok {
			return w, true
		}
	}
	return w, false
}

// failing tells who waits for a record that its write has failed: once for all the runs
// that failed with it. Called with mu held.
func (p *Partition) failing(offset int64, err error, next time.Duration) {
	w, ok := p.waiterOf(offset)
	if !ok {
		return
	}
	for other := range p.unwritten {
		if _, same := slices.BinarySearch(w.offsets, other); same && other < offset {
			return
		}
	}
	p.queue(func() { w.Failing(err, next) })
}

// doubt takes the whole step again, in some time when that did not help before. Called
// with mu held.
func (p *Partition) doubt(above int64, cause error) {
	wait := time.Duration(0)
	if p.doubts > 0 {
		wait = min(50*time.Millisecond<<min(p.doubts, 8), 10*time.Second)
	}
	p.doubts++
	p.opened, p.reason, p.cause = false, StateAwaiting, cause
	token := p.token
	p.queue(p.host.Shut)
	if wait == 0 {
		p.queue(func() { p.host.Doubt(token, above) })
		return
	}
	p.m.run(func() {
		if p.m.sleep(wait) {
			p.host.Doubt(token, above)
		}
	})
}

// write writes an entry. A copy of one that stands in the topic is completed from
// there first, and one that skips a record keeps that for who listens.
func (p *Partition) write(o *parking.Owner, l *topicLog, w parking.Write) {
	e := w.Entry
	if w.From >= 0 {
		from, err := p.fetch(o, l, w.From)
		if err != nil {
			p.tell(o, func() []parking.Action { return o.Failed(w.ID, parking.Unknown) })
			return
		}
		e = parking.Complete(e, from)
		if e.Resolved != nil {
			p.mu.Lock()
			if p.skipping == nil {
				p.skipping = make(map[int64]*parking.Entry)
			}
			p.skipping[e.Offset] = from.Record(e.Offset)
			p.mu.Unlock()
		}
	}
	l.Write(p.m.ctx, p.partition, e, func(pos int64, why parking.WriteError, err error) {
		if p.m.ctx.Err() != nil {
			return
		}
		if err != nil {
			p.m.cfg.Logger.Warn("orderly: an entry was not written to the parking topic", "group", p.m.cfg.Group,
				"topic", p.topic, "partition", p.partition, "error", err)
		}
		p.tell(o, func() []parking.Action {
			if err != nil {
				p.failed(w.Entry, err)
				if why == parking.TooLarge && w.Entry.Progress != nil {
					p.lastNote, p.mostNote = group.Noted{}, (len(w.Entry.Progress.Ahead)+len(w.Entry.Progress.Attempts))/2
				}
				return o.Failed(w.ID, why)
			}
			p.works()
			p.target = max(p.target, pos+1)
			p.read()
			return o.Acked(w.ID, pos)
		})
	})
}

// failed names a write that failed, where it is asked for. Called with mu held.
func (p *Partition) failed(e *parking.Entry, err error) {
	p.cause = err
	next := probeWait(p.probes)
	switch e.Kind {
	case parking.KindParked, parking.KindRun:
		if p.unwritten == nil {
			p.unwritten = make(map[int64]struct{})
		}
		p.unwritten[e.Offset] = struct{}{}
		p.failing(e.Offset, err, next)
	case parking.KindMarker:
		for offset := range p.unwritten {
			p.failing(offset, err, next)
		}
	}
}

// probeWait is how long the topic is left alone after so many probes in a row.
func probeWait(probes int) time.Duration {
	return min(50*time.Millisecond<<min(probes, 8), 10*time.Second)
}

// works: a write was acknowledged. Called with mu held.
func (p *Partition) works() {
	p.probes, p.unwritten = 0, nil
	if p.reason == "" {
		p.cause = nil
	}
}

// probe finds out whether the topic takes writes again.
func (p *Partition) probe(o *parking.Owner, l *topicLog, a parking.Probe) {
	p.mu.Lock()
	wait := probeWait(p.probes)
	p.probes++
	p.mu.Unlock()
	if !p.m.sleep(wait) {
		return
	}
	p.mu.Lock()
	over := p.ended || p.owner != o || !o.InDoubt()
	p.mu.Unlock()
	if !over {
		p.write(o, l, parking.Write{ID: a.ID, Entry: a.Entry, From: -1})
	}
}

// paged looks for the record at a position in what was fetched before. over: the owner is
// not the partition's any more.
func (p *Partition) paged(o *parking.Owner, pos int64) (r *raw, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.owner != o {
		return nil, true
	}
	return p.pages.find(pos), false
}

// fetch reads the entry at a position. It tries until the owner is not the
// partition's any more, or the entry is gone.
func (p *Partition) fetch(o *parking.Owner, l *topicLog, pos int64) (*parking.Entry, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if r, err := p.fetchPage(o, l, pos); r != nil {
			return r.decode(l)
		} else if err != nil {
			return nil, err
		}
		p.mu.Lock()
		over := p.ended || p.owner != o
		p.mu.Unlock()
		if over || !p.m.sleep(wait) {
			return nil, context.Canceled
		}
	}
}

// fetchPage returns the record at a position, from what was fetched before or from the
// topic; neither it nor an error when the topic cannot be read now. One is fetched at a
// time: what the others look for is often in it.
func (p *Partition) fetchPage(o *parking.Owner, l *topicLog, pos int64) (*raw, error) {
	const oneBatch = 64 << 10 // a larger one is returned whole
	if r, over := p.paged(o, pos); r != nil || over {
		return r, nil
	}
	select {
	case p.fetching <- struct{}{}:
		defer func() { <-p.fetching }()
	case <-p.m.ctx.Done():
		return nil, nil
	}
	if r, over := p.paged(o, pos); r != nil || over {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(p.m.ctx, 10*time.Second)
	recs, err := l.FetchRaw(ctx, p.partition, pos, oneBatch, 250)
	cancel()
	switch {
	case len(recs) > 0 && recs[0].Offset == pos:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.owner != o { // its pages are of another topic, perhaps
			return nil, nil
		}
		return p.pages.add(recs, o.Releasing()), nil
	case err == nil && len(recs) > 0 || errors.Is(err, kerr.OffsetOutOfRange):
		return nil, errors.New("the entry is gone")
	}
	return nil, nil
}

// release hands a parked record to its handler.
func (p *Partition) release(o *parking.Owner, l *topicLog, run parking.Run) {
	e, err := p.fetch(o, l, run.Pos)
	if err == nil {
		if e = e.Record(run.Offset); e == nil {
			err = fmt.Errorf("the entry at %d of the parking topic holds no record of offset %d", run.Pos, run.Offset)
		}
	}
	if err != nil {
		p.mu.Lock()
		if !p.ended && p.owner == o {
			o.Unread(run)
			p.doubt(0, err) // the whole step finds out what has become of it
		}
		p.mu.Unlock()
		return
	}
	r := Record{Topic: p.topic, Partition: p.partition, Offset: run.Offset, Key: e.Key, Entry: e, Tries: run.Tries}
	r.Ended = func(f *parking.Failure) {
		p.tell(o, func() []parking.Action { return o.Ended(e.Key, run.Offset, f) })
	}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		p.mu.Lock()
		over, part := p.ended || p.owner != o, p.lane
		p.mu.Unlock()
		// A handler of the key that has outlived an earlier ownership comes first.
		if over || p.m.cfg.Start(part, r) || !p.m.sleep(wait) {
			return
		}
	}
}

// trim deletes what the commit says is not needed.
func (p *Partition) trim(l *topicLog, before int64) {
	ctx, cancel := context.WithTimeout(p.m.ctx, 30*time.Second)
	defer cancel()
	err := l.Delete(ctx, p.partition, before)
	switch {
	case err == nil || p.m.ctx.Err() != nil:
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		p.m.once("parking-not-trimmed", "group %s: the parking topic %s is never trimmed, it only grows: that needs Delete on it", p.m.cfg.Group, l.name)
	default:
		p.m.cfg.Logger.Warn("orderly: the parking topic was not trimmed; the next trim does it", "group", p.m.cfg.Group, "error", err)
	}
}

func (m *Manager) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.ctx.Done():
		return false
	}
}
