package orderly

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/internal/deadletter"
)

// A Policy says what becomes of a record that used up its attempts, or whose error
// is Permanent.
type Policy string

const (
	// PolicyBlock: it is tried for ever at the maximum backoff; its key waits.
	// The default with ScopePartition.
	PolicyBlock Policy = "block"
	// PolicyPark: it is written to the parking topic, and so are the later records
	// of its key, in order and without a call of the handler, until the key is
	// released: on a schedule, or by an operator. All other keys go on, the
	// committed offset passes, and no record of the key overtakes another. In
	// key scope records without an ordering key block instead. It needs a topic,
	// which is made: see Parking. With Effects their store keeps it instead. The default
	// with ScopeKey.
	PolicyPark Policy = "park"
	// PolicyStop: Run ends with a StopError.
	PolicyStop Policy = "stop"
	// PolicyDeadLetter: it is copied to the dead-letter topic, and is done when
	// that write is acknowledged; its key goes on. That is a hole in the order of
	// the key: each is logged, and counted by Events.DeadLettered.
	PolicyDeadLetter Policy = "dead-letter"
	// PolicySkip: it is done unhandled; its key goes on. That is a hole in the
	// order of the key: each is logged, and counted by Events.Skipped.
	PolicySkip Policy = "skip"
)

var policies = []Policy{PolicyPark, PolicyBlock, PolicyStop, PolicyDeadLetter, PolicySkip}

// passes says that later records of a key pass one that was given up.
func (p Policy) passes() bool { return p == PolicyDeadLetter || p == PolicySkip }

// writes says that the policy writes the record elsewhere.
func (p Policy) writes() bool { return p == PolicyDeadLetter }

// HeaderProfile names the headers of a dead letter; docs/dead-letters.md has them.
type HeaderProfile string

const (
	// HeadersOrderly: names that begin with orderly-dlt-, values in text.
	HeadersOrderly HeaderProfile = "orderly"
	// HeadersSpring: the names and binary values of Spring for Apache Kafka, for
	// tools that know those.
	HeadersSpring HeaderProfile = "spring"
)

// DeadLetter says where and how dead letters are written, under
// PolicyDeadLetter.
type DeadLetter struct {
	// Topic takes the dead letters of all Topics. Default: for each topic one of
	// its own, named as the topic with "-dlt" behind it.
	Topic string
	// Profile is how headers are named. Default HeadersOrderly.
	Profile HeaderProfile
	// Create makes a dead-letter topic that is not there, with the source's
	// partitions, replication factor and min.insync.replicas. Default: Run ends
	// with a DeadLetterTopicError; `orderly setup` makes it.
	Create bool
	// AnyPartition allows a dead-letter topic with fewer partitions than its
	// source: a key's dead letters then are in the partition of its key's hash.
	// Default: refused; a dead letter has the partition number of its record.
	AnyPartition bool
	// MaxHeaderBytes bounds the headers that a dead letter gets: a panic's stack
	// is cut first, then the error's text. Default 16 KiB, from 2 KiB to 1 MiB.
	MaxHeaderBytes int
}

const dltSuffix = "-dlt"

func (d *DeadLetter) topicOf(source string) string {
	if d.Topic != "" {
		return d.Topic
	}
	return source + dltSuffix
}

func (d *DeadLetter) defaults() {
	orDefault(&d.Profile, HeadersOrderly)
	orDefault(&d.MaxHeaderBytes, 16<<10)
}

// policyProblems are those of what becomes of failed records.
func (c *ConsumerConfig) policyProblems(bad func(string, ...any)) {
	known := slices.Contains(policies, c.OnExhausted)
	if !known {
		var names []string
		for _, p := range policies {
			names = append(names, fmt.Sprintf("%q", p))
		}
		bad("OnExhausted %q is not a policy of this release: it knows %s", c.OnExhausted, strings.Join(names, ", "))
	}
	parks := c.OnExhausted == PolicyPark
	if known && !c.OnExhausted.writes() {
		if c.OnWriteFailure != "" && !parks {
			bad("OnWriteFailure %q is set with OnExhausted %q, which writes nothing: leave it out, or set OnExhausted: PolicyDeadLetter or PolicyPark", c.OnWriteFailure, c.OnExhausted)
		}
		if c.DeadLetter != (DeadLetter{}) {
			bad("DeadLetter has settings with OnExhausted %q, under which there are no dead letters: leave them out, or set OnExhausted: PolicyDeadLetter", c.OnExhausted)
		}
	}
	c.Parking.problems(bad, c.Group)
	if !c.OnExhausted.writes() && !parks {
		return
	}
	if c.OnWriteFailure != PolicyBlock && c.OnWriteFailure != PolicyStop {
		bad("OnWriteFailure is %q: it must be %q or %q; a record that was written nowhere is never passed", c.OnWriteFailure, PolicyBlock, PolicyStop)
	}
	if parks {
		return
	}
	d := &c.DeadLetter
	if d.Profile != HeadersOrderly && d.Profile != HeadersSpring {
		bad("DeadLetter.Profile %q is neither %q nor %q", d.Profile, HeadersOrderly, HeadersSpring)
	}
	within(bad, true, "DeadLetter.MaxHeaderBytes", d.MaxHeaderBytes, deadletter.MinLimit, 1<<20)
	for _, t := range c.Topics {
		if dlt := d.topicOf(t); slices.Contains(c.Topics, dlt) {
			bad("the dead-letter topic %q of %q is one of Topics: its records would fail there again; set another DeadLetter.Topic, or consume it in a group of its own", dlt, t)
			break
		}
	}
}
