package prove

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kadm"
)

// What a consumer is told beside BrokersEnv and TopicEnv.
const (
	GroupEnv  = "ORDERLY_PROVE_GROUP"
	MemberEnv = "ORDERLY_PROVE_MEMBER"
)

// A crew is several copies of a program, members of one group, of which some come,
// go, and are killed.
//
// All of them write to one pipe. What one writes at once stays together there, and
// stands behind what another has written before: so the order of what they say is
// that of what happened, in whatever processes. With a pipe of each copy's own it
// would depend on which of them is read first.
type crew struct {
	s       *side
	feed    *feed
	journal *journal
	said    *os.File // the copies' side of the pipe

	mu      sync.Mutex
	copies  map[string]*crewCopy
	order   []*crewCopy
	output  *tail // of what is no report
	reports int64
	broken  int64
	strange int64
	example struct{ broken, strange string }
	done    map[place]bool
	failed  string // why there is no going on
	waiting sync.WaitGroup

	processed atomic.Int64
}

// crewCopy is one that runs, or has run.
type crewCopy struct {
	name string
	*command
	over chan error
}

// exited begins a line of our own in the pipe: all that the copy said is before it.
const exited = "\x00exited "

// runCrew lets copies of the program process what is written meanwhile.
func (s *side) runCrew(ctx context.Context, stop <-chan struct{}) (err error) {
	if err := s.world.begins(ctx, s.group, s.topic, s.cfg.Partitions); err != nil {
		return err
	}
	if err := s.through(ctx); err != nil {
		return err
	}
	f, err := newFeed(s)
	if err != nil {
		return err
	}
	defer f.close()
	heard, said, err := os.Pipe()
	if err != nil {
		return err
	}
	c := &crew{
		s: s, feed: f, journal: newJournal(s.topic, s.book.add), said: said,
		copies: map[string]*crewCopy{}, output: &tail{notes: s.cfg.Notes}, done: map[place]bool{},
	}
	read := make(chan struct{})
	go func() { defer close(read); c.listen(heard) }()
	err = c.work(ctx, stop)
	c.dismiss(err != nil)
	f.close() // nobody waits for an acknowledgement any more
	err = errors.Join(err, said.Close())
	<-read
	err = errors.Join(err, heard.Close())
	if err != nil {
		return err
	}
	tail, cancel := context.WithTimeoutCause(ctx, tailLimit, fmt.Errorf("the faults were not over %s after the end", tailLimit))
	defer cancel()
	if err := s.heal(tail); err != nil {
		return err
	}
	return c.judge(tail)
}

// What happens when so much of the records is processed.
var crewStages = []struct {
	fifths int
	why    string
	do     func(c *crew) error
}{
	{1, "a copy joins", func(c *crew) error { return c.join("copy-c") }},
	{2, "a copy is told to end, another joins", func(c *crew) error { c.leave("copy-a"); return c.join("copy-d") }},
	{3, "a copy is killed, another joins", func(c *crew) error { c.kill("copy-b"); return c.join("copy-e") }},
}

// work is done when all records are processed, or no more come.
func (c *crew) work(ctx context.Context, stop <-chan struct{}) error {
	s, total := c.s, c.feed.total()
	for _, name := range []string{"copy-a", "copy-b"} {
		if err := c.join(name); err != nil {
			return err
		}
	}
	const tick = 20 * time.Millisecond
	portion, window := max(total/s.cfg.portions, 1), max(total/8, 2*s.cfg.Keys)
	clock := time.NewTicker(tick)
	defer clock.Stop()
	s.book.move()
	for stage := 0; ; {
		done := int(c.processed.Load())
		for stage < len(crewStages) && done*5 >= total*crewStages[stage].fifths {
			s.book.add(history.Event{Kind: history.Fault, Why: crewStages[stage].why, Partition: -1, Offset: -1})
			if err := crewStages[stage].do(c); err != nil {
				return err
			}
			stage++
		}
		c.mu.Lock()
		failed := c.failed
		c.mu.Unlock()
		switch idle := s.book.idle(); {
		case done == total:
			return nil
		case failed != "":
			s.doubt("%s", failed)
			s.cut = true
			return nil
		case idle > s.cfg.Limit:
			s.doubt("the program reported %d of %d records as processed, and then nothing for %s (--limit)%s", done, c.feed.sent(), idle.Round(time.Second), c.lastWords(nil))
			return nil
		}
		if c.feed.sent()-done < window {
			if err := c.feed.more(ctx, portion); err != nil {
				return err
			}
		}
		select {
		case <-clock.C:
		case <-stop:
			s.cut = true
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// join starts a copy.
func (c *crew) join(name string) error {
	s := c.s
	fill := strings.NewReplacer("{brokers}", s.proxy.Addr(), "{topic}", s.topic, "{group}", s.group, "{member}", name)
	args := make([]string, len(s.who.Command))
	for i, a := range s.who.Command {
		args[i] = fill.Replace(a)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), BrokersEnv+"="+s.proxy.Addr(), TopicEnv+"="+s.topic, GroupEnv+"="+s.group, MemberEnv+"="+name)
	p := &command{cmd: cmd, output: &tail{notes: s.cfg.Notes}}
	cmd.Stdout, cmd.Stderr = c.said, p.output
	cmd.WaitDelay = grace
	ownGroup(cmd)
	m := &crewCopy{name: name, command: p, over: make(chan error, 1)}
	c.mu.Lock()
	c.copies[name] = m
	c.order = append(c.order, m)
	c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return refusef("the program cannot be started: %v", err)
	}
	delist := enlist(p)
	c.waiting.Go(func() {
		defer delist()
		err := cmd.Wait()
		c.mu.Lock()
		if !p.ended && c.failed == "" {
			how := "without an error"
			if err != nil {
				how = "with an error (" + err.Error() + ")"
			}
			c.failed = fmt.Sprintf("a copy of the program ended by itself, %s, and it has to run until it is told to end (SIGTERM)%s", how, c.lastWords(m))
		}
		c.mu.Unlock()
		_, _ = fmt.Fprintf(c.said, "%s%s\n", exited, name) // nobody listens: it is over
		m.over <- err
	})
	return nil
}

// leave tells a copy to end, in order; it gets its time for it beside what goes on.
func (c *crew) leave(name string) {
	m := c.ends(name)
	c.waiting.Go(func() { m.told(m.over) })
}

func (c *crew) kill(name string) { killGroup(c.ends(name).cmd) }

// ends says that we are the ones who end a copy.
func (c *crew) ends(name string) *crewCopy {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.copies[name]
	m.ended = true
	return m
}

// dismiss ends all copies, and waits until they are gone.
func (c *crew) dismiss(atOnce bool) {
	c.mu.Lock()
	var left []*crewCopy
	for _, m := range c.order {
		if !m.ended && m.cmd.Process != nil {
			m.ended = true
			left = append(left, m)
		}
	}
	c.mu.Unlock()
	for _, m := range left {
		if atOnce {
			killGroup(m.cmd)
		} else {
			c.waiting.Go(func() { m.told(m.over) })
		}
	}
	c.waiting.Wait()
}

// judge says what the run shows besides what its events do.
func (c *crew) judge(ctx context.Context) error {
	s := c.s
	// Where its words are missing or make no sense, what it did is not known.
	s.untold = c.reports == 0 || c.broken > 0 || c.strange > 0
	committed, err := s.world.committed(ctx, s.group, s.topic)
	if err != nil {
		return err
	}
	for p, offset := range committed {
		if offset > 0 {
			s.book.add(history.Event{Kind: history.Commit, Member: "the group", Topic: s.topic, Partition: p, Offset: offset})
		}
	}
	// What is neither processed nor passed by a commit may still come: it is not lost.
	for _, at := range c.feed.all() {
		if at.offset >= 0 && !c.done[at] && at.offset >= committed[at.partition] {
			s.cut = true
		}
	}
	var fetched int64
	for _, cl := range s.proxy.Facts().Clients {
		fetched += cl.FetchedRecords
	}
	switch done := int64(len(c.done)); {
	case c.reports == 0 && fetched == 0:
		s.doubt("the program fetched no record of %s: it gets its brokers, its topic, its group and its name as {brokers}, {topic}, {group} and {member} in its arguments, and as %s, %s, %s and %s in its environment",
			s.topic, BrokersEnv, TopicEnv, GroupEnv, MemberEnv)
	case c.reports == 0 && c.broken == 0 && c.strange == 0:
		s.doubt("the program fetched %d records, and reported none: when it has processed one, and before it commits, it has to write a line %q to its standard output, at once (flushed)",
			fetched, "MEMBER done KEY NUMBER")
	case fetched < done:
		s.doubt("the program reported %d records, and fetched %d through the proxy: the others came past it, where no fault strikes; it has to connect to {brokers} (%s) and to nothing else", done, fetched, BrokersEnv)
	}
	if c.broken > 0 {
		s.doubt("%d lines begin as reports and are none, as %q: a report is %q, or as JSON {\"member\":...,\"did\":...,\"key\":...,\"number\":...}; each line has to be written at once (one write, flushed)",
			c.broken, c.example.broken, "MEMBER start|done|failed|skipped KEY NUMBER")
	}
	if c.strange > 0 {
		s.doubt("%d lines are about records that are not in %s, as %q", c.strange, s.topic, c.example.strange)
	}
	return nil
}

// begins has a group begin with the first record, whatever its members do without a
// committed offset.
func (w *world) begins(ctx context.Context, group, topic string, partitions int) error {
	limit, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	all := make(kadm.Offsets)
	for p := range partitions {
		all.AddOffset(topic, int32(p), 0, -1)
	}
	if err := w.adm.CommitAllOffsets(limit, group, all); err != nil {
		return &ClusterError{"the offsets of group " + group, err}
	}
	return nil
}

// committed are a group's offsets.
func (w *world) committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	limit, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	all, err := w.adm.FetchOffsets(limit, group)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return nil, &ClusterError{"the offsets of group " + group, err}
	}
	offsets := make(map[int32]int64)
	for p, o := range all[topic] {
		offsets[p] = o.At
	}
	return offsets, nil
}
