package storetest

import (
	"cmp"
	"context"
	"slices"

	"github.com/orderly-go/orderly/store"
)

// Standings implements store.Rewinder.
func (m *Memory) Standings(_ context.Context, group, topic string) (out []store.Standing, err error) {
	if err := m.up(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, layout := range m.kept {
		if p.Group == group && p.Topic == topic {
			out = append(out, store.Standing{Part: p, Layout: layout, State: m.part(p).state(func(int) bool { return true })})
		}
	}
	slices.SortFunc(out, func(a, b store.Standing) int {
		return cmp.Or(cmp.Compare(a.Part.Partition, b.Part.Partition), cmp.Compare(a.Part.Handler, b.Part.Handler))
	})
	return out, nil
}

// Rewind implements store.Rewinder.
func (m *Memory) Rewind(_ context.Context, w store.Rewind) error {
	if err := m.up(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.kept[w.Part]; !known {
		return nil
	}
	if have := m.part(w.Part).token; w.Token <= have {
		return &store.FencedError{Part: w.Part, Token: w.Token, Have: have}
	}
	anew := new(reference)
	anew.begin(w.Token, w.To)
	for o, e := range m.part(w.Part).exc {
		if w.Keep && e.Parked() {
			anew.exc[o] = e
		}
	}
	m.parts[w.Part] = anew
	m.audits = append(m.audits, store.Audit{Offset: w.To, Decision: "reset", By: w.By, Why: w.Why})
	return nil
}
