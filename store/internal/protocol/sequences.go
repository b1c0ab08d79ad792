package protocol

import (
	"context"
	"fmt"
	"strings"

	"github.com/orderly-go/orderly/store"
)

// sizes are how many keys one statement names: few different texts, that databases and
// drivers keep prepared.
var sizes = []int{64, 16, 4, 1}

// Sequences reads what the sequence guard knows of keys.
func (b *Backend) Sequences(ctx context.Context, p store.Part, keys []store.SequenceKey) (out []store.Sequence, err error) {
	id, err := b.id(p)
	if err != nil {
		return nil, err
	}
	for len(keys) > 0 {
		n := min(len(keys), sizes[0])
		if out, err = b.sequences(ctx, id, keys[:n], out); err != nil {
			return nil, err
		}
		keys = keys[n:]
	}
	return out, nil
}

func (b *Backend) sequences(ctx context.Context, id int64, keys []store.SequenceKey, out []store.Sequence) ([]store.Sequence, error) {
	size := sizes[0]
	for _, s := range sizes {
		if s >= len(keys) {
			size = s
		}
	}
	args := []any{id}
	for i := range size { // the last one again, where there are fewer
		args = append(args, keys[min(i, len(keys)-1)][:])
	}
	rows, err := b.db.Query(ctx, reads[size], args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, state []byte
		var s store.Sequence
		if err := rows.Scan(&key, &s.Offset, &state); err != nil {
			return nil, err
		}
		copy(s.Key[:], key)
		s.State = append([]byte{}, state...)
		out = append(out, s)
	}
	return out, rows.Err()
}

// keep is what writes sequences.
func keep(id int64, all []store.Sequence) (last []Statement) {
	for _, size := range sizes {
		for ; len(all) >= size; all = all[size:] {
			args := []any{id}
			for i := range size {
				args = append(args, all[i].Key[:], all[i].Offset, all[i].State)
			}
			last = append(last, Statement{writes[size], args})
		}
	}
	return last
}

// Prune removes those that were not seen for longest.
func (b *Backend) Prune(ctx context.Context, p store.Part, keep int) error {
	id, err := b.id(p)
	if err != nil {
		return err
	}
	return write(ctx, b.db, func(tx Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM orderly_sequence WHERE part = ?1 AND off <= (
			SELECT off FROM orderly_sequence WHERE part = ?1 ORDER BY off DESC LIMIT 1 OFFSET ?2)`, id, keep)
		return err
	})
}

var reads, writes = map[int]string{}, map[int]string{}

func init() {
	for _, size := range sizes {
		var keys, rows []string
		for i := range size {
			keys = append(keys, fmt.Sprintf("?%d", 2+i))
			rows = append(rows, fmt.Sprintf("(?1, ?%d, ?%d, ?%d)", 2+3*i, 3+3*i, 4+3*i))
		}
		reads[size] = `SELECT key, off, state FROM orderly_sequence WHERE part = ?1 AND key IN (` + strings.Join(keys, ", ") + `)`
		writes[size] = `INSERT INTO orderly_sequence (part, key, off, state) VALUES ` + strings.Join(rows, ", ") +
			` ON CONFLICT (part, key) DO UPDATE SET off = excluded.off, state = excluded.state`
	}
}
