package parked

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A sight is what stood beside a partition before its token was committed.
type sight struct {
	log   *topicLog // nil: there is no topic, or err
	from  int64     // where reading begins
	end   int64     // of the topic's partition
	fresh bool
	err   error  // the partition waits
	state string // why: one of the names below
	note  *parking.Noted
	id    [16]byte
}

// Names of what a partition waits for; docs/operating.md explains them.
const (
	StateAwaiting   = "awaiting-parking"
	StateUnreadable = "parking-unreadable"
	StateMismatch   = "parking-mismatch"
	StateDamaged    = "parking-damaged"
	StateNarrow     = "parking-partition-missing"
	StatePaused     = "paused"
)

// A MismatchError is a parking topic that is not what the group's commit says.
type MismatchError struct {
	Topic, ParkingTopic string
	Partition           int32
	Err                 error
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("topic %s partition %d, parking topic %s: %v", e.Topic, e.Partition, e.ParkingTopic, e.Err)
}

func (e *MismatchError) Unwrap() error { return e.Err }

// Look is part of group.Parking.
func (m *Manager) Look(ctx context.Context, asks []group.ParkingAsk) []group.ParkingSight {
	topics := make(map[string]*topicSight)
	out := make([]group.ParkingSight, len(asks))
	for i, a := range asks {
		t := topics[a.Topic]
		if t == nil {
			t = m.lookAt(ctx, a.Topic)
			topics[a.Topic] = t
		}
		if t.found.Exists && int(a.Partition) >= t.found.Partitions && !t.grown && m.cfg.Create {
			// The source has grown. Where it cannot follow, judge says so.
			if err := m.make(ctx, a.Topic, t.name); err != nil {
				m.cfg.Logger.Warn("orderly: the parking topic has fewer partitions than its source", "group", m.cfg.Group, "topic", a.Topic, "error", err)
			} else {
				t = m.lookAt(ctx, a.Topic)
				topics[a.Topic] = t
			}
			t.grown = true
		}
		out[i] = m.judge(ctx, a, t)
	}
	return out
}

// topicSight is a parking topic as it is found.
type topicSight struct {
	name   string
	found  parkinglog.Topic
	bounds map[int32]parkinglog.Bound
	log    *topicLog
	grown  bool // as far as it may be
	err    error
}

// lookAt asks for one topic: with two or three requests to a broker, however many
// partitions it has.
func (m *Manager) lookAt(ctx context.Context, source string) *topicSight {
	t := &topicSight{}
	if t.name, t.err = m.name(source); t.err != nil {
		return t
	}
	t.found, t.err = parkinglog.Find(ctx, m.admin, t.name)
	if t.err != nil && errors.Is(t.err, kerr.TopicAuthorizationFailed) && !m.cfg.Needed {
		// Who may not see it parks nothing in it. Where a commit names it, judge says so.
		t.err = nil
		return t
	}
	if t.err != nil || !t.found.Exists {
		return t
	}
	if t.bounds, t.err = parkinglog.Bounds(ctx, m.admin, t.name); t.err != nil {
		return t
	}
	t.log, t.err = m.open(ctx, source, t.name, t.found.ID)
	return t
}

// judge compares what was found with what the commit says.
func (m *Manager) judge(ctx context.Context, a group.ParkingAsk, t *topicSight) (out group.ParkingSight) {
	s := &sight{log: t.log, err: t.err, id: a.TopicID, state: StateUnreadable}
	out.What = s
	guard, err := parking.GuardOf(a.Extra)
	if err != nil {
		return m.mismatch(a, t, s, err)
	}
	if err := parking.CheckStored(a.Extra, m.cfg.Self.Store); err != nil {
		return m.mismatch(a, t, s, err)
	}
	if s.err == nil && t.found.Exists {
		b, ok := t.bounds[a.Partition]
		switch {
		case !ok:
			s.state, s.err = StateNarrow, fmt.Errorf("the parking topic %s has %d partitions and none of this number", t.name, t.found.Partitions)
		case b.Err != nil:
			s.err = fmt.Errorf("the parking topic %s: %w", t.name, b.Err)
		}
	}
	f := parking.Found{Committed: a.Committed, Guard: guard, Topic: t.found.Exists, TopicID: t.found.ID}
	b := t.bounds[a.Partition]
	f.Start, s.end = b.Start, b.End
	if s.err == nil && f.Topic && !f.Committed && b.End > b.Start {
		f.HasState, s.err = hasState(ctx, t.log, a.Partition, b)
	}
	var bad *parkinglog.PositionError
	if errors.As(s.err, &bad) {
		return m.mismatch(a, t, s, m.damaged(a.Topic, a.Partition, bad))
	}
	if s.err != nil {
		s.log = nil
		if !a.Committed && s.state != StateNarrow {
			// A commit of ours would make of a missing one that there was nothing.
			out.Err = s.err
		}
		out.Unread = a.Note != nil
		return out
	}
	if s.from, s.fresh, err = parking.Check(f, &m.cfg.Rules); err != nil {
		return m.mismatch(a, t, s, err)
	}
	if a.Note != nil && s.log != nil && !s.fresh && b.Start <= a.Note.Pos && a.Note.Pos < b.End {
		switch s.note, err = readNote(ctx, s.log, a.Partition, a.Note); {
		case err != nil:
			s.log, s.err, out.Unread = nil, fmt.Errorf("what the commit has no room for stands in a note of the parking topic: %w", err), true
			if errors.As(err, &bad) {
				s.state, s.err = StateDamaged, m.damaged(a.Topic, a.Partition, bad)
			}
		case s.note != nil:
			out.Noted = notedOf(s.note)
		}
	}
	return out
}

// damaged is the error of a record that is no entry, with the way out. It is told of once.
func (m *Manager) damaged(topic string, partition int32, at *parkinglog.PositionError) error {
	err := fmt.Errorf("%w. To give up what is parked, stop the group: \"orderly offsets reset -g %s -t %s --partitions %d --to OFFSET --parked drop --reason TEXT\"",
		at, m.cfg.Group, topic, partition)
	m.once("parking-damaged", "group %s topic %s partition %d: the partition stops: %v", m.cfg.Group, topic, partition, err)
	return err
}

// mismatch lets a partition wait by name. One of which the group knows nothing must
// not be granted: that would say that there was nothing to know.
func (m *Manager) mismatch(a group.ParkingAsk, t *topicSight, s *sight, err error) group.ParkingSight {
	s.log, s.state = nil, StateMismatch
	s.err = &MismatchError{Topic: a.Topic, ParkingTopic: t.name, Partition: a.Partition, Err: err}
	out := group.ParkingSight{What: s}
	if !a.Committed {
		out.Err, out.Fatal = s.err, true
	}
	return out
}

// hasState reads until something other than a marker or a command is met.
func hasState(ctx context.Context, l *topicLog, partition int32, b parkinglog.Bound) (bool, error) {
	for at := b.Start; at < b.End; {
		page, err := l.Fetch(ctx, partition, at, 1<<20, 250)
		for _, r := range page.Entries {
			if k := r.Entry.Kind; k != parking.KindMarker && k != parking.KindCommand {
				return true, nil
			}
		}
		if err != nil {
			return false, err
		}
		at = page.Next
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return false, nil
}
