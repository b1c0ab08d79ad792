package protocol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orderly-go/orderly/store"
)

// closed is the position of a lane that nobody expects: no step finds it.
const closed int64 = -2

// former separates a handler's name from the number of a generation of its rows that
// was closed. No handler's name has it.
const former = "~"

// Standings reads what there is of a group's topic.
func (b *Backend) Standings(ctx context.Context, group, topic string) ([]store.Standing, error) {
	if err := b.schema(ctx); err != nil {
		return nil, err
	}
	rows, err := b.db.Query(ctx, `SELECT id, handler, topic_id, part, lanes, hash, order_by FROM orderly_part
		WHERE grp = ?1 AND topic = ?2 AND handler NOT LIKE ?3`, group, topic, "%"+former+"%")
	if err != nil {
		return nil, err
	}
	var out []store.Standing
	for rows.Next() {
		s := store.Standing{Part: store.Part{Group: group, Topic: topic}}
		var id int64
		var topicID []byte
		if err = rows.Scan(&id, &s.Part.Handler, &topicID, &s.Part.Partition, &s.Layout.Lanes, &s.Layout.Hash, &s.Layout.OrderBy); err != nil {
			break
		}
		copy(s.Part.TopicID[:], topicID)
		b.know(s.Part, id)
		out = append(out, s)
	}
	err = errors.Join(err, rows.Err())
	rows.Close()
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].State, err = b.read(ctx, out[i].Part, ``); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b store.Standing) int {
		return cmp.Or(cmp.Compare(a.Part.Partition, b.Part.Partition), cmp.Compare(a.Part.Handler, b.Part.Handler))
	})
	return out, nil
}

// Rewind begins a partition anew.
func (b *Backend) Rewind(ctx context.Context, r store.Rewind) error {
	if err := b.schema(ctx); err != nil {
		return err
	}
	p := r.Part
	return write(ctx, b.db, func(tx Tx) error {
		var id int64
		var l store.Layout
		err := one(ctx, tx.Query, `SELECT id, lanes, hash, order_by FROM orderly_part WHERE grp = ?1 AND handler = ?2 AND topic_id = ?3 AND part = ?4`,
			[]any{p.Group, p.Handler, p.TopicID[:], p.Partition}, &id, &l.Lanes, &l.Hash, &l.OrderBy)
		if errors.Is(err, errNoRow) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := closeRows(ctx, tx, r, id, l.Lanes); err != nil {
			return err
		}
		for _, s := range []struct {
			text string
			args []any
		}{
			{`INSERT INTO orderly_part (grp, handler, topic_id, part, topic, lanes, hash, order_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
				[]any{p.Group, p.Handler, p.TopicID[:], p.Partition, p.Topic, l.Lanes, l.Hash, l.OrderBy}},
			{`INSERT INTO orderly_low (part, token, low) SELECT id, ?5, ?6 FROM orderly_part WHERE grp = ?1 AND handler = ?2 AND topic_id = ?3 AND part = ?4`,
				[]any{p.Group, p.Handler, p.TopicID[:], p.Partition, r.Token, r.To}},
			{`INSERT INTO orderly_audit (part, off, key, decision, by_whom, why, token, at)
				SELECT id, ?5, NULL, 'reset', ?6, ?7, ?8, ` + b.db.Types().Now + ` FROM orderly_part WHERE grp = ?1 AND handler = ?2 AND topic_id = ?3 AND part = ?4`,
				[]any{p.Group, p.Handler, p.TopicID[:], p.Partition, r.To, r.By, r.Why, r.Token}},
		} {
			if err := changed(tx.Exec(ctx, s.text, s.args...)); err != nil {
				return err
			}
		}
		return parkedRows(ctx, tx, r, id)
	})
}

// parkedRows gives parked exceptions to the rows that begin anew, if they are kept. Those
// of before are gone then, for whoever still expects them.
func parkedRows(ctx context.Context, tx Tx, r store.Rewind, id int64) error {
	p := r.Part
	if r.Keep {
		if _, err := tx.Exec(ctx, `UPDATE orderly_exception SET part = (SELECT n.id FROM orderly_part n WHERE n.grp = ?2 AND n.handler = ?3 AND n.topic_id = ?4 AND n.part = ?5)
			WHERE part = ?1 AND payload IS NOT NULL`, id, p.Group, p.Handler, p.TopicID[:], p.Partition); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `DELETE FROM orderly_exception WHERE part = ?1`, id)
	return err
}

// closeRows puts the partition's rows aside, so that no step of an owner of before
// finds what it expects: not a position, not a lane without a row, not an exception.
func closeRows(ctx context.Context, tx Tx, r store.Rewind, id int64, lanes int) error {
	// The name first: it holds the partition's row, and who inserts rows of the
	// partition has it shared.
	if err := changed(tx.Exec(ctx, `UPDATE orderly_part SET handler = ?2 WHERE id = ?1 AND handler = ?3`, id, fmt.Sprint(r.Part.Handler, former, id), r.Part.Handler)); err != nil {
		return err
	}
	if err := changed(tx.Exec(ctx, `UPDATE orderly_low SET token = ?2 WHERE part = ?1 AND token < ?2`, id, r.Token)); err != nil {
		if errors.Is(err, store.ErrStale) {
			fenced := &store.FencedError{Part: r.Part, Token: r.Token}
			err = errors.Join(one(ctx, tx.Query, `SELECT token FROM orderly_low WHERE part = ?1`, []any{id}, &fenced.Have), fenced)
		}
		return err
	}
	for lane := range lanes {
		if _, err := tx.Exec(ctx, `INSERT INTO orderly_lane (part, lane, pos) VALUES (?1, ?2, ?3) ON CONFLICT (part, lane) DO UPDATE SET pos = ?3`, id, lane, closed); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `DELETE FROM orderly_sequence WHERE part = ?1`, id)
	return err
}
