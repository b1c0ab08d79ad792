package orderly

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kgo"
)

// openParking makes what parks records and releases them, under every policy: what
// was parked under another one is still there.
func (c *Consumer) openParking(kept *effectsStore) (*parked.Manager, error) {
	cfg := &c.cfg
	scope := "key"
	if cfg.Scope == ScopePartition {
		scope = "partition"
	}
	host, _ := os.Hostname()
	m, err := parked.New(parked.Config{
		Group: cfg.Group, Prefix: cfg.Parking.Prefix, Rules: cfg.Parking.rules(),
		Opts: slices.Concat([]kgo.Opt{kgo.ClientID("orderly")}, cfg.KafkaOpts, []kgo.Opt{kgo.SeedBrokers(cfg.Brokers...)}),
		Self: parking.MarkerBody{Owner: fmt.Sprintf("%s/%d", host, os.Getpid()), Scope: scope, OrderBy: cfg.OrderBy.Name, Policy: string(cfg.OnExhausted),
			First: cfg.Parking.First.Milliseconds(), Longest: cfg.Parking.Longest.Milliseconds(), Store: cfg.Effects.Name},
		Create: !cfg.Parking.NoCreate, Needed: cfg.parks(), Refresh: parkingRefresh(cfg.KafkaOpts),
		Logger: cfg.Logger, Start: c.h.start, Warning: c.h.rep.warn, Find: c.h.find, Skipped: c.h.skipped,
		Elsewhere: kept.elsewhere(),
	})
	if err != nil {
		return nil, &ConfigError{Problems: []string{fmt.Sprintf("KafkaOpts: %v", err)}}
	}
	return m, nil
}

// parkingRefresh is how often parking topics are looked for that have come or gone: as
// often as the client looks its own topics up, and each half a minute at the least.
func parkingRefresh(opts []kgo.Opt) time.Duration {
	every := 30 * time.Second
	if cl, err := kgo.NewClient(opts...); err == nil {
		if age, ok := cl.OptValue(kgo.MetadataMaxAge).(time.Duration); ok {
			every = min(every, age)
		}
		cl.Close()
	}
	return every
}

// prepareParking sees to the parking topics under PolicyPark, before the group is
// joined.
func (c *Consumer) prepareParking(ctx context.Context, m *parked.Manager, partitions map[string]int) error {
	if !c.cfg.parks() {
		return nil
	}
	for _, source := range slices.Sorted(maps.Keys(partitions)) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := m.Prepare(ctx, source)
		cancel()
		if err != nil {
			topic, _ := parking.TopicName(c.cfg.Parking.Prefix, c.cfg.Group, source)
			return &ParkingTopicError{Source: source, Topic: topic, Err: errNotAllowed(topic, err)}
		}
	}
	return nil
}

// mismatch is the public error of a parking topic that is not what it has to be. What
// becomes of the parked records, a reset says.
func (c *Consumer) mismatch(err error) error {
	var m *parked.MismatchError
	if errors.As(err, &m) {
		return &ParkingTopicError{Source: m.Topic, Topic: m.ParkingTopic, Err: fmt.Errorf("partition %d: %w; say it with \"orderly offsets reset -g %s -t %s --partitions %d --to OFFSET --parked drop --reason TEXT\"",
			m.Partition, m.Err, c.cfg.Group, m.Topic, m.Partition)}
	}
	return err
}
