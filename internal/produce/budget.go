package produce

import (
	"context"
	"sync"
)

// A Budget bounds the records and bytes that are accepted and not yet told.
// Waiters are served in the order in which they came.
type Budget struct {
	maxRecords int
	maxBytes   int64

	mu      sync.Mutex
	records int
	bytes   int64
	waiters []*waiter
	closed  bool
	empty   chan struct{} // of all who wait for it; nil when nobody does
}

type waiter struct {
	bytes int64
	ok    chan struct{}
}

// NewBudget returns a budget of so many records and bytes.
func NewBudget(records int, bytes int64) *Budget {
	return &Budget{maxRecords: records, maxBytes: bytes}
}

// Close lets no record in any more that does not wait already: once it is empty it
// stays so.
func (b *Budget) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// Acquire waits for room for one record, until ctx or stop ends. Of a closed budget
// there is none.
func (b *Budget) Acquire(ctx context.Context, stop <-chan struct{}, bytes int64) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	if len(b.waiters) == 0 && b.fits(bytes) {
		b.records++
		b.bytes += bytes
		b.mu.Unlock()
		return true
	}
	w := &waiter{bytes: bytes, ok: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	select {
	case <-w.ok:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiters {
		if other == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.serve()
			return false
		}
	}
	return true // it was served in the meantime
}

// Force takes room for a record whether there is any or not: one that is only to
// be refused, and told so.
func (b *Budget) Force(bytes int64) {
	b.mu.Lock()
	b.records++
	b.bytes += bytes
	b.mu.Unlock()
}

// Release gives back the room of records.
func (b *Budget) Release(records int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records -= records
	b.bytes -= bytes
	b.serve()
	if b.records == 0 && len(b.waiters) == 0 && b.empty != nil {
		close(b.empty)
		b.empty = nil
	}
}

// Empty returns a channel that is closed once nothing is accepted and nobody
// waits.
func (b *Budget) Empty() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records == 0 && len(b.waiters) == 0 {
		c := make(chan struct{})
		close(c)
		return c
	}
	if b.empty == nil {
		b.empty = make(chan struct{})
	}
	return b.empty
}

// InUse returns what is accepted.
func (b *Budget) InUse() (records int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.records, b.bytes
}

// serve lets waiters in when a quarter is free: to wake one for each record costs
// more than the record.
func (b *Budget) serve() {
	if b.records > b.maxRecords*3/4 || b.records > 0 && b.bytes > b.maxBytes*3/4 {
		return
	}
	for len(b.waiters) > 0 && b.fits(b.waiters[0].bytes) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.records++
		b.bytes += w.bytes
		close(w.ok)
	}
}

// A record larger than all the bytes goes alone.
func (b *Budget) fits(bytes int64) bool {
	return b.records < b.maxRecords && (b.bytes+bytes <= b.maxBytes || b.records == 0)
}
