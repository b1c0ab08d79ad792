package parked

import (
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parking"
)

// Where a store keeps what is parked, the topic carries only commands and what became of
// them. A word about a key that is parked in the store is the store's.

// An Elsewhere takes a command about a record whose key is parked in a store, and has it
// answered later, once: with an empty state it is to be asked about the record anew. It
// reports false when the key is not parked there. It waits for nothing.
type Elsewhere func(part *lane.Partition, key []byte, offset int64, c *parking.CommandBody, answer func(s parking.AnswerState, result string)) bool

// elsewhere says that a word is the store's. Called with mu held.
func (p *Partition) elsewhere(offset int64, w *word) bool {
	f := p.m.cfg.Elsewhere
	if f == nil || w.elsewhere {
		return w.elsewhere
	}
	o := p.owner
	w.elsewhere = f(p.lane, w.key, offset, w.cmd, func(s parking.AnswerState, result string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ended || p.owner != o || p.words[offset] != w {
			return
		}
		if w.elsewhere = s != ""; w.elsewhere {
			p.endWord(offset, s, result)
		}
	})
	if w.elsewhere && !w.accepted {
		w.accepted = true
		p.reply(o, w.cmd.ID, parking.Accepted, "")
	}
	return w.elsewhere
}

// Did says that what an operator wants of a record is done.
func (p *Partition) Did(offset int64, result string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.words[offset] != nil && p.owner != nil {
		p.endWord(offset, parking.Done, result)
	}
}
