package parked

import (
	"bytes"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parking"
)

// A word is an operator's command about a record that is not parked: it is done when
// the record is tried next, and answered when that is known. A word about a record
// of which no failed attempt is known waits for its first failure: after a handover the
// command may be read before the record.
type word struct {
	key      []byte
	cmd      *parking.CommandBody
	since    time.Time // when it was not found last
	accepted bool
	trying   bool // its handler was called since

	elsewhere bool // its record's key is parked in a store, which answers
}

// patience is how long a word waits for a record that is nowhere to be seen.
const patience = 5 * time.Second

// A Skip is a record that is done by an operator's word.
type Skip struct {
	Topic     string
	Partition int32
	Token     int64
	Key       []byte
	Offset    int64
	Command   *parking.CommandBody
	Part      *lane.Partition
	Entry     *parking.Entry // of a record that was parked, under this owner; nil: it is not known
}

// ask takes a command from the owner. Called with mu held.
func (p *Partition) ask(o *parking.Owner, a parking.Ask) {
	if w := p.words[a.Offset]; w != nil {
		if w.cmd.ID == a.Command.ID {
			w.accepted = w.accepted && a.Accepted // an answer that was lost is given again
		} else {
			p.reply(o, a.Command.ID, parking.Refused, "command "+w.cmd.ID+" about the same record is not done yet")
		}
		return
	}
	if p.words == nil {
		p.words = make(map[int64]*word)
	}
	p.words[a.Offset] = &word{key: a.Key, cmd: a.Command, accepted: a.Accepted, since: time.Now()}
	p.calm.Store(false)
	p.queue(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.ended && p.owner == o {
			p.hear(time.Now())
		}
	})
}

// reply answers a command, when the owner is done with what it is at. Called with mu
// held.
func (p *Partition) reply(o *parking.Owner, id string, s parking.AnswerState, result string) {
	p.queue(func() { p.tell(o, func() []parking.Action { return o.Answer(id, s, result) }) })
}

// endWord answers a word for good. Called with mu held.
func (p *Partition) endWord(offset int64, s parking.AnswerState, result string) {
	w := p.words[offset]
	delete(p.words, offset)
	p.reply(p.owner, w.cmd.ID, s, result)
}

// hear looks what has become of the records that words are about. Called with mu held.
func (p *Partition) hear(now time.Time) {
	for offset, w := range p.words {
		if !p.opened && p.reason != StatePaused {
			w.since = now
			continue
		}
		if p.elsewhere(offset, w) {
			w.since = now
			continue
		}
		switch found := p.m.cfg.Find(p.lane, w.key, offset, !w.trying); {
		case found == lane.Blocked:
			w.since = now
			if !w.accepted {
				w.accepted = true
				p.reply(p.owner, w.cmd.ID, parking.Accepted, "")
			}
		case found == lane.Queued:
			w.since = now
		case offset < p.floor:
			p.endWord(offset, parking.Done, "it was settled before, and its key is not parked")
		case now.Sub(w.since) > patience:
			p.endWord(offset, parking.Refused, fmt.Sprintf("no record at %d is blocked, and nothing of its key is parked", offset))
		}
	}
}

// A Word is what is to become of a blocked record.
type Word struct {
	Command *parking.CommandBody
}

// Word returns what an operator wants of a record that is about to be tried; failed:
// it was tried before. Nil: that its handler is called.
func (p *Partition) Word(key []byte, offset int64, failed bool) *Word {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.word(key, offset, failed)
}

// word is Word with mu held.
func (p *Partition) word(key []byte, offset int64, failed bool) *Word {
	w := p.words[offset]
	switch {
	case w == nil || p.owner == nil:
	case !bytes.Equal(w.key, key):
		p.endWord(offset, parking.Refused, fmt.Sprintf("the record at %d has another key", offset))
	case w.cmd.Verb == parking.Retry:
		w.trying = true
	case failed:
		return &Word{w.cmd}
	}
	return nil
}

// Tried says how the attempt of a record has ended; nil: it is done.
func (p *Partition) Tried(offset int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch w := p.words[offset]; {
	case w == nil || p.owner == nil:
	case err == nil:
		p.endWord(offset, parking.Done, "handled")
	case w.trying:
		p.endWord(offset, parking.Done, "failed again: "+err.Error())
	}
}

// Refuse says that what an operator wants of a record cannot be.
func (p *Partition) Refuse(offset int64, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.words[offset] != nil && p.owner != nil {
		p.endWord(offset, parking.Refused, why)
	}
}

// A Pause is a pause in force.
type Pause struct {
	ID, Who, Reason string
	Since           time.Time
	Whole           bool   // the partition, not a key
	Key             []byte // the ordering key
}

func pauses(s *parking.State) (all []Pause) {
	s.Pauses(func(key []byte, a *parking.AnswerBody) bool {
		c := a.Command
		all = append(all, Pause{ID: c.ID, Who: c.Who, Reason: c.Reason, Since: time.UnixMilli(a.At), Whole: c.Whole, Key: key})
		return true
	})
	return all
}

func pausedBy(a *parking.AnswerBody) string {
	text := "paused by " + a.Command.Who
	if a.Command.Reason != "" {
		text += ": " + a.Command.Reason
	}
	return text
}

// Topic is the name of the parking topic; empty: none is in use.
func (p *Partition) Topic() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil {
		return ""
	}
	return p.log.name
}

// PausedBy says who has paused a key, and why; empty: it is not paused.
func (p *Partition) PausedBy(key []byte) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner != nil {
		if a := p.owner.PauseOf(parking.ID(key)); a != nil {
			return pausedBy(a)
		}
	}
	return ""
}
