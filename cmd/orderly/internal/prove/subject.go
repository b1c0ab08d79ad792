package prove

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Kind is whose code a side runs.
type Kind string

// The kinds.
const (
	Orderly Kind = "orderly"
	FranzGo Kind = "franz-go"
	Program Kind = "program" // a command, in any language
	// Mirror writes what the log of the other side holds, with the settings of
	// FranzGo: the control of a program, whose records nobody knows beforehand.
	mirror Kind = "mirror"
)

// A Subject is what is tried, or its control.
type Subject struct {
	Kind   Kind
	Client Client // of FranzGo
	// Parks lets Orderly park the keys of records that fail, in place of blocking
	// them; in the scenarios only.
	Parks bool
	// Fences lets the store of the effects check the owner\'s token.
	Fences  bool
	Command []string // of Program
}

// Client are the settings of a franz-go client that matter for order.
type Client struct {
	Acks       string // all, 1 or 0
	Idempotent bool
	InFlight   int
	NullKeys   bool // records have no key

	// Workers is how many records a consumer processes at a time, without looking
	// at keys; 1 is one after the other.
	Workers int
	// AutoCommit commits what was polled, by time; else what was processed.
	AutoCommit bool
	// Eager gives up all partitions at each rebalance (the range assignor), and not
	// those only that go to another member.
	Eager bool

	// Aside is what becomes of a record that has failed Attempts times.
	Aside    Aside
	Attempts int
	// Static gives each member an instance id of its own.
	Static bool
	// Pauses waits a fixed time after some failures in a row, and goes on.
	Pauses bool
}

// Weak are the settings of the control: what many clients have by default.
var Weak = Client{Acks: "all", InFlight: 5, Workers: 64, AutoCommit: true}

// Safe are franz-go's own.
var Safe = Client{Acks: "all", Idempotent: true, InFlight: 5, Workers: 1}

func (s *Subject) settle(w Workload) error {
	switch s.Kind {
	case Orderly, mirror:
	case FranzGo:
		c := &s.Client
		orDefault(&c.Acks, "all")
		orDefault(&c.InFlight, 5)
		orDefault(&c.Workers, 1)
		orDefault(&c.Attempts, 1)
		if c.InFlight < 1 || c.InFlight > 1000 || c.Workers < 1 || c.Workers > 10_000 {
			return refusef("%d in flight, %d workers: from 1 to 1000, and from 1 to 10,000", c.InFlight, c.Workers)
		}
		opts, err := c.producer()
		if err != nil {
			return err
		}
		cl, err := kgo.NewClient(opts...) // connects to nothing
		if err != nil {
			return refusef("franz-go refuses %s: %v", c.words(Producer), err)
		}
		cl.Close()
	case Program:
		if len(s.Command) == 0 || s.Command[0] == "" {
			return refusef("a program has to be named: -- CMD ARGS")
		}
		if w != Producer && w != Consumer {
			return refusef("a program can be the subject of the workloads producer and consumer only: run it as one after the other")
		}
	default:
		return refusef("there is no subject %q; there are %s, %s, and a program behind --", s.Kind, Orderly, FranzGo)
	}
	return nil
}

// Name says who it is.
func (s *Subject) name(w Workload, version string) string {
	switch s.Kind {
	case Orderly:
		name := "orderly " + version
		if s.Parks {
			name += ", parks what fails"
		}
		if s.Fences {
			name += ", its token is checked where effects are written"
		}
		return name
	case Program:
		return strings.Join(s.Command, " ")
	}
	return "franz-go, " + s.Client.words(w)
}

func (c *Client) words(w Workload) string {
	var parts []string
	if w.writes() {
		idem := "not idempotent"
		if c.Idempotent {
			idem = "idempotent"
		}
		parts = append(parts, idem, fmt.Sprintf("%d in flight", c.InFlight), "acks="+c.Acks)
		if c.NullKeys {
			parts = append(parts, "null keys")
		}
	}
	if w.consumes() {
		how := "one record at a time"
		if c.Workers > 1 {
			how = fmt.Sprintf("%d workers", c.Workers)
		}
		commit := "commit after processing"
		if c.AutoCommit {
			commit = "auto-commit"
		}
		parts = append(parts, how, commit)
		if c.Eager {
			parts = append(parts, "eager rebalance")
		}
		if c.Static {
			parts = append(parts, "static membership")
		}
		if c.Pauses {
			parts = append(parts, fmt.Sprintf("a pause of %s after %d failures in a row", fixedPause, failuresInRow))
		}
		switch {
		case c.Aside != "":
			parts = append(parts, string(c.Aside)+" after "+plural.Of(c.Attempts, "attempt"))
		case c.Pauses:
			parts = append(parts, "retries in place")
		}
	}
	return strings.Join(parts, ", ")
}

// batchBytes keeps batches small: many are under way at a time, and faults have
// something to strike.
const batchBytes = 1 << 10

// hasty are options that make a client's retries quick; they change no order. By
// default it waits 5 s for newer metadata.
func hasty() []kgo.Opt {
	return []kgo.Opt{
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
	}
}

func (c *Client) producer() ([]kgo.Opt, error) {
	opts := append(hasty(),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(batchBytes),
		kgo.MaxBufferedRecords(2000),
	)
	// It refuses to be told what it does anyway, when it is idempotent: 5.
	if !c.Idempotent || c.InFlight != 5 {
		opts = append(opts, kgo.MaxProduceRequestsInflightPerBroker(c.InFlight))
	}
	acks, ok := map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}[c.Acks]
	if !ok {
		return nil, refusef("acks %q: all, 1 or 0", c.Acks)
	}
	opts = append(opts, kgo.RequiredAcks(acks))
	if !c.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	return opts, nil
}
