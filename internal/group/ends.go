package group

import (
	"cmp"
	"slices"

	"github.com/orderly-go/orderly/internal/progress"
)

// ends is in how many attempts of a partition's records processes ended: of what was
// tried without a result only that is the record's fault. It is guarded by Session.mu.
type ends struct {
	known   []progress.Attempt // by earlier owners, sorted
	used    bool               // there may be a field in the metadata
	leaving bool               // what runs now ends with this ownership, and not with the process
}

// fields are those of a commit, with what is known of the records that are not settled.
// The attempt that is under way counts: if the process ends with it, nobody else will
// count it. Called with Session.mu held.
func (e *ends) fields(of []progress.Field, m *progress.Meta, watermark int64, trying progress.Attempt) []progress.Field {
	if !e.used {
		return of
	}
	var all []progress.Attempt
	now := 0
	if trying.Count > 0 && !e.leaving {
		now = 1
	}
	for _, a := range e.known {
		if a.Offset == trying.Offset {
			a.Count, now = a.Count+now, 0
		}
		if !within(m.Ahead, a.Offset) {
			all = append(all, a)
		}
	}
	if now > 0 {
		all = append(all, progress.Attempt{Offset: trying.Offset, Count: now})
		slices.SortFunc(all, func(a, b progress.Attempt) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	return progress.WithEnded(of, watermark, all)
}
