package prove

import (
	"slices"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cutOff says that the coordinator no longer hears of a member, which takes itself
// for alive: it cannot take part when its partitions are given to others, and what it
// does beside them until it learns of it is Kafka's doing.
func (a *app) cutOff(member string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, off := a.off[member]; !off {
		a.s.book.add(history.Event{Kind: history.Freeze, Member: member})
	}
	a.off[member] = false
}

// back says that a member takes part again: it has lost what it had, and is given
// something anew. Until then handlers of what it lost may still end. Called with the
// lock held.
func (a *app) back(member string) {
	if a.off[member] {
		delete(a.off, member)
		a.s.book.add(history.Event{Kind: history.Thaw, Member: member})
	}
}

// patience is how long a producer waits for an answer where answers stay out: by
// default 20 s, which would be most of a run. It changes no order.
func (c *Config) patience() []kgo.Opt {
	if !slices.ContainsFunc(c.Faults, func(f proxy.Fault) bool { return f.Kind == proxy.SilentAck }) {
		return nil
	}
	return []kgo.Opt{kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second)}
}
