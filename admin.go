package orderly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/store"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// AdminConfig configures an Admin.
type AdminConfig struct {
	// Brokers are seed addresses, host:port. Required.
	Brokers []string
	// Group is the consumer group. Required.
	Group string
	// Prefix is that of the group's Parking. Default "orderly-parked".
	Prefix string
	// Who is written down with each command. Required for commands: a person's name,
	// say. It is not checked.
	Who string
	// Store is the database of consumers with Effects, a store.Rewinder: what they park is
	// there. nil: there is none.
	Store store.Backend
	// KafkaOpts are further options of the franz-go client: TLS, SASL and the like.
	KafkaOpts []kgo.Opt
}

// An Admin sees what a group has parked, and commands its owners, whichever processes
// they are. Commands are records of the parking topic: they outlast both sides. Its
// user needs Describe and Read on the parking topics and Describe on the group, and
// Write on the topics for commands; Create where the first command has to make one.
type Admin struct {
	cfg AdminConfig
	cl  *kgo.Client
}

// NewAdmin returns an Admin; Close ends it. Nothing is connected to yet.
func NewAdmin(cfg AdminConfig) (*Admin, error) {
	orDefault(&cfg.Prefix, parking.DefaultPrefix)
	var ps []string
	if len(cfg.Brokers) == 0 {
		ps = append(ps, "Brokers is empty: name at least one seed broker, host:port")
	}
	if cfg.Group == "" {
		ps = append(ps, "Group is empty: what is parked belongs to a group")
	}
	if _, err := parking.TopicName(cfg.Prefix, cfg.Group, "t"); err != nil {
		ps = append(ps, fmt.Sprintf("Prefix: %v", err))
	}
	if len(ps) > 0 {
		return nil, &ConfigError{Problems: ps}
	}
	cl, err := kgo.NewClient(slices.Concat([]kgo.Opt{kgo.ClientID("orderly-admin"), kgo.MetadataMinAge(100 * time.Millisecond)},
		cfg.KafkaOpts, parkinglog.Options(), []kgo.Opt{kgo.SeedBrokers(cfg.Brokers...)})...)
	if err != nil {
		return nil, &ConfigError{Problems: []string{fmt.Sprintf("KafkaOpts: %v", err)}}
	}
	return &Admin{cfg: cfg, cl: cl}, nil
}

// Close ends the Admin's connections.
func (a *Admin) Close() { a.cl.Close() }

// A ParkedKey is a key with parked records.
type ParkedKey struct {
	Topic       string
	Partition   int32
	Handler     string // of Effects, whose store keeps it; empty: it is parked on Kafka
	Key         []byte // the ordering key; nil: none
	FirstOffset int64  // of the oldest parked record
	Records     int
	Cause       string // of its last failure, in short
	Permanent   bool   // it waits for an operator
	Attempts    int    // until it was parked
	Releases    int    // that failed since
	Since       time.Time
	// Next is when it is tried again, by its last owner's schedule, or by the default one
	// for what a store keeps; zero: at a command only.
	Next time.Time
}

var errNoParkingTopic = errors.New("it is not there: nothing was ever parked, or the group, the topic or the prefix is another one, " +
	"or its consumers have Effects, and what they park is in their database (--store, AdminConfig.Store)")

// find returns the parking topic of a topic.
func (a *Admin) find(ctx context.Context, topic string) (*parkinglog.Log, string, int, error) {
	name, err := parking.TopicName(a.cfg.Prefix, a.cfg.Group, topic)
	if err != nil {
		return nil, "", 0, err
	}
	found, err := parkinglog.Find(ctx, a.cl, name)
	if err == nil && !found.Exists {
		err = errNoParkingTopic
	}
	if err != nil {
		return nil, name, 0, &ParkingTopicError{Source: topic, Topic: name, Err: err}
	}
	return parkinglog.New(a.cl, name, found.ID), name, found.Partitions, nil
}

// ParkedKeys returns the parked keys of a topic, the one that was parked first before
// the others. It reads the parking topic from where the group's commits say that it
// counts; what its owners have not written yet is not in it. With AdminConfig.Store it
// also reads that.
func (a *Admin) ParkedKeys(ctx context.Context, topic string) ([]ParkedKey, error) {
	var keys []ParkedKey
	l, name, bounds, err := a.places(ctx, topic, false)
	if a.cfg.Store != nil && (err == nil || errors.Is(err, errNoParkingTopic)) {
		keys, err = a.storedKeys(ctx, topic)
	}
	if err != nil {
		return nil, err
	}
	for partition, b := range bounds {
		of, err := parkedKeys(ctx, l, partition, b)
		if errors.Is(err, errStoreNeeded) && a.cfg.Store != nil {
			err = nil
		}
		if err != nil {
			return nil, &ParkingTopicError{Source: topic, Topic: name, Err: err}
		}
		for i := range of {
			of[i].Topic = topic
		}
		keys = append(keys, of...)
	}
	slices.SortFunc(keys, func(a, b ParkedKey) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.FirstOffset, b.FirstOffset))
	})
	return keys, nil
}

// places returns the parking topic of a topic, and from where to where its partitions
// count. Of those that no commit names only commands do: with commands they are among
// them, from their beginning.
func (a *Admin) places(ctx context.Context, topic string, commands bool) (*parkinglog.Log, string, map[int32]parkinglog.Bound, error) {
	l, name, _, err := a.find(ctx, topic)
	if err != nil {
		return nil, name, nil, err
	}
	trims, err := a.trims(ctx, topic, l.ID()) // before the bounds: a trim may come between
	if err != nil {
		return nil, name, nil, &ParkingTopicError{Source: topic, Topic: name, Err: err}
	}
	bounds, err := parkinglog.Bounds(ctx, a.cl, name)
	if err != nil {
		return nil, name, nil, &ParkingTopicError{Source: topic, Topic: name, Err: err}
	}
	for partition, b := range bounds {
		if b.Err != nil {
			return nil, name, nil, &ParkingTopicError{Source: topic, Topic: name, Err: b.Err}
		}
		switch from, ok := trims[partition]; {
		case ok:
			b.Start = max(b.Start, from)
			bounds[partition] = b
		case !commands:
			delete(bounds, partition) // nothing in it counts
		}
	}
	return l, name, bounds, nil
}

// trims returns from where the parking topic counts, for the partitions whose commits
// name it.
func (a *Admin) trims(ctx context.Context, topic string, id [16]byte) (map[int32]int64, error) {
	offsets, err := a.commits(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("what group %s has committed, for which Describe on the group is needed: %w", a.cfg.Group, err)
	}
	trims := make(map[int32]int64)
	for partition, o := range offsets[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("what group %s has committed of partition %d: %w", a.cfg.Group, partition, o.Err)
		}
		meta, err := progress.Decode(o.At, o.Metadata)
		if err != nil || o.At < 0 {
			continue // none of ours
		}
		guard, err := parking.GuardOf(meta.Extra)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", partition, err)
		}
		if guard != nil && guard.TopicID == id {
			trims[partition] = guard.Trim
		}
	}
	return trims, nil
}

func parkedKeys(ctx context.Context, l *parkinglog.Log, partition int32, b parkinglog.Bound) (keys []ParkedKey, err error) {
	type head struct {
		key     []byte
		failure parking.Failure
	}
	rules := parking.DefaultRules()
	state := parking.NewState()
	heads := make(map[int64]head) // by position, of records that may be heads
	err = eachEntry(ctx, l, partition, b.Start, func(r parkinglog.Read) bool {
		if state.Apply(r.Pos, r.Entry, &rules) == parking.Counts && r.Entry.Records() > 0 {
			h := head{key: slices.Clone(r.Entry.Key)}
			if r.Entry.Parked != nil {
				h.failure = r.Entry.Parked.Failure
			}
			heads[r.Pos] = h
		}
		return r.Pos+1 < b.End
	}, b.End)
	if err != nil {
		return nil, err
	}
	if m := state.Owner(); m != nil && m.Store != "" {
		return nil, errStoreNeeded
	}
	state.Parked(func(k parking.ParkedKey) bool {
		h := heads[k.Pos]
		pk := ParkedKey{Partition: partition, Key: h.key, FirstOffset: k.Offset, Records: k.Records, Cause: h.failure.Cause,
			Permanent: k.Due == parking.Waits, Attempts: h.failure.Attempts, Releases: k.Releases, Since: moment(h.failure.First)}
		if k.Due != parking.Waits {
			pk.Next = time.UnixMilli(state.DueUnder(k, rules))
		}
		keys = append(keys, pk)
		return true
	})
	return keys, nil
}

// eachEntry reads entries from a position until yield returns false, the end is
// reached (below zero: there is none), or the context ends.
func eachEntry(ctx context.Context, l *parkinglog.Log, partition int32, from int64, yield func(parkinglog.Read) bool, end int64) error {
	const patience = 20 // reads that fail in a row
	for failures := 0; end < 0 || from < end; {
		page, err := l.Fetch(ctx, partition, from, 1<<20, 250)
		for _, r := range page.Entries {
			if !yield(r) {
				return nil
			}
		}
		var at *parkinglog.PositionError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &at), errors.Is(err, kerr.OffsetOutOfRange):
			return err
		case err == nil:
			from, failures = page.Next, 0
			continue
		}
		if failures++; failures > patience {
			return err
		}
		select { // a client that does not know the topic yet
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
