package orderly

import (
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/group"
)

// attempts knows the attempts under way that have a deadline of their own, so
// that a handler that ignores it is reported. It is used only with an
// AttemptTimeout.
type attempts struct {
	mu      sync.Mutex
	running map[*Message]time.Time
}

func (a *attempts) begin(m *Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil {
		a.running = make(map[*Message]time.Time)
	}
	a.running[m] = time.Now()
}

func (a *attempts) end(m *Message) {
	a.mu.Lock()
	delete(a.running, m)
	a.mu.Unlock()
}

// overdue returns those that have not returned although they have run longer
// than limit.
func (a *attempts) overdue(limit time.Duration) (late []group.Stuck) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for m, since := range a.running {
		if age := time.Since(since); age > limit {
			late = append(late, group.Stuck{Item: &m.item, Age: age, Owned: true})
		}
	}
	return late
}
