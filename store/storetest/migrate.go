package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/orderly-go/orderly/store"
)

// Migrating tests the tables' making. open returns the same empty database each
// time, as another process would open it; setVersion changes what it says of its
// tables.
func Migrating(t *testing.T, open func(t *testing.T) Migratable, setVersion func(t *testing.T, version int)) {
	part := store.Part{Group: "g", TopicID: [16]byte{1}}
	db := open(t)
	schema := func(what string, have int) {
		t.Helper()
		var wrong *store.SchemaError
		if _, err := db.Begin(t.Context(), part, layout, 1, 0); !errors.As(err, &wrong) || wrong.Have != have {
			t.Errorf("%s: %v, want a SchemaError that has %d", what, err, have)
		}
		if _, err := db.Token(t.Context(), part); !errors.As(err, &wrong) || wrong.Have != have {
			t.Errorf("%s: Token: %v, want a SchemaError that has %d", what, err, have)
		}
	}
	schema("without tables", 0)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		other := open(t)
		wg.Go(func() {
			for _, errs[i] = other.Migrate(t.Context()); other.Classify(errs[i]) == store.Again; {
				_, errs[i] = other.Migrate(t.Context())
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("several at once: %v", err)
		}
	}
	from, err := db.Migrate(t.Context())
	if from == 0 || err != nil {
		t.Fatalf("again: from version %d, %v", from, err)
	}
	if _, err := db.Begin(t.Context(), part, layout, 1, 0); err != nil {
		t.Fatal(err)
	}
	setVersion(t, 99)
	schema("a newer release's tables", 99)
	var wrong *store.SchemaError
	if _, err := db.Migrate(t.Context()); !errors.As(err, &wrong) {
		t.Errorf("migrating a newer release's tables: %v", err)
	}
}

// A Migratable is a backend that makes its tables.
type Migratable interface {
	store.Backend
	Migrate(ctx context.Context) (from int, err error)
}
