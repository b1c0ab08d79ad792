package effects

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/orderly-go/orderly/store"
)

// A LostError says that the database has lost what it had acknowledged, as after a
// failover to a standby that had not received it: the records have to be read again.
type LostError struct {
	Lane        int
	Known, Have int64 // positions
	Row         bool  // the record at Have is needed again, which was acknowledged as applied or parked
}

// Error names both positions, or the record.
func (e *LostError) Error() string {
	if e.Row {
		return fmt.Sprintf("effects: the database needs offset %d (lane %d), and had acknowledged it as applied or parked: it has lost commits, as after a failover to a standby that is behind", e.Have, e.Lane)
	}
	return fmt.Sprintf("effects: the database has lane %d at %d, and had acknowledged %d: it has lost commits, as after a failover to a standby that is behind",
		e.Lane, e.Have, e.Known)
}

// detached looks for the row of a record that is said to have one, when it is not known:
// the record may have been detached under an earlier token, after this one had read the
// state. It has had its effect only if the store does not know the row either.
func (o *Owner) detached(ctx context.Context, lane int, r Record) error {
	o.mu.Lock()
	_, ok := o.exc[r.Offset]
	o.mu.Unlock()
	if ok {
		return nil
	}
	return o.look(ctx, lane)
}

// A MissingError says what holds up a key: a record below that is not applied, and was
// never handed over, or this one would wait behind it.
type MissingError struct {
	Offset int64
	Err    error
}

// Error names the record and the way out.
func (e *MissingError) Error() string {
	return fmt.Sprintf("effects: the database waits for offset %d of the key, which the log has not given: when compaction has removed it, its row has to be deleted, as docs/effects.md says: %v", e.Offset, e.Err)
}

// Unwrap returns what became of the step.
func (e *MissingError) Unwrap() error { return e.Err }

// missing names the record that keeps another one of its key from being applied.
func (o *Owner) missing(r Record, err error) error {
	var down *DownError
	if !errors.As(err, &down) || !errors.Is(err, store.ErrStale) {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e, ok := o.exc[r.Offset]; ok && e.k.rows[0] < r.Offset && !o.head(e.k).parked {
		return &MissingError{Offset: e.k.rows[0], Err: err}
	}
	return err
}

// DetachedLanes are the lanes with exceptions that are not parked.
func (o *Owner) DetachedLanes() (lanes []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.exc {
		if !e.parked && !slices.Contains(lanes, int(e.lane)) {
			lanes = append(lanes, int(e.lane))
		}
	}
	return lanes
}

// Refresh reads a lane anew.
func (o *Owner) Refresh(ctx context.Context, lane int) error { return o.look(ctx, lane) }

// look reads a lane anew. What another step of the lane has brought meanwhile is not
// exchanged for what was read before it: then it is read once more.
func (o *Owner) look(ctx context.Context, lane int) error {
	o.looks.Add(1)
	for range tries {
		o.mu.Lock()
		news := o.news[lane]
		o.mu.Unlock()
		st, err := o.b.Look(ctx, o.part, lane)
		if err != nil {
			return o.down(err)
		}
		if st.Token != o.token {
			return &FencedError{Mine: o.token, Theirs: st.Token}
		}
		if ok, err := o.learn(lane, &st, news); ok || err != nil {
			return err
		}
	}
	return &DownError{fmt.Errorf("%s lane %d: it changed %d times while it was read", o.part, lane, tries)}
}

// learn takes in what was read of a lane, unless something is newer than news.
func (o *Owner) learn(lane int, st *store.State, news uint64) (ok bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.news[lane] != news {
		return false, nil
	}
	if err := back(lane, o.pos, st); err != nil {
		return false, err
	}
	o.news[lane]++
	for offset, e := range o.exc {
		if _, there := slices.BinarySearchFunc(st.Exceptions, offset, func(e store.Exception, o int64) int { return cmp.Compare(e.Offset, o) }); int(e.lane) == lane && !there {
			o.drop(offset)
		}
	}
	for _, e := range st.Exceptions {
		o.put(e)
	}
	delete(o.pos, lane)
	for _, l := range st.Lanes {
		o.pos[l.Lane] = l.Position
	}
	return true, nil
}

// back says that the store has a lane below a position that it had acknowledged.
func back(lane int, known map[int]int64, st *store.State) error {
	was, ok := known[lane]
	if !ok {
		return nil
	}
	have := store.Unknown
	for _, l := range st.Lanes {
		if l.Lane == lane {
			have = l.Position
		}
	}
	if have < was {
		return &LostError{Lane: lane, Known: was, Have: have}
	}
	return nil
}

// positions are those that the store has acknowledged.
func (o *Owner) positions() map[int]int64 {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.pos)
}
