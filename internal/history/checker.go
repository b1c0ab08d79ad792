package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Scope says what a sequence is.
type Scope int

const (
	// ScopeKey: the records of one key of one partition. Null keys of a
	// partition are one sequence.
	ScopeKey Scope = iota
	// ScopePartition: all records of a partition.
	ScopePartition
)

// Options of a check. The zero value is the strictest for a history that may
// still go on.
type Options struct {
	Scope              Scope
	Complete           bool // the history is over: a record neither done nor parked is lost
	NoTokens           bool // the members have no fencing tokens; a start without own is an ownership
	AllowCommitRegress bool // an operator moved offsets back: count it, and take what follows as redelivery
	AllowVacuous       bool // report Vacuous as a flag only
	BlameFrozen        bool // a member that was frozen is not excused for what it does beside the next owner
	Compacted          bool // the topic is compacted: only the newest record of a key must be in the log
	MaxViolations      int  // violations kept per class; 0 is 100. All are counted
}

// keepBehind is how many records behind the committed offset stay known, so
// that a wrong repeat of a recent record is named exactly.
const keepBehind = 4096

// Checker checks a history event by event. It is not safe for concurrent use.
type Checker struct {
	opt     Options
	behind  int
	last    int64 // number of the last event
	order   int64 // of ownerships, across partitions
	members map[string]*member
	parts   map[place]*partition
	running map[call]*handler
	rep     Report
	blamed  int

	// Of an experiment: see writes.go and app.go.
	topics      map[string]*logState
	keys        int
	checkedKeys int
}

// place is a partition's name.
type place struct {
	topic string
	id    int32
}

// NewChecker gives a Checker that has seen nothing.
func NewChecker(opt Options) *Checker {
	if opt.MaxViolations <= 0 {
		opt.MaxViolations = 100
	}
	return &Checker{
		opt:     opt,
		behind:  keepBehind,
		members: map[string]*member{},
		parts:   map[place]*partition{},
		running: map[call]*handler{},
		topics:  map[string]*logState{},
		rep:     Report{Counts: map[Class]int{}, Violations: []Violation{}},
	}
}

// Check checks a whole history.
func Check(events []Event, opt Options) Report {
	c := NewChecker(opt)
	for _, e := range events {
		c.Add(e)
	}
	return c.Finish()
}

// Add takes the next event. An event without a number (0) gets the next one.
func (c *Checker) Add(e Event) {
	c.rep.Events++
	if e.N == 0 {
		e.N = c.last + 1
	}
	if e.N <= c.last {
		c.blame(Malformed, &e, nil, "event %d stands behind event %d; numbers must rise strictly", e.N, c.last)
	}
	c.last = max(c.last, e.N)
	if f := e.fault(); f != nil {
		c.blame(Malformed, &e, nil, "event %d breaks rule %s: %s", e.N, f.rule, f.text)
		return
	}
	switch e.Kind {
	case Log:
		c.log(&e)
	case Own:
		c.own(&e)
	case Release, Lost:
		c.giveUp(&e)
	case Kill:
		c.kill(&e)
	case Freeze:
		c.freeze(&e)
	case Thaw:
		c.member(e.Member).frozen = false
	case Start:
		c.start(&e)
	case End:
		c.end(&e)
	case Park, Done:
		c.settle(&e)
	case Commit:
		c.commit(&e)
	case Effect:
		c.effect(&e)
	default:
		c.experiment(&e)
	}
}

// experiment takes the events of an experiment.
func (c *Checker) experiment(e *Event) {
	switch e.Kind {
	case Send:
		c.send(e)
	case Ack:
		c.ack(e)
	case Fail:
		c.fail(e)
	case Unclear:
		c.rep.Unclear++
	case LogRead:
		c.logRead(e)
	case Assign:
		c.assign(e)
	case Revoke:
		c.revoke(e)
	case Poll:
		c.poll(e)
	case Did:
		c.finished(e)
	case Fault:
		if c.rep.Faults == nil {
			c.rep.Faults = map[string]int{}
		}
		c.rep.Faults[e.Why]++
	}
}

// Violations is the number of violations found up to now.
func (c *Checker) Violations() int { return c.blamed }

// Finish gives the report as of now. It changes nothing: more events may be
// added, and Finish may be called again.
func (c *Checker) Finish() Report {
	// The rules of the end are judged on a copy, so that they are not counted
	// again by the next Finish.
	end := *c
	end.rep.Counts = maps.Clone(c.rep.Counts)
	end.rep.Violations = slices.Clone(c.rep.Violations)
	end.rep.Partitions = c.partitions()
	end.rep.Keys = max(c.rep.Keys, c.keys)
	end.rep.CheckedSequences += c.checkedKeys
	for _, h := range c.running {
		for ; h != nil; h = h.older {
			if !h.dead() {
				end.rep.Running++
			}
		}
	}
	places := slices.SortedFunc(maps.Keys(c.parts), func(a, b place) int {
		if a.topic != b.topic {
			return cmp.Compare(a.topic, b.topic)
		}
		return cmp.Compare(a.id, b.id)
	})
	for _, at := range places {
		end.unsettled(c.parts[at])
	}
	if c.opt.Complete {
		end.absent()
	}
	end.rep.Vacuous = end.rep.CheckedSequences == 0
	if end.rep.Vacuous && !c.opt.AllowVacuous {
		end.add(Violation{Class: Vacuous, Text: fmt.Sprintf(
			"nothing was checked: of %d records none has a handled neighbour in its sequence; handle two records of one key, or allow it",
			end.rep.Records)})
	}
	return end.rep
}

// unsettled counts the parked records of a partition and names the lost ones.
func (c *Checker) unsettled(p *partition) {
	p.each(func(r *record) {
		switch {
		case r.done:
		case r.parked:
			c.rep.Parked++
		case c.opt.Complete:
			e := Event{N: r.logged, Topic: p.at.topic, Partition: p.at.id, Offset: r.offset, Key: r.key}
			c.blame(Loss, &e, nil, "%s was never done: the history is complete, and no handler ended it well", r.name(p))
		}
	})
}

// blame reports a violation by e, which earlier events lead to.
func (c *Checker) blame(class Class, e *Event, earlier []int64, format string, args ...any) {
	events := append(slices.Clone(earlier), e.N)
	slices.Sort(events)
	c.add(Violation{
		Class: class, Events: slices.Compact(events),
		Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Key: e.Key,
		Text: fmt.Sprintf(format, args...),
	})
}

// partitions is how many the history names.
func (c *Checker) partitions() int {
	n := len(c.parts)
	for _, t := range c.topics {
		for _, p := range t.parts {
			if c.parts[p.at] == nil {
				n++
			}
		}
	}
	return n
}

// found reports a violation by e of an experiment, with the records that it is
// about and the earlier events that lead to it.
func (c *Checker) found(class Class, e *Event, earlier []int64, records []Record, format string, args ...any) {
	c.foundAs(Violation{}, class, e, earlier, records, format, args...)
}

func (c *Checker) foundAs(v Violation, class Class, e *Event, earlier []int64, records []Record, format string, args ...any) {
	v.Class, v.Records = class, records
	v.Topic, v.Partition, v.Offset, v.Key = e.Topic, e.Partition, e.Offset, e.Key
	v.Events = nonZero(append(slices.Clone(earlier), e.N)...)
	slices.Sort(v.Events)
	v.Events = slices.Compact(v.Events)
	v.Text = fmt.Sprintf(format, args...)
	c.add(v)
}

// foundMany reports n violations at once.
func (c *Checker) foundMany(n int, class Class, e *Event, records []Record, format string, args ...any) {
	c.addMany(Violation{
		Class: class, Records: records, Events: nonZero(e.N),
		Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Key: e.Key, Text: fmt.Sprintf(format, args...),
	}, n)
}

func (c *Checker) add(v Violation) { c.addMany(v, 1) }

// addMany counts n violations, of which v is told.
func (c *Checker) addMany(v Violation, n int) {
	if v.Rule == "" {
		v.Rule = About(v.Class).Rule
	}
	c.blamed += n
	before := c.rep.Counts[v.Class]
	c.rep.Counts[v.Class] += n
	if before < c.opt.MaxViolations {
		c.rep.Violations = append(c.rep.Violations, v)
	}
}
