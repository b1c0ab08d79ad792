package orderly

import (
	"context"
	"regexp"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/store"
)

// Effects is a handler whose effects and progress are committed as one, in the
// database that takes the effects: they happen once and in order, whatever happens to
// processes. store/postgres and store/sqlite make one:
//
//	Effects: postgres.Apply(pool, func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error { ... })
//
// Records of one lane, in offset order, share a transaction. When one of them fails it
// is rolled back, and the records are handled again one by one, at no attempt: what a
// handler does outside of its transaction may so be repeated.
type Effects struct {
	// Store is the database. Required.
	Store store.Backend
	// Handler applies a record's effects in the backend's transaction, which it must
	// not end. Required.
	Handler func(ctx context.Context, tx any, m *Message) error
	// Name is the handler's: its progress is kept under it, and two handlers of one
	// group keep apart by it. With another name a partition begins at the group's
	// committed offset. Default "default"; lower case letters, digits, '-', '_', '.'.
	Name string
	// MaxRecords and MaxAge bound a transaction that records share: no further record
	// joins one that is so old. Defaults 100 (at most 10,000) and 100 ms (at most 10 s).
	MaxRecords int
	MaxAge     time.Duration
}

// on says that effects are configured, rightly or not.
func (e *Effects) on() bool {
	return e.Store != nil || e.Handler != nil || e.Name != "" || e.MaxRecords != 0 || e.MaxAge != 0
}

func (e *Effects) defaults(session time.Duration) {
	orDefault(&e.Name, "default")
	orDefault(&e.MaxRecords, 100)
	orDefault(&e.MaxAge, 100*time.Millisecond)
	if b, ok := e.Store.(store.Bounded); ok {
		e.Store = b.Within(session)
	}
}

var effectsName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

func (c *ConsumerConfig) effectsProblems(bad func(string, ...any)) {
	e := &c.Effects
	if !e.on() {
		return
	}
	switch {
	case e.Handler == nil:
		bad("Effects.Handler is not set: store/postgres and store/sqlite make an Effects with Apply")
	case e.Store == nil:
		bad("Effects.Store is not set: store/postgres and store/sqlite make an Effects with Apply")
	}
	if !effectsName.MatchString(e.Name) {
		bad("Effects.Name %q: it is 1 to 64 of lower case letters, digits, '.', '-' and '_'", e.Name)
	}
	within(bad, true, "Effects.MaxRecords", e.MaxRecords, 1, 10_000)
	within(bad, true, "Effects.MaxAge", e.MaxAge, time.Millisecond, 10*time.Second)
	if c.Reset != ResetStop {
		bad("Reset is set with Effects: what the store says was applied would not fit the log any more; leave it out, " +
			"and give Effects another Name to begin anew at the group's committed offset")
	}
}

// layout is how records are spread over the store's lanes.
func (c *ConsumerConfig) layout() store.Layout {
	if c.Scope == ScopePartition {
		return store.Layout{Lanes: 1, Hash: lane.HashVersion, OrderBy: "(partition)"}
	}
	return store.Layout{Lanes: c.Lanes, Hash: lane.HashVersion, OrderBy: c.OrderBy.Name}
}
