package prove

import (
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Prefix begins the names of all topics and groups that an experiment makes.
const Prefix = "orderly-prove-"

// DefaultFrom is the number of its key from which on a record can be struck; the
// package comment says why.
const DefaultFrom = 40

// A Workload is what is tried.
type Workload string

// The workloads.
const (
	// Producer writes records; what the log holds is judged.
	Producer Workload = "producer"
	// Consumer processes records that are there, through failures, slow handlers,
	// members that come and go; how they were processed is judged.
	Consumer Workload = "consumer"
	// EndToEnd writes and processes at the same time.
	EndToEnd Workload = "end-to-end"
	// Growth writes while partitions are added.
	Growth Workload = "growth"
)

// Workloads are all of them.
var Workloads = []Workload{Producer, Consumer, EndToEnd, Growth}

func (w Workload) writes() bool   { return w != Consumer }
func (w Workload) consumes() bool { return w == Consumer || w == EndToEnd }

// A Config is an experiment.
type Config struct {
	Version  string // of orderly
	Workload Workload
	Subject  Subject
	Control  Subject

	// Brokers of the cluster; none: three nodes in this process, in memory.
	Brokers []string
	// TLS is used towards the brokers; nil is none.
	TLS *tls.Config
	// Opts are for all clients: users and passwords, no TLS (the proxy's own side
	// has none).
	Opts []kgo.Opt

	Keys       int
	Records    int // of each key
	Partitions int
	Faults     []proxy.Fault
	Seed       uint64
	From       int64 // number from which on records can be struck
	MinFaults  int
	Accept     []history.Class
	// Seq is where the number is in the records of a program: see proxy.NumberAt.
	Seq string
	// Limit is how long a program may run, and how long nothing may happen
	// before a side is taken for stuck.
	Limit time.Duration
	Keep  bool
	// Hits takes the schedule of the subject's side; may be nil.
	Hits io.Writer
	// Notes takes the output of a program, for people; may be nil.
	Notes io.Writer
	// slow is how long every second record takes to be processed, instead of one of
	// 16; 0 is the usual.
	slow time.Duration
	// outage is how long what the handlers need does not answer, from the half on. No
	// record fails otherwise then.
	outage time.Duration
	// strike is what is done to a member, which then is a process, as all of them;
	// effects are applied by a store of the experiment's, and session is that of the
	// members.
	strike  strike
	effects bool
	session time.Duration
	// Command is the program, with its first arguments, that starts a member: this
	// one. [MemberCommand] and an argument are added.
	Command []string
	// Nodes are brokers that a scenario may kill; nil: none.
	Nodes Nodes
	// Progress is told how far it is, now and then; may be nil.
	Progress func(Progress)
	// portions is in how many the records are written while copies of a program
	// process them; 0 is the usual: it takes some eight seconds.
	portions int
}

// Progress is how far an experiment is.
type Progress struct {
	Written, Processed, Faults int64 // of the subject
}

// A ConfigError says what makes no sense, and what would.
type ConfigError struct{ Problem string }

func (e *ConfigError) Error() string { return e.Problem }

func refusef(format string, args ...any) error {
	return &ConfigError{fmt.Sprintf(format, args...)}
}

// limits of what can be asked: the counts of an experiment are kept in memory.
const (
	maxKeys    = 100_000
	maxRecords = 5_000_000
)

// settle fills in the defaults and refuses what makes no sense.
func (c *Config) settle() error {
	if !slices.Contains(Workloads, c.Workload) {
		return refusef("there is no workload %q; there are %v", c.Workload, Workloads)
	}
	orDefault(&c.Keys, 20)
	orDefault(&c.Records, 200)
	orDefault(&c.Partitions, 4)
	orDefault(&c.From, DefaultFrom)
	orDefault(&c.Seq, ".n")
	orDefault(&c.Limit, time.Minute)
	orDefault(&c.MinFaults, 5)
	orDefault(&c.portions, 400)
	switch {
	case c.Keys < 1 || c.Keys > maxKeys:
		return refusef("%d keys: from 1 to %d", c.Keys, maxKeys)
	case c.Records < 2 || c.Keys*c.Records > maxRecords:
		return refusef("%d records of each of %d keys: at least 2, and %d in all at the most", c.Records, c.Keys, maxRecords)
	case c.Partitions < 1 || c.Partitions > 1000:
		return refusef("%d partitions: from 1 to 1000", c.Partitions)
	case c.From < 0 || c.MinFaults < 0 || c.Limit < time.Second:
		return refusef("the first number to strike and the least number of faults cannot be negative, and the limit is 1s at least")
	case c.Subject.Kind != Program && c.Workload.writes() && int64(c.Records) <= c.From:
		return refusef("%d records of each key, and faults strike from number %d on: none would be struck; write more, or strike earlier", c.Records, c.From)
	case c.Workload == Growth && c.Subject.Kind == Program:
		return refusef("growth needs a producer that can be told when partitions are added: orderly or franz-go")
	}
	if c.Faults == nil {
		c.Faults = DefaultFaults(c.Workload)
	}
	for _, s := range []*Subject{&c.Subject, &c.Control} {
		if err := s.settle(c.Workload); err != nil {
			return err
		}
	}
	return nil
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// DefaultFaults are the faults of a workload when none are named. Those of a
// producer are such that a weak one surely breaks: a refused batch is passed by the
// ones behind it, and a batch whose answer is lost is sent twice.
func DefaultFaults(w Workload) []proxy.Fault {
	var faults []proxy.Fault
	if w.writes() {
		for _, k := range []proxy.Kind{proxy.LostAck, proxy.Cut, proxy.Refuse, proxy.ErrorAfter, proxy.Replay} {
			faults = append(faults, proxy.Fault{Kind: k, Share: 1. / 300})
		}
	}
	if w.consumes() {
		faults = append(faults,
			proxy.Fault{Kind: proxy.FetchError, Share: 1. / 300},
			proxy.Fault{Kind: proxy.CoordinatorError, API: "OffsetCommit", Skip: 1, Times: 1},
			proxy.Fault{Kind: proxy.LostAck, API: "OffsetCommit", Skip: 3, Times: 1},
			proxy.Fault{Kind: proxy.Cut, API: "Heartbeat", Skip: 2, Times: 1},
		)
	}
	return faults
}
