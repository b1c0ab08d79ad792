package protocol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly/store"
)

// A Backend is a store.Backend on a DB.
type Backend struct {
	db    DB
	texts texts

	mu  sync.Mutex
	ids map[store.Part]int64 // rows of orderly_part never change their id
}

// New returns a backend. The tables are looked at when a partition begins.
func New(db DB) *Backend {
	return &Backend{db: db, texts: textsFor(db.Types()), ids: make(map[store.Part]int64)}
}

// commitLimit is how long a commit may take after its context has ended: the
// transaction is whole by then, and to leave it without an answer costs more.
const commitLimit = 15 * time.Second

// Classify is the DB's.
func (b *Backend) Classify(err error) store.Class { return b.db.Classify(err) }

// Begin takes a partition over.
func (b *Backend) Begin(ctx context.Context, p store.Part, l store.Layout, token, low int64) (store.State, error) {
	ctx = context.WithValue(ctx, takesOver{}, true)
	if err := b.schema(ctx); err != nil {
		return store.State{}, err
	}
	if err := b.begin(ctx, p, l, token, low); err != nil {
		return store.State{}, err
	}
	// Only now, when the token is committed: a transaction of an owner before that
	// is still to land finds its lane as it expects or not at all, and what is read
	// here is what it finds.
	st, err := b.read(ctx, p, ``)
	if err != nil {
		return store.State{}, err
	}
	if st.Token != token {
		return store.State{}, &store.FencedError{Part: p, Token: token, Have: st.Token}
	}
	return st, nil
}

type takesOver struct{}

// TakesOver says that a transaction, or a query, is to take a partition over: there is
// little time for it, and a DB may let it pass those of lanes.
func TakesOver(ctx context.Context) bool { return ctx.Value(takesOver{}) != nil }

// schema looks at the tables' version.
func (b *Backend) schema(ctx context.Context) error {
	v, err := version(ctx, b.db)
	if err == nil && v != Version {
		err = &store.SchemaError{Have: v, Want: Version}
	}
	return err
}

func (b *Backend) begin(ctx context.Context, p store.Part, l store.Layout, token, low int64) error {
	return write(ctx, b.db, func(tx Tx) error {
		made, err := tx.Exec(ctx, `INSERT INTO orderly_part (grp, handler, topic_id, part, topic, lanes, hash, order_by)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING`,
			p.Group, p.Handler, p.TopicID[:], p.Partition, p.Topic, l.Lanes, l.Hash, l.OrderBy)
		if err != nil {
			return err
		}
		if made > 0 {
			var other []byte
			err := one(ctx, tx.Query, `SELECT topic_id FROM orderly_part WHERE grp = ?1 AND handler = ?2 AND topic = ?3 AND part = ?4 AND topic_id <> ?5`,
				[]any{p.Group, p.Handler, p.Topic, p.Partition, p.TopicID[:]}, &other)
			if err == nil {
				return &store.TopicError{Part: p, Have: [16]byte(other)}
			}
			if !errors.Is(err, errNoRow) {
				return err
			}
		}
		var id int64
		var have store.Layout
		if err := one(ctx, tx.Query, `SELECT id, lanes, hash, order_by FROM orderly_part WHERE grp = ?1 AND handler = ?2 AND topic_id = ?3 AND part = ?4`,
			[]any{p.Group, p.Handler, p.TopicID[:], p.Partition}, &id, &have.Lanes, &have.Hash, &have.OrderBy); err != nil {
			return err
		}
		if have != l {
			return &store.LayoutError{Part: p, Want: l, Have: have}
		}
		made, err = tx.Exec(ctx, `INSERT INTO orderly_low (part, token, low) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`, id, token, low)
		if err != nil {
			return err
		}
		if made == 0 {
			changed, err := tx.Exec(ctx, `UPDATE orderly_low SET token = ?2 WHERE part = ?1 AND token < ?2`, id, token)
			if err != nil {
				return err
			}
			if changed == 0 {
				fenced := &store.FencedError{Part: p, Token: token}
				if err := one(ctx, tx.Query, `SELECT token FROM orderly_low WHERE part = ?1`, []any{id}, &fenced.Have); err != nil {
					return err
				}
				return fenced
			}
		}
		b.know(p, id)
		return nil
	})
}

// Token reads the partition's token.
func (b *Backend) Token(ctx context.Context, p store.Part) (token int64, err error) {
	ctx = context.WithValue(ctx, takesOver{}, true)
	if err := b.schema(ctx); err != nil {
		return 0, err
	}
	err = one(ctx, b.db.Query, `SELECT l.token FROM orderly_low l JOIN orderly_part p ON p.id = l.part
		WHERE p.grp = ?1 AND p.handler = ?2 AND p.topic_id = ?3 AND p.part = ?4`, []any{p.Group, p.Handler, p.TopicID[:], p.Partition}, &token)
	if errors.Is(err, errNoRow) {
		return 0, nil
	}
	return token, err
}

// Look reads one lane.
func (b *Backend) Look(ctx context.Context, p store.Part, lane int) (store.State, error) {
	return b.read(ctx, p, fmt.Sprintf(` AND lane = %d`, lane))
}

// read reads token, positions and exceptions in one statement: a detach that lands
// between two would hide its record.
func (b *Backend) read(ctx context.Context, p store.Part, lane string) (st store.State, err error) {
	id, err := b.id(p)
	if err != nil {
		return st, err
	}
	none := `CAST(NULL AS BOOLEAN), CAST(NULL AS ` + b.db.Types().Bytes + `), CAST(NULL AS BOOLEAN), ` + noFailure
	rows, err := b.db.Query(ctx, `SELECT 0, token, low, `+none+` FROM orderly_low WHERE part = ?1
		UNION ALL SELECT 1, lane, pos, `+none+` FROM orderly_lane WHERE part = ?1`+lane+`
		UNION ALL SELECT 2, lane, off, keyed, key, payload IS NOT NULL, `+failure+` FROM orderly_exception WHERE part = ?1`+lane, id)
	if err != nil {
		return st, err
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		var kind, a, n int64
		var keyed, parked *bool
		var key []byte
		var e store.Exception
		if err := rows.Scan(append([]any{&kind, &a, &n, &keyed, &key, &parked}, into(&e)...)...); err != nil {
			return st, err
		}
		switch kind {
		case 0:
			st.Token, st.Low, found = a, n, true
		case 1:
			st.Lanes = append(st.Lanes, store.Lane{Lane: int(a), Position: n})
		default:
			e.Lane, e.Offset = int(a), n
			if keyed != nil && *keyed {
				e.Key = append([]byte{}, key...)
			}
			if parked != nil && *parked {
				e.Payload = []byte{}
			}
			st.Exceptions = append(st.Exceptions, e)
		}
	}
	if err := rows.Err(); err != nil {
		return st, err
	}
	if !found {
		return st, fmt.Errorf("store: %s: its rows are gone from the database: somebody removed them, or it is another database", p)
	}
	slices.SortFunc(st.Exceptions, func(a, b store.Exception) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	return st, nil
}

// Apply runs effects and a step. The statement that decides about the step comes first:
// who else is at this lane waits for its row, and the effects of who is too late are
// never looked at.
func (b *Backend) Apply(ctx context.Context, s store.Step, effects func(ctx context.Context, tx any) error) error {
	id, err := b.id(s.Part)
	if err != nil {
		return err
	}
	return finish(ctx, b.db, func(tx Tx) ([]Statement, error) {
		text, args := b.decides(id, &s)
		opened := func() error { return nil }
		if o, ok := tx.(Opener); ok {
			o.Open(text, args...)
			opened = func() error { return o.Opened(ctx) }
		} else if err := changed(tx.Exec(ctx, text, args...)); err != nil {
			return nil, err
		}
		var to int64
		if s.Advance != nil {
			to = s.Advance.To
		}
		if effects != nil {
			err := effects(ctx, tx.Handler())
			if err := opened(); err != nil {
				return nil, err // whatever the effects made of it
			}
			if tx.Ended() {
				return nil, errors.Join(store.ErrEnded, err)
			}
			if err != nil {
				return nil, err
			}
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if err := opened(); err != nil {
			return nil, err
		}
		if err := before(ctx, tx, id, &s); err != nil {
			return nil, err
		}
		return b.last(id, &s, to), nil
	})
}

// last are the statements that decide nothing. to is where the lane's position is.
func (b *Backend) last(id int64, s *store.Step, to int64) (last []Statement) {
	if s.Advance != nil && s.Advance.To != to { // the effects went further, or less far
		last = append(last, Statement{`UPDATE orderly_lane SET pos = ?3 WHERE part = ?1 AND lane = ?2`, []any{id, s.Advance.Lane, s.Advance.To}})
	}
	if s.Audit != nil {
		last = append(last, Statement{`INSERT INTO orderly_audit (part, off, key, decision, by_whom, why, token, at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ` + b.db.Types().Now + `)`,
			[]any{id, s.Audit.Offset, s.Audit.Key, s.Audit.Decision, s.Audit.By, s.Audit.Why, s.Token}})
	}
	if s.Sequences != nil {
		last = append(last, keep(id, s.Sequences())...)
	}
	return last
}

// decides is the statement on whose row a step depends.
func (b *Backend) decides(id int64, s *store.Step) (text string, args []any) {
	switch {
	case s.Advance != nil && s.Advance.From == store.Unknown:
		return b.texts.begin, []any{id, s.Advance.Lane, s.Advance.To}
	case s.Advance != nil:
		return b.texts.advance, []any{id, s.Advance.Lane, s.Advance.From, s.Advance.To}
	case s.Release != nil: // if no lower one of its key is there
		e := &s.Release.Exception
		return b.texts.release, []any{id, e.Offset, e.Lane, e.Key != nil, nonNil(e.Key), hashOf(e.Key)}
	case s.Tried != nil:
		e := &s.Tried.Exception
		return b.texts.tried, append([]any{id, e.Offset}, failureArgs(&e.Failure)...)
	}
	e := &s.Park.Exceptions[len(s.Park.Exceptions)-1]
	return b.texts.park, parkArgs(id, e)
}

// texts are the statements that decide.
type texts struct{ begin, advance, release, park, tried string }

func textsFor(t Types) texts {
	limits := t.Limits
	if limits == "" {
		limits = "1 = 1"
	}
	return texts{
		begin: `INSERT INTO orderly_lane (part, lane, pos) SELECT CAST(?1 AS BIGINT), CAST(?2 AS INTEGER), CAST(?3 AS BIGINT) WHERE ` + limits +
			` ON CONFLICT DO NOTHING`,
		advance: `UPDATE orderly_lane SET pos = ?4 WHERE part = ?1 AND lane = ?2 AND pos = ?3 AND ` + limits,
		release: `DELETE FROM orderly_exception WHERE part = ?1 AND off = ?2 AND NOT EXISTS (
			SELECT 1 FROM orderly_exception lower WHERE lower.part = ?1 AND lower.off < ?2 AND lower.lane = ?3 AND lower.keyed = ?4 AND lower.key = ?5 AND lower.hash IN (0, ?6)) AND ` + limits,
		park:  parkText + ` AND ` + limits,
		tried: triedText + ` AND ` + limits,
	}
}

// changed makes sure that a statement has changed its row.
func changed(rows int64, err error) error {
	if err == nil && rows == 0 {
		return store.ErrStale
	}
	return err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Low moves the low-water row.
func (b *Backend) Low(ctx context.Context, p store.Part, token, low int64, check func(store.State) error) (moved bool, err error) {
	id, err := b.id(p)
	if err != nil {
		return false, err
	}
	err = write(ctx, b.db, func(tx Tx) error {
		st, err := passed(ctx, tx, id, low)
		if err != nil {
			return err
		}
		if st.Token != token || st.Low >= low {
			return store.ErrStale
		}
		if err := check(st); err != nil {
			return err
		}
		return changed(tx.Exec(ctx, `UPDATE orderly_low SET low = ?3 WHERE part = ?1 AND token = ?2 AND low < ?3`, id, token, low))
	})
	if errors.Is(err, store.ErrStale) {
		return false, nil
	}
	return err == nil, err
}

// passed reads what the low-water row would pass on its way to low: the lanes, and which
// exceptions are still needed from Kafka. Those that it has passed already compaction has
// removed, and to look at all that is parked would take long.
func passed(ctx context.Context, tx Tx, id, low int64) (st store.State, err error) {
	rows, err := tx.Query(ctx, `SELECT orderly_low.token, orderly_low.low, orderly_lane.lane, orderly_lane.pos
		FROM orderly_low LEFT JOIN orderly_lane ON orderly_lane.part = orderly_low.part WHERE orderly_low.part = ?1`, id)
	if err != nil {
		return st, err
	}
	for rows.Next() && err == nil {
		var lane *int
		var pos *int64
		if err = rows.Scan(&st.Token, &st.Low, &lane, &pos); err == nil && lane != nil {
			st.Lanes = append(st.Lanes, store.Lane{Lane: *lane, Position: *pos})
		}
	}
	rows.Close()
	if err = cmp.Or(err, rows.Err()); err != nil {
		return st, err
	}
	if rows, err = tx.Query(ctx, `SELECT off, lane FROM orderly_exception WHERE part = ?1 AND off >= ?2 AND off < ?3 AND payload IS NULL ORDER BY off`, id, st.Low, low); err != nil {
		return st, err
	}
	for rows.Next() && err == nil {
		var e store.Exception
		if err = rows.Scan(&e.Offset, &e.Lane); err == nil {
			st.Exceptions = append(st.Exceptions, e)
		}
	}
	rows.Close()
	return st, cmp.Or(err, rows.Err())
}

// Payload reads a parked exception's payload.
func (b *Backend) Payload(ctx context.Context, p store.Part, offset int64) (payload []byte, err error) {
	id, err := b.id(p)
	if err != nil {
		return nil, err
	}
	err = one(ctx, b.db.Query, `SELECT payload FROM orderly_exception WHERE part = ?1 AND off = ?2 AND payload IS NOT NULL`, []any{id, offset}, &payload)
	if errors.Is(err, errNoRow) {
		return nil, store.ErrStale
	}
	return nonNil(payload), err
}

func (b *Backend) know(p store.Part, id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids[p] = id
}

func (b *Backend) id(p store.Part) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id, ok := b.ids[p]; ok {
		return id, nil
	}
	return 0, fmt.Errorf("store: %s: Begin was not called", p)
}

// write runs f in a transaction of its own.
func write(ctx context.Context, db DB, f func(Tx) error) (err error) {
	return finish(ctx, db, func(tx Tx) ([]Statement, error) { return nil, f(tx) })
}

// finish is write with an f that leaves statements for the end.
func finish(ctx context.Context, db DB, f func(Tx) ([]Statement, error)) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // an error, or a handler that panicked or ended its goroutine
			tx.Rollback()
		}
	}()
	last, err := f(tx)
	if err != nil {
		return err
	}
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	defer cancel()
	whole, together := tx.(Finisher)
	if together && len(last) > 0 {
		done = true
		return whole.Finish(commit, last)
	}
	for _, s := range last {
		if _, err := tx.Exec(commit, s.Text, s.Args...); err != nil {
			return err
		}
	}
	done = true
	return tx.Commit(commit)
}

var errNoRow = errors.New("no row")

// one reads the first row of a query.
func one(ctx context.Context, query func(context.Context, string, ...any) (Rows, error), sql string, args []any, into ...any) error {
	rows, err := query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return errNoRow
	}
	return rows.Scan(into...)
}
