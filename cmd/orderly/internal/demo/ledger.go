package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// topic is the demo's only topic.
const topic = "changes"

// A ledger is the sink of one column and knows all that happened in it: its
// processes do nothing without telling it first. It applies the changes to the
// table of files, and writes down the history that the checker judges.
type ledger struct {
	plan plan

	mu       sync.Mutex
	rec      *history.Recorder
	files    *Files
	parts    []*logPart
	members  map[string]*memberView
	waiters  []*waiter
	failure  error
	progress time.Time // of the last change that was applied

	victim string // the process to be killed
	killAt int    // once so many records are done
	struck bool   // one of its handlers has begun since, and waits for its end

	outage outage
	trying int // records that the plan made to fail and that are not done

	total   int // records in the log
	done    int // of these, handed to the sink
	repeats int // changes that came again, and were ignored
	allowed int // repeats that crashes excuse, at most
	retries int // attempts that failed
	refused int // changes that the table refused
}

// logPart is one partition of the log.
type logPart struct {
	entries []entry
	written int   // of the entries, those in the log
	done    int   // records that came to the sink
	offset  int64 // last acknowledged commit
	ahead   int64 // records above it that the commit says are done
}

// entry is one record.
type entry struct {
	change Change
	done   bool
	failed int
	trying bool // it was made to fail
}

// memberView is what the ledger knows of one process.
type memberView struct {
	tokens  map[int32]int64 // of the partitions that it owns
	running map[int32]int   // handlers
	ever    bool            // it owned a partition once
}

func newLedger(p plan, rec *history.Recorder, partitions int) *ledger {
	lg := &ledger{plan: p, rec: rec, files: NewFiles(), members: map[string]*memberView{}, progress: time.Now(),
		outage: outage{states: map[string]string{}, spent: map[string]int{}, probes: map[string]int{}}}
	for range partitions {
		lg.parts = append(lg.parts, &logPart{})
	}
	return lg
}

// expect says which record will be at the end of a partition's log.
func (lg *ledger) expect(partition int32, c Change) (offset int64) {
	p := lg.parts[partition]
	p.entries = append(p.entries, entry{change: c})
	return int64(len(p.entries) - 1)
}

// logged says that the next record of the partition is about to be written: it
// must be known before anyone can be handed it.
func (lg *ledger) logged(partition int32) {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	p := lg.parts[partition]
	c := p.entries[p.written].change
	lg.add("", history.Event{Kind: history.Log, Offset: int64(p.written), Key: history.StringKey(c.Path), Number: int64(c.Seq)}, partition)
	p.written++
	lg.total++
}

// add writes an event down. Called with mu held, as all below.
func (lg *ledger) add(member string, e history.Event, partition int32) {
	e.Member, e.Topic, e.Partition = member, topic, partition
	lg.rec.Add(e)
}

// errNoAnswer is handle's word for a handler that is to be found at work when its
// process is killed: it has begun, and must not end before.
var errNoAnswer = errors.New("no answer")

// handle takes what a process says, and gives the answer.
func (lg *ledger) handle(member string, m message) (reply, error) {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	defer lg.notify()
	r := reply{ID: m.ID}
	if m.Partition < 0 || int(m.Partition) >= len(lg.parts) {
		return r, fmt.Errorf("%s speaks of partition %d of %d", member, m.Partition, len(lg.parts))
	}
	p, v := lg.parts[m.Partition], lg.view(member)
	if m.Kind == started || m.Kind == ended {
		if m.Offset < 0 || m.Offset >= int64(p.written) {
			return r, fmt.Errorf("%s was handed partition %d offset %d, which was not written", member, m.Partition, m.Offset)
		}
	}
	switch m.Kind {
	case owned:
		lg.own(member, v, m)
	case released:
		lg.add(member, history.Event{Kind: history.Release, Token: m.Token}, m.Partition)
		delete(v.tokens, m.Partition)
		if !m.OK {
			lg.allowed += v.running[m.Partition] + p.uncommitted()
		}
	case lost:
		lg.add(member, history.Event{Kind: history.Lost, Token: m.Token}, m.Partition)
		delete(v.tokens, m.Partition)
		lg.allowed += v.running[m.Partition] + p.uncommitted()
	case committed:
		lg.add(member, history.Event{Kind: history.Commit, Offset: m.Offset, Token: m.Token}, m.Partition)
		p.offset, p.ahead = m.Offset, m.Ahead
	case started:
		lg.own(member, v, m) // a handler may begin before the event of its token has come
		lg.add(member, history.Event{Kind: history.Start, Offset: m.Offset, Key: history.StringKey(m.Key), Token: m.Token, Attempt: m.Attempt}, m.Partition)
		v.running[m.Partition]++
		r.Work = lg.plan.work(m.Partition, m.Offset, m.Attempt)
		failed := p.entries[m.Offset].failed
		r.Fail = failed < lg.plan.failures && lg.plan.fails(m.Partition, m.Offset) && (failed > 0 || !lg.outage.calm)
		r.Down = lg.outage.down
		lg.outage.started(member)
		if r.Fail && failed == 0 && !p.entries[m.Offset].trying {
			p.entries[m.Offset].trying = true
			lg.trying++
		}
		if member == lg.victim && lg.done >= lg.killAt && !lg.struck {
			lg.struck = true
			return r, errNoAnswer
		}
	case ended:
		if err := lg.end(member, p, m); err != nil {
			return r, err
		}
		v.running[m.Partition]--
	case broke, probed:
		lg.outage.take(member, m)
		r.Down = lg.outage.down
	default:
		return r, fmt.Errorf("%s says %q, which is not known", member, m.Kind)
	}
	return r, nil
}

func (lg *ledger) view(member string) *memberView {
	v := lg.members[member]
	if v == nil {
		v = &memberView{tokens: map[int32]int64{}, running: map[int32]int{}}
		lg.members[member] = v
	}
	return v
}

// own takes a token, once.
func (lg *ledger) own(member string, v *memberView, m message) {
	if known, ok := v.tokens[m.Partition]; ok && m.Token <= known {
		return
	}
	v.tokens[m.Partition], v.ever = m.Token, true
	lg.add(member, history.Event{Kind: history.Own, Token: m.Token}, m.Partition)
}

// end takes the end of a handler and, when it went well, has the sink apply its
// change.
func (lg *ledger) end(member string, p *logPart, m message) error {
	e := &p.entries[m.Offset]
	if m.OK {
		var c Change
		if err := json.Unmarshal([]byte(m.Value), &c); err != nil {
			return fmt.Errorf("%s handled partition %d offset %d, but its value is not a change: %w", member, m.Partition, m.Offset, err)
		}
		if c != e.change || m.Key != c.Path {
			return fmt.Errorf("%s handled partition %d offset %d as change %d of %s, but there stands change %d of %s",
				member, m.Partition, m.Offset, c.Seq, m.Key, e.change.Seq, e.change.Path)
		}
		lg.apply(member, p, e, m)
	} else if m.Down {
		lg.outage.seen.Failed++
	} else if !m.Cancelled {
		e.failed++
		lg.retries++
	}
	lg.add(member, history.Event{Kind: history.End, Offset: m.Offset, Token: m.Token, Attempt: m.Attempt, OK: m.OK, Cancelled: m.Cancelled}, m.Partition)
	return nil
}

// apply is the sink. It knows which changes it has seen, as any sink behind
// at-least-once delivery must, and ignores those that come again. That is all it
// knows: it applies a change that comes late to what it then finds.
func (lg *ledger) apply(member string, p *logPart, e *entry, m message) {
	if e.done {
		lg.repeats++
		return
	}
	e.done = true
	if e.trying {
		lg.trying--
	}
	p.done++
	lg.done++
	lg.progress = time.Now()
	if err := lg.files.Apply(e.change); err != nil {
		lg.refused++
		return
	}
	lg.add(member, history.Event{Kind: history.Effect, Offset: m.Offset, Key: history.StringKey(m.Key), Token: m.Token}, m.Partition)
}

// uncommitted is how many records came to the sink that no commit we know of
// tells of: so many may come again.
func (p *logPart) uncommitted() int { return max(p.done-int(p.offset+p.ahead), 0) }

// killed says that a process is dead, and all that it said before was taken in.
// It gives how many of its handlers ran.
func (lg *ledger) killed(member string) (running int) {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	defer lg.notify()
	v := lg.view(member)
	lg.rec.Add(history.Event{Kind: history.Kill, Member: member})
	for partition := range v.tokens {
		lg.allowed += lg.parts[partition].uncommitted()
	}
	for _, n := range v.running {
		running += n
	}
	clear(v.tokens)
	clear(v.running)
	return running
}
