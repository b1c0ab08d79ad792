//go:build unix

package matrix

import (
	"fmt"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// A chronicle is the history of one scene, in the order in which the members'
// messages came: each waits for its answer.
type chronicle struct {
	mu     sync.Mutex
	began  time.Time
	events []history.Event
	notes  []note
	done   map[record]bool // a handler ended it well
	broken []string        // contradictions that no checker sees
	// resolved are parked records that the parking topic says are done.
	resolved []resolution

	owner  map[int32]owning          // the newest of each partition
	frozen map[string]bool           // members
	missed map[string]map[int32]bool // member, partition: was frozen when the next owner came
	late   int                       // commits that members heard of only when another owned the partition
	zombie int                       // starts by members that had missed a handover
}

type record struct {
	partition int32
	offset    int64
}

type owning struct {
	member string
	token  int64
}

func newChronicle() *chronicle {
	return &chronicle{began: time.Now(), done: make(map[record]bool), owner: make(map[int32]owning),
		frozen: make(map[string]bool), missed: make(map[string]map[int32]bool)}
}

func (c *chronicle) add(e history.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.owner[e.Partition]
	switch e.Kind {
	case history.Own:
		if e.Token > now.token {
			c.owner[e.Partition] = owning{e.Member, e.Token}
		}
		for m := range c.frozen {
			if m != e.Member {
				if c.missed[m] == nil {
					c.missed[m] = make(map[int32]bool)
				}
				c.missed[m][e.Partition] = true
			}
		}
		delete(c.missed[e.Member], e.Partition)
	case history.Start:
		// Stricter than the checker, which asks only whether handlers overlap: a
		// member's own session clock has to stop it before another owns the
		// partition, unless the member was frozen then.
		if now.member != e.Member && e.Token < now.token {
			if c.missed[e.Member][e.Partition] {
				c.zombie++
			} else {
				c.broken = append(c.broken, fmt.Sprintf("%s began offset %d of partition %d under token %d, although %s had token %d",
					e.Member, e.Offset, e.Partition, e.Token, now.member, now.token))
			}
		}
	case history.End:
		if e.OK && !e.Cancelled {
			c.done[record{e.Partition, e.Offset}] = true
		}
	case history.Done:
		c.done[record{e.Partition, e.Offset}] = true
	case history.Freeze:
		c.frozen[e.Member] = true
	case history.Thaw:
		delete(c.frozen, e.Member)
	case history.Commit:
		// It was applied before, and its place in the history is not known. What
		// the brokers applied, in their order, is judged in the verdict.
		if e.Token < now.token {
			c.late++
			return
		}
	}
	e.N = 0
	e.At = int64(time.Since(c.began))
	c.events = append(c.events, e)
}

func (c *chronicle) note(n note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, n)
}

func (c *chronicle) contradiction(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// find returns the events that match, in order; N is their place.
func (c *chronicle) find(match func(history.Event) bool) (out []history.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.events {
		if e.N = int64(i + 1); match(e) {
			out = append(out, e)
		}
	}
	return out
}

// noted returns the notes of a member of a kind.
func (c *chronicle) noted(member, kind string) (out []note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.notes {
		if n.Member == member && n.Kind == kind {
			out = append(out, n)
		}
	}
	return out
}

// handled is how many records are done.
func (c *chronicle) handled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.done)
}

func (c *chronicle) isDone(r record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[r]
}

// owned counts the partitions whose newest owner the member is.
func (c *chronicle) owned(member string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.owner {
		if o.member == member {
			n++
		}
	}
	return n
}

// owners is the newest owner of each partition.
func (c *chronicle) owners() map[int32]owning {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[int32]owning)
	for p, o := range c.owner {
		out[p] = o
	}
	return out
}
