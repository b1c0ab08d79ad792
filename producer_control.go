package orderly

import (
	"context"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/internal/produce"
)

// Flush waits until every record that was taken in has its outcome, and nothing
// lingers meanwhile. It returns the error of ctx when that ends first. Outcomes
// are told by the functions given to Produce.
//
// It returns at a moment when nothing at all is under way: while others go on
// producing that may never come. To wait for some records, use ProduceSync or
// count their functions.
func (p *Producer) Flush(ctx context.Context) error {
	p.hurry.Add(1)
	defer p.hurry.Add(-1)
	p.pokeAll()
	select {
	case <-p.budget.Empty():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Clear opens a key again, and reports whether it was closed. Records produced
// from now on are sent; those that were refused are not. The caller decides first
// what becomes of the failed record and of those that were refused behind it:
// usually all are produced again, in order, from KeyClosedError.First on.
func (p *Producer) Clear(topic string, key []byte) bool {
	cleared := false
	for _, s := range p.senders(topic) {
		s.mu.Lock()
		cleared = s.part.Clear(key) || cleared
		s.mu.Unlock()
	}
	return cleared
}

// ClearPartition opens all closed keys of a partition, and returns how many there
// were. Partition -1 has those that failed before the topic was known.
func (p *Producer) ClearPartition(topic string, partition int32) int {
	n := 0
	for _, s := range p.senders(topic) {
		if s.partition == partition {
			s.mu.Lock()
			n += s.part.ClearAll()
			s.mu.Unlock()
		}
	}
	return n
}

// ClearAll opens all closed keys, and returns how many there were.
func (p *Producer) ClearAll() int {
	n := 0
	for _, s := range p.senders("") {
		s.mu.Lock()
		n += s.part.ClearAll()
		s.mu.Unlock()
	}
	return n
}

// ClosedKeys returns the keys that are closed, each with its first failed record
// and the cause, in the order of topic, partition and key.
func (p *Producer) ClosedKeys() []*KeyClosedError {
	var all []*KeyClosedError
	for _, s := range p.senders("") {
		s.mu.Lock()
		for _, c := range s.part.Closed() {
			outcome := ErrNotWritten
			if c.First.Outcome == produce.MaybeWritten {
				outcome = ErrMaybeWritten
			}
			all = append(all, s.keyClosed(c, outcome, false, c.Cause))
		}
		s.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *KeyClosedError) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return strings.Compare(string(a.Key), string(b.Key))
	})
	return all
}

// senders returns the partitions of a topic, or of all when it is empty.
func (p *Producer) senders(name string) []*sender {
	var all []*sender
	for _, t := range *p.topics.Load() {
		if name != "" && t.name != name {
			continue
		}
		all = append(all, t.limbo)
		if t.loaded.Load() {
			all = append(all, t.senders...)
		}
	}
	return all
}

func (p *Producer) pokeAll() {
	if p.cfg.Linger == 0 {
		return
	}
	for _, s := range p.senders("") {
		s.poke()
	}
}

// stop refuses all records from now on, and those that were not handed over.
func (p *Producer) stop(why error) {
	if !p.reason.CompareAndSwap(nil, &why) {
		return
	}
	p.cfg.Logger.Error("orderly: the producer has stopped", "error", why)
	p.failQueued(why)
}

func (p *Producer) stopped() error {
	if why := p.reason.Load(); why != nil {
		return *why
	}
	return nil
}

func (p *Producer) failQueued(why error) {
	for _, s := range p.senders("") {
		s.mu.Lock()
		s.part.Stop(why)
		s.mu.Unlock()
		s.start()
	}
}

// Close takes no more records in, waits until those that it has are answered, and
// ends. When ctx ends first the rest fails: what the client surely has not sent
// with ErrNotWritten, the other with ErrMaybeWritten; Close then returns an
// UnsentError that counts them by key. All functions given to Produce have
// returned when Close returns; it must not be called from one of them. A record
// that is given to Produce at the same time as Close is called, or later, may be
// refused, and its function be called after Close has returned.
func (p *Producer) Close(ctx context.Context) error {
	first := false
	p.once.Do(func() { first = true; close(p.closing) })
	if !first {
		<-p.closed
		return p.closeErr
	}
	defer close(p.closed)
	p.budget.Close()
	p.pokeAll()
	var late error
	select {
	case <-p.budget.Empty():
	case <-ctx.Done():
		late = context.Cause(ctx)
		close(p.abort)
		p.failQueued(ErrProducerClosed)
		<-p.budget.Empty()
	}
	p.cancel()
	p.endRuns()
	p.cl.Close()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.running.Wait()
	if late != nil {
		p.closeErr = p.unsent.error(late)
	}
	return p.closeErr
}

// noteUnsent counts a record that failed because Close did not wait for it.
func (p *Producer) noteUnsent(s *sender, it *produce.Item) {
	select {
	case <-p.abort:
		p.unsentMu.Lock()
		p.unsent.add(s.t.name, s.partition, it.Key, it.Outcome == produce.MaybeWritten)
		p.unsentMu.Unlock()
	default:
	}
}
