package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/orderly-go/orderly/store"
)

// A Memory is a Backend that keeps all in memory: for tests of what is built on
// backends. Its transactions are *MemoryTx.
type Memory struct {
	// Fault, when it is set, is asked before each commit of a step: lost is the
	// error of one that does not happen, unknown says that it happens and is not
	// told.
	Fault func(s store.Step) (lost error, unknown bool)

	down  atomic.Bool
	mu    sync.Mutex
	parts map[store.Part]*reference
	kept  map[store.Part]store.Layout
	began map[store.Part]*reference // what the last Begin has returned

	audits []store.Audit
}

// Audits are the decisions that were noted.
func (m *Memory) Audits() []store.Audit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.audits)
}

// Exceptions is how many exceptions there are, over all partitions.
func (m *Memory) Exceptions() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.parts {
		n += len(r.exc)
	}
	return n
}

var (
	// ErrDown is the error of all methods after Down(true).
	ErrDown = errors.New("storetest: the memory is down")
	// ErrAgain is an error of the class Again.
	ErrAgain = errors.New("storetest: again")
)

// Down takes the backend down, or brings it back with all that it has.
func (m *Memory) Down(down bool) { m.down.Store(down) }

func (m *Memory) up() error {
	if m.down.Load() {
		return ErrDown
	}
	return nil
}

// A MemoryTx collects what is done when its step is committed.
type MemoryTx struct{ do []func() }

// Do adds something to the transaction. It is called under the backend's lock.
func (tx *MemoryTx) Do(f func()) { tx.do = append(tx.do, f) }

// NewMemory returns an empty one.
func NewMemory() *Memory {
	return &Memory{parts: make(map[store.Part]*reference), kept: make(map[store.Part]store.Layout), began: make(map[store.Part]*reference)}
}

func (m *Memory) part(p store.Part) *reference {
	r := m.parts[p]
	if r == nil {
		r = new(reference)
		m.parts[p] = r
	}
	return r
}

// Begin implements store.Backend, as the methods below.
func (m *Memory) Begin(_ context.Context, p store.Part, l store.Layout, token, low int64) (store.State, error) {
	if err := m.up(); err != nil {
		return store.State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if have, ok := m.kept[p]; ok && have != l {
		return store.State{}, &store.LayoutError{Part: p, Want: l, Have: have}
	}
	if _, known := m.kept[p]; !known {
		for other := range m.kept {
			if same := other; same.TopicID != p.TopicID {
				if same.TopicID = p.TopicID; same == p {
					return store.State{}, &store.TopicError{Part: p, Have: other.TopicID}
				}
			}
		}
	}
	m.kept[p] = l
	r := m.part(p)
	if !r.begin(token, low) {
		return store.State{}, &store.FencedError{Part: p, Token: token, Have: r.token}
	}
	m.began[p] = r
	return r.state(func(int) bool { return true }), nil
}

// Look reads one lane.
func (m *Memory) Look(_ context.Context, p store.Part, lane int) (store.State, error) {
	if err := m.up(); err != nil {
		return store.State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.part(p).state(func(l int) bool { return l == lane }), nil
}

// Token reads the token.
func (m *Memory) Token(_ context.Context, p store.Part) (int64, error) {
	if err := m.up(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.part(p).token, nil
}

// Apply runs effects and the step.
func (m *Memory) Apply(ctx context.Context, s store.Step, effects func(ctx context.Context, tx any) error) error {
	if err := m.up(); err != nil {
		return err
	}
	m.mu.Lock()
	began := m.began[s.Part]
	m.mu.Unlock()
	tx := new(MemoryTx)
	if effects != nil {
		if err := effects(ctx, tx); err != nil {
			return err
		}
	}
	if err := errors.Join(context.Cause(ctx), m.up()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	unknown := false
	if m.Fault != nil {
		lost, u := m.Fault(s)
		if lost != nil {
			return lost
		}
		unknown = u
	}
	r, ok := m.part(s.Part), false
	if r != began {
		return store.ErrStale // a rewind came since Begin
	}
	switch {
	case s.Advance != nil:
		ok = r.advance(s.Advance, nil)
	case s.Release != nil:
		ok = r.release(s.Release.Exception)
	case s.Tried != nil:
		ok = r.tried(s.Tried.Exception)
	default:
		ok = r.park(s.Park.Exceptions)
	}
	if !ok {
		return store.ErrStale
	}
	if s.Audit != nil {
		m.audits = append(m.audits, *s.Audit)
	}
	if s.Sequences != nil {
		for _, q := range s.Sequences() {
			r.seq[q.Key] = q
		}
	}
	for _, f := range tx.do {
		f()
	}
	if unknown {
		return store.ErrUnknown
	}
	return nil
}

// Low moves the low-water row.
func (m *Memory) Low(_ context.Context, p store.Part, token, low int64, check func(store.State) error) (bool, error) {
	if err := m.up(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.part(p)
	if token != r.token || low <= r.low {
		return false, nil
	}
	if err := check(r.passed(low)); err != nil {
		return false, err
	}
	r.low = low
	return true, nil
}

// Payload reads a parked exception's payload.
func (m *Memory) Payload(_ context.Context, p store.Part, offset int64) ([]byte, error) {
	if err := m.up(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.part(p).exc[offset]
	if !ok || !e.Parked() {
		return nil, store.ErrStale
	}
	return slices.Clone(e.Payload), nil
}

// Classify knows the errors of this package.
func (m *Memory) Classify(err error) store.Class {
	switch {
	case errors.Is(err, ErrDown):
		return store.Down
	case errors.Is(err, ErrAgain):
		return store.Again
	}
	return store.Failed
}

func (r *reference) state(lane func(int) bool) (st store.State) {
	st.Token, st.Low = r.token, r.low
	for l, pos := range r.pos {
		if lane(l) {
			st.Lanes = append(st.Lanes, store.Lane{Lane: l, Position: pos})
		}
	}
	for _, e := range r.exc {
		if lane(e.Lane) {
			if e.Parked() {
				e.Payload, e.Size = []byte{}, len(e.Payload)
			}
			st.Exceptions = append(st.Exceptions, e)
		}
	}
	slices.SortFunc(st.Exceptions, func(a, b store.Exception) int { return int(a.Offset - b.Offset) })
	return st
}
