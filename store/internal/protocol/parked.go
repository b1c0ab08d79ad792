package protocol

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/orderly-go/orderly/store"
)

// failure is what stands with an exception beside its key and payload, without the
// payload; noFailure takes its place in rows that are none.
const (
	failure   = `COALESCE(length(payload), 0), cause, permanent, attempts, first_failed, last_failed, releases`
	noFailure = `0, '', FALSE, 0, 0, 0, 0`
)

// into is where failure is read into.
func into(e *store.Exception) []any {
	f := &e.Failure
	return []any{&e.Size, &f.Cause, &f.Permanent, &f.Attempts, &f.First, &f.Last, &f.Releases}
}

func failureArgs(f *store.Failure) []any {
	// Causes are texts of errors: anything may stand in them.
	cause := strings.ReplaceAll(strings.ToValidUTF8(f.Cause, "\uFFFD"), "\x00", "")
	return []any{cause, f.Permanent, f.Attempts, f.First, f.Last, f.Releases}
}

// hashOf stands for a key in an index; 0 is that of rows that have none.
func hashOf(key []byte) int64 {
	h := fnv.New64a()
	_, _ = h.Write(key)
	return int64(h.Sum64() | 1)
}

// before are the statements of a step between the one that decides and those at its end.
func before(ctx context.Context, tx Tx, id int64, s *store.Step) error {
	switch {
	case s.Advance != nil:
		return detach(ctx, tx, id, s.Advance.Detach)
	case s.Park != nil:
		all := s.Park.Exceptions
		for i := range len(all) - 1 {
			if err := changed(tx.Exec(ctx, parkText, parkArgs(id, &all[i])...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// detachAtOnce is how many exceptions a statement makes: databases bound the number of
// its parameters.
const detachAtOnce = 64

// detach makes exceptions. A row that is there is another owner's, who was faster.
func detach(ctx context.Context, tx Tx, id int64, detached []store.Exception) error {
	for len(detached) > 0 {
		some := detached[:min(detachAtOnce, len(detached))]
		detached = detached[len(some):]
		var text strings.Builder
		text.WriteString(`INSERT INTO orderly_exception (part, off, lane, keyed, key, payload, hash, cause, permanent, attempts, first_failed, last_failed, releases) VALUES `)
		var args []any
		for i := range some {
			e := &some[i]
			row := append([]any{id, e.Offset, e.Lane, e.Key != nil, nonNil(e.Key), e.Payload, hashOf(e.Key)}, failureArgs(&e.Failure)...)
			separator := "("
			if i > 0 {
				separator = ", ("
			}
			for j := range row {
				fmt.Fprintf(&text, "%s?%d", separator, len(args)+j+1)
				separator = ", "
			}
			text.WriteString(")")
			args = append(args, row...)
		}
		text.WriteString(` ON CONFLICT DO NOTHING`)
		rows, err := tx.Exec(ctx, text.String(), args...)
		if err != nil {
			return err
		}
		if rows != int64(len(some)) {
			return store.ErrStale
		}
	}
	return nil
}

// parkText gives an exception its payload: it never makes one.
const parkText = `UPDATE orderly_exception SET payload = ?3, cause = ?4, permanent = ?5, attempts = ?6, first_failed = ?7, last_failed = ?8, releases = ?9
	WHERE part = ?1 AND off = ?2`

func parkArgs(id int64, e *store.Exception) []any {
	return append([]any{id, e.Offset, nonNil(e.Payload)}, failureArgs(&e.Failure)...)
}

// triedText notes a failure of one that is parked.
const triedText = `UPDATE orderly_exception SET cause = ?3, permanent = ?4, attempts = ?5, first_failed = ?6, last_failed = ?7, releases = ?8
	WHERE part = ?1 AND off = ?2 AND payload IS NOT NULL`
