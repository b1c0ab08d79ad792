package orderly

import (
	"context"
	"log/slog"
	"sync"

	"github.com/orderly-go/orderly/internal/rules"
)

// topicRisks tells once what of a topic's settings can lose acknowledged records.
type topicRisks struct {
	mu   sync.Mutex
	told map[string]bool
}

// tell looks at a topic of a cluster with so many brokers. One broker alone cannot
// keep two copies: that is for development, and whoever runs it knows.
func (r *topicRisks) tell(l *slog.Logger, topic string, t rules.Topic, brokers int) {
	level := slog.LevelWarn
	if brokers == 1 {
		level = slog.LevelDebug
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range t.Problems() {
		if key := p.ID + " " + topic; !r.told[key] {
			if r.told == nil {
				r.told = map[string]bool{}
			}
			r.told[key] = true
			l.Log(context.Background(), level, "orderly: the topic's settings can lose what was acknowledged", "topic", topic, "rule", p.ID, "what", p.What, "fix", p.Fix)
		}
	}
}
