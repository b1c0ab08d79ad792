package orderly

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errWord is the result of a blocked record that is not handed to its handler, because
// an operator says what is to become of it.
type errWord struct{ *parked.Word }

func (e errWord) Error() string { return bySomebody(e.Command).Error() }

func bySomebody(c *parking.CommandBody) error {
	text := map[parking.Verb]string{parking.Skip: "skipped", parking.Park: "parked"}[c.Verb] + " by an operator"
	if c.Who != "" {
		text += ", " + c.Who
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return errors.New(text)
}

// obey does with a blocked record what an operator wants.
func (h handling) obey(r *lane.Run, m *Message, keep *lane.Item, tr *trouble, w *parked.Word) lane.Verdict {
	_, last := tr.shown()
	tr.given = nil // no dead letter is written any more
	err := bySomebody(w.Command)
	if last != "" {
		err = fmt.Errorf("%w; its last failure: %s", err, last)
	}
	switch {
	case h.cfg.Effects.on():
		return h.obeyInStore(m, keep, tr, w.Command, err)
	case w.Command.Verb == parking.Skip:
		return h.arriveFor(r, m, keep, tr, nil, w.Command)
	}
	return h.arrive(r, m, keep, tr, &givenUp{err: err, attempts: int(m.item.Attempts), reason: reasonOperator})
}

// tried tells whoever waits for it how an attempt has ended; nil: the record is done.
func tried(p *parked.Partition, m *Message, err error) {
	if p != nil && !p.Calm() && m.release == nil {
		if err != nil {
			err = errors.New(brief(err))
		}
		p.Tried(m.Offset, err)
	}
}

// pausedBy is why a record waits whose key is paused; nil: it is not.
func (h handling) pausedBy(p *parked.Partition, key []byte) error {
	if p == nil {
		return nil
	}
	if by := p.PausedBy(key); by != "" {
		return errors.New(by)
	}
	return nil
}

// find looks for a record that an operator names.
func (h handling) find(part *lane.Partition, key []byte, offset int64, wake bool) lane.Found {
	return part.Find(h.hashOf(key), offset, wake)
}

// skipped takes a record that was skipped while it was parked, before the next of its key
// begins.
func (h handling) skipped(s parked.Skip) {
	if s.Entry != nil && s.Part != nil {
		if learn := h.seq.passes(s.Part, parkedMessage(s.Entry.Parked, s.Offset)); learn != nil {
			learn()
		}
	}
	h.rep.skippedByOperator(s)
}

// skippedByOperator reports a record that is done by an operator's word.
func (r reporter) skippedByOperator(s parked.Skip) {
	err := bySomebody(s.Command)
	m := &Message{Record: &kgo.Record{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset, Key: s.Key}, FencingToken: s.Token}
	r.about(slog.LevelWarn, "a record was skipped by an operator: a hole in the order of its key", m, "command", s.Command.ID, "error", err)
	if f := r.cfg.Events.Skipped; f != nil {
		f(SkippedEvent{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset, Key: s.Key, FencingToken: s.Token, Reason: reasonOperator, Err: err})
	}
}
