package orderly

import (
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/offline"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Package orderlytest runs handlers with what a Consumer runs them with, and
// without the rest of it.
func init() {
	offline.New = func(o offline.Config) (*offline.Handling, error) {
		cfg := o.Consumer.(ConsumerConfig)
		// Nothing is connected to: these only have to pass the check.
		cfg.Brokers, cfg.Topics = []string{"none:0"}, []string{"none"}
		if cfg.Group == "" {
			cfg.Group = "none"
		}
		if cfg.OnExhausted == "" {
			cfg.OnExhausted = PolicyBlock // there is no topic to park in
		}
		cfg = cfg.withDefaults()
		if err := cfg.validate(); err != nil {
			return nil, err
		}
		h := newHandling(&cfg, func(err *StopError) { o.Stop(err) })
		if h.guard != nil {
			h.guard.async = func(f func()) { f() } // virtual time waits for the probe
		}
		h.jitter = func(m *Message, attempts int, bound time.Duration) time.Duration {
			return o.Jitter(m.Partition, m.Offset, attempts, bound)
		}
		h.letters = offlineLetters{&cfg, func(r *kgo.Record) error { return o.Letter(r) }}
		return &offline.Handling{
			Pool:      h.pool(o.Clock),
			Partition: h.partition,
			Blocked:   func(b lane.BlockedUnit) any { return blockedKey(b) },
			Item:      func(record any) *lane.Item { return h.items([]*kgo.Record{record.(*kgo.Record)}, nil)[0] },
		}, nil
	}
}

// offlineLetters gives dead letters to a test.
type offlineLetters struct {
	cfg   *ConsumerConfig
	write func(*kgo.Record) error
}

func (l offlineLetters) send(m *Message, g *givenUp, done func(at place, err error)) {
	r, err := l.cfg.letter(m, g, defaultBatchBytes)
	if err == nil {
		err = l.write(r)
	}
	done(place{r.Topic, r.Partition, r.Offset}, err)
}
