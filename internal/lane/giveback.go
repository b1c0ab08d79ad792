package lane

import (
	"container/heap"
	"time"
)

// spending is what a record that had not failed before has spent since: attempts that
// can be given back.
type spending struct {
	since time.Duration // its first failure
	n     int32
	owed  int32 // given back while it was with a worker, which still counts them
}

// spend notes an attempt that can be given back. Called with p.mu held, before it is
// counted.
func (p *Partition) spend(it *Item) {
	s, ok := p.spent[it.Offset]
	if !ok {
		if it.Attempts > 0 {
			return // what failed before cannot be new
		}
		s.since = p.pool.now()
		if p.spent == nil {
			p.spent = make(map[int64]spending)
		}
	}
	s.n++
	p.spent[it.Offset] = s
}

// GiveBack takes back the attempts, as far as their verdicts allowed it, of records
// that failed for the first time at since or later. Their units are due at once, or
// when the gate opens. It returns how many attempts and records these were.
func (pl *Pool) GiveBack(since time.Time) (attempts, records int) {
	pl.mu.Lock()
	parts := make([]*Partition, 0, len(pl.parts))
	for p := range pl.parts {
		parts = append(parts, p)
	}
	pl.mu.Unlock()
	cut := since.Sub(pl.epoch)
	for _, p := range parts {
		p.mu.Lock()
		n, r := p.giveBack(cut)
		if len(p.timers) > 0 {
			pl.arm(p.timers[0].due)
		}
		p.mu.Unlock()
		attempts, records = attempts+n, records+r
	}
	return attempts, records
}

func (p *Partition) giveBack(cut time.Duration) (attempts, records int) {
	p.refunds++ // what workers have not brought back yet is not spent either; see result
	for offset, s := range p.spent {
		if s.since < cut || s.n == 0 {
			continue
		}
		attempts, records = attempts+int(s.n), records+1
		if p.failed[offset] -= s.n; p.failed[offset] <= 0 {
			delete(p.failed, offset)
		}
		s.owed, s.n = s.owed+s.n, 0
		p.spent[offset] = s
		p.debts++
	}
	if records == 0 {
		return 0, 0
	}
	now := p.pool.now()
	for _, u := range p.timers {
		if u.head == nil {
			continue
		}
		if s := p.spent[u.head.Offset]; s.owed > 0 {
			p.collect(u.head)
			u.due = min(u.due, now)
		}
	}
	heap.Init(&p.timers)
	for u := p.turns.head; u != nil; u = u.next {
		p.collect(u.head)
	}
	return attempts, records
}

// collect takes what is owed to a record off its count. Called with p.mu held while
// the record is with no worker.
func (p *Partition) collect(it *Item) {
	if p.debts == 0 {
		return
	}
	if s, ok := p.spent[it.Offset]; ok && s.owed > 0 {
		it.Attempts = max(0, it.Attempts-s.owed)
		p.debts--
		delete(p.spent, it.Offset) // its next failure is its first again
	}
}

// Spent is how many attempts of a record that is with a worker are spent: those that it
// had when it was taken, less what was given back since.
func (p *Partition) Spent(it *Item) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(max(0, it.Attempts-p.spent[it.Offset].owed))
}

// settleSpent forgets a record that is done.
func (p *Partition) settleSpent(it *Item) {
	if len(p.spent) == 0 {
		return
	}
	if s, ok := p.spent[it.Offset]; ok {
		if s.owed > 0 {
			p.debts--
		}
		delete(p.spent, it.Offset)
	}
}
