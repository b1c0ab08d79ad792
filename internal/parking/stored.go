package parking

import (
	"fmt"
	"slices"

	"github.com/orderly-go/orderly/internal/progress"
)

// storedTag is the tag of a field in a commit's metadata that names a handler with Effects
// of which the store keeps parked records: the commit has passed them, and who knows
// nothing of the store would never hand them over. There may be several.
const storedTag = "stored"

// StoredSize is what the field of a handler takes up: the metadata has room for it.
func StoredSize(handler string) int {
	if handler == "" {
		return 0
	}
	return len(";"+storedTag+"=") + len(handler)
}

// WithStored returns the fields with one that names a handler, or without it.
func WithStored(fields []progress.Field, handler string, holds bool) []progress.Field {
	mine := progress.Field{Tag: storedTag, Value: handler}
	if slices.Contains(fields, mine) == holds {
		return fields
	}
	if !holds {
		return slices.DeleteFunc(slices.Clone(fields), func(f progress.Field) bool { return f == mine })
	}
	return append(slices.Clone(fields), mine)
}

// WithoutStored returns the fields without those that name handlers.
func WithoutStored(fields []progress.Field) []progress.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f progress.Field) bool { return f.Tag == storedTag })
}

// CheckStored says what speaks against going on as a handler (empty: one without Effects)
// with the records that others keep parked in a store.
func CheckStored(fields []progress.Field, handler string) error {
	for _, f := range fields {
		if f.Tag == storedTag && f.Value != handler {
			return &MismatchError{fmt.Sprintf("records are parked in the database of the handler %q with Effects, and this one would pass them", f.Value),
				"run that handler until nothing is parked, or say what becomes of the parked records"}
		}
	}
	return nil
}
