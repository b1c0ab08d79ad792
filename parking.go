package orderly

import (
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
)

// Parking says how records are parked, under PolicyPark. What is parked stays parked
// under every policy, until it is released.
type Parking struct {
	// Prefix is what the names of parking topics begin with. Default
	// "orderly-parked": orderly-parked.GROUP.TOPIC, where every byte of both but
	// letters, digits and '-' is '_' and two hexadecimal digits.
	Prefix string
	// NoCreate leaves it to `orderly setup` to make the parking topic, with the
	// source's partitions, replicas and min.insync.replicas. Run then ends with a
	// ParkingTopicError when it is not there.
	NoCreate bool
	// First is how long a key is parked until it is tried again; each failure
	// doubles it, up to Longest. A key whose record failed with Permanent waits for
	// an operator. Defaults 5 minutes and 6 hours. After an unclean end the next owner
	// waits for First, too, before it begins a release on schedule.
	First, Longest time.Duration
	// Caps bound what is parked. At a cap a key blocks instead; nothing is dropped.
	Caps ParkingCaps
}

// ParkingCaps bound what is parked of a partition.
type ParkingCaps struct {
	RecordsPerKey    int   // default 100,000
	KeysPerPartition int   // default 1,000,000
	Bytes            int64 // of all parked records of a partition; default 16 GiB
}

func (p *Parking) defaults() {
	r := parking.DefaultRules()
	orDefault(&p.Prefix, parking.DefaultPrefix)
	orDefault(&p.First, r.First)
	orDefault(&p.Longest, max(r.Max, p.First))
	orDefault(&p.Caps.RecordsPerKey, r.MaxPerKey)
	orDefault(&p.Caps.KeysPerPartition, r.MaxKeys)
	orDefault(&p.Caps.Bytes, r.MaxBytes)
}

func (p *Parking) problems(bad func(string, ...any), group string) {
	if _, err := parking.TopicName(p.Prefix, group, "t"); err != nil {
		bad("Parking.Prefix: %v", err)
	}
	within(bad, true, "Parking.First", p.First, time.Millisecond, 30*24*time.Hour)
	within(bad, true, "Parking.Longest", p.Longest, p.First, 365*24*time.Hour)
	within(bad, true, "Parking.Caps.RecordsPerKey", p.Caps.RecordsPerKey, 1, 1_000_000_000)
	within(bad, true, "Parking.Caps.KeysPerPartition", p.Caps.KeysPerPartition, 1, 1_000_000_000)
	within(bad, true, "Parking.Caps.Bytes", p.Caps.Bytes, 1, 1<<50)
}

func (p *Parking) rules() parking.Rules {
	r := parking.DefaultRules()
	r.First, r.Max = p.First, p.Longest
	r.MaxPerKey, r.MaxKeys, r.MaxBytes = p.Caps.RecordsPerKey, p.Caps.KeysPerPartition, p.Caps.Bytes
	return r
}

// A ParkingTopicError ends Run: nothing can be parked where the policy says so, or a
// parking topic is not what the group's commits say it is.
type ParkingTopicError struct {
	Source string // the topic whose records are parked
	Topic  string // the parking topic
	Err    error
}

// Error names the topics, the cause and the way out.
func (e *ParkingTopicError) Error() string {
	return fmt.Sprintf("orderly: parking topic %s of topic %s: %v", e.Topic, e.Source, e.Err)
}

// Unwrap returns the cause.
func (e *ParkingTopicError) Unwrap() error { return e.Err }

// errNotAllowed says what PolicyPark needs.
func errNotAllowed(topic string, err error) error {
	return fmt.Errorf("OnExhausted is PolicyPark, or Sequence.OnGap is GapPark, and it cannot be used: %w; allow Create, Describe, Read, Write, DescribeConfigs and Delete on topic %s "+
		"(Delete only to trim it; Create not when `orderly setup --parking` has made it), or set OnExhausted to PolicyBlock, PolicyDeadLetter, PolicySkip or PolicyStop", err, topic)
}
