package prove

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// A strike is what a scenario does to the process of a member.
type strike string

const (
	// killed: it is ended with SIGKILL once it has committed past a record that it
	// has not done, or when half of all is processed.
	killed strike = "kill -9 of a member"
	// frozen: it is stopped with SIGSTOP while a handler of it runs, until another
	// member has done that record, and then goes on.
	frozen strike = "SIGSTOP of a member, and SIGCONT when another one has done the record that it was at"
)

// processes are the members that are processes, and what is done to one of them.
type processes struct {
	mu        sync.Mutex
	open      map[string]map[place]bool // records that a member has begun and not ended
	committed map[string]bool           // members whose commits were acknowledged
	offsets   map[int32]int64           // that were committed last
	victim    string                    // that was struck; "" as long as none is
	at        place                     // where it was frozen
	passed    chan struct{}             // closed when another member has done that record
	back      chan struct{}             // closed when the victim has done something since it goes on
	over      bool                      // the victim may go on
	owner     map[int32]string          // the newest one of each partition
	tokens    map[int32]int64           // the highest that the store has seen
	refused   int64                     // effects of former owners
	again     int64                     // such that were applied
}

func newProcesses() *processes {
	return &processes{
		open: map[string]map[place]bool{}, committed: map[string]bool{}, offsets: map[int32]int64{}, passed: make(chan struct{}), back: make(chan struct{}),
		owner: map[int32]string{}, tokens: map[int32]int64{},
	}
}

// member is the process of one.
type member struct {
	name string
	cmd  *exec.Cmd
	in   io.Writer
	said *tail
}

// runProcess runs a member in a process of its own.
func (a *app) runProcess(ctx context.Context, name string) error {
	s := a.s
	spec := memberSpec{
		Name: name, Broker: s.addr(), Topic: s.topic, Group: s.group, Role: s.role, Who: *s.who,
		Slow: s.cfg.slow, Session: s.session(), Effects: s.cfg.effects,
	}
	args, err := spec.args()
	if err != nil {
		return err
	}
	start := s.cfg.Command
	m := &member{name: name, cmd: exec.Command(start[0], append(start[1:len(start):len(start)], args...)...), said: &tail{}}
	m.cmd.Stderr = m.said
	ownGroup(m.cmd)
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("it cannot be started: %w", err)
	}
	defer enlist(&command{cmd: m.cmd})()
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		_, _ = io.WriteString(m.in, leaveNow+"\n")
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case <-late.C:
			_ = m.cmd.Process.Kill()
		case <-ended:
		}
	}()
	a.listen(ctx, m, out)
	err = m.cmd.Wait()
	close(ended)
	a.processes.mu.Lock()
	struck := a.s.cfg.strike == killed && a.processes.victim == name
	a.processes.mu.Unlock()
	if err != nil && !struck && ctx.Err() == nil {
		return fmt.Errorf("its process ended (%w); its last words: %s", err, m.said.last(3))
	}
	return nil
}

// listen writes down what a member says until it says no more. What cannot be
// understood is the end of a process that was killed.
func (a *app) listen(ctx context.Context, m *member, out io.Reader) {
	for lines := bufio.NewReader(out); ; {
		text, err := lines.ReadBytes('\n')
		var e history.Event
		if err != nil || json.Unmarshal(text, &e) != nil {
			return
		}
		if answer := a.hear(ctx, m, e); answer != "" {
			_, _ = io.WriteString(m.in, answer+"\n")
		}
	}
}

// hear writes down what a member says, and gives the answer; none to one that is
// dead, or that is to wait.
func (a *app) hear(ctx context.Context, m *member, e history.Event) (answer string) {
	p := a.processes
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.victim == m.name && a.s.cfg.strike == killed {
		return ""
	}
	if e.Kind == history.Effect && !p.take(a.s.who, m, e) {
		return notTaken
	}
	if told, ok := a.retold(m, e); ok {
		a.s.book.add(told)
	}
	at := place{e.Partition, e.Offset}
	switch e.Kind {
	case history.Own:
		p.owner[e.Partition] = m.name
	case history.Start:
		if p.open[m.name] == nil {
			p.open[m.name] = map[place]bool{}
		}
		p.open[m.name][at] = true
	case history.End:
		delete(p.open[m.name], at)
		if e.OK {
			a.finished(at)
		}
		p.after(m, at, e.OK)
	case history.Commit:
		p.committed[m.name] = true
		p.offsets[e.Partition] = e.Offset
	case history.Fault:
		a.s.book.struck.Add(1)
	}
	if p.victim != "" || a.count() < int64(a.s.cfg.Keys*a.s.cfg.Records/3) {
		return goOn
	}
	switch {
	case a.s.cfg.strike == killed && a.ripe(m, e):
		a.kill(m)
		return ""
	case a.s.cfg.strike == frozen && e.Kind == history.Start:
		a.freeze(ctx, m, at)
		return ""
	}
	return goOn
}

// retold is what a member says as it goes into the book. Where effects count, that is
// who was given a partition, and what was applied.
func (a *app) retold(m *member, e history.Event) (history.Event, bool) {
	if !a.s.cfg.effects {
		return e, true
	}
	switch e.Kind {
	case history.Own:
		if a.processes.owner[e.Partition] == m.name {
			return e, false // only its token is new
		}
		e.Kind, e.Token = history.Assign, 0
	case history.Release, history.Lost:
		e.Kind, e.Token = history.Revoke, 0
	case history.Effect:
		e.Kind, e.Token = history.Did, 0
	case history.Start, history.End:
		return e, false
	}
	return e, true
}

// take is the store of the effects: where the subject checks the owner's token, it
// refuses a lower one than it has seen.
func (p *processes) take(who *Subject, m *member, e history.Event) bool {
	if who.Fences && e.Token < p.tokens[e.Partition] {
		p.refused++
		return false
	}
	p.tokens[e.Partition] = max(p.tokens[e.Partition], e.Token)
	if p.owner[e.Partition] != m.name {
		p.again++
	}
	return true
}

// after sees what the victim and its successor do after the strike.
func (p *processes) after(m *member, at place, ok bool) {
	switch {
	case p.victim == "":
	case m.name != p.victim && ok && at == p.at:
		closeOnce(p.passed)
	case m.name == p.victim && p.over:
		closeOnce(p.back)
	}
}

// through says that a member was struck, and that all partitions are committed to
// their ends: nobody gets a record any more.
func (p *processes) through(ends map[int32]int64) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.victim != "" && reached(p.offsets, ends)
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// ripe says that it is time to kill: the commit that was just acknowledged passes a
// record that is not done. Whoever commits none such dies in a handler, at the half.
func (a *app) ripe(m *member, e history.Event) bool {
	p := a.processes
	if e.Kind == history.Commit {
		for at := range p.open[m.name] {
			if at.partition == e.Partition && at.offset < e.Offset {
				return true
			}
		}
	}
	return e.Kind == history.Start && p.committed[m.name] && a.count() >= int64(a.s.cfg.Keys*a.s.cfg.Records/2)
}

// kill ends the victim, and another member takes its place, as a restart does.
func (a *app) kill(m *member) {
	a.processes.victim = m.name
	a.struckBy(killed)
	a.s.book.add(history.Event{Kind: history.Kill, Member: m.name})
	_ = m.cmd.Process.Kill() // an error says that it is dead
	a.join("c")
}

func (a *app) struckBy(s strike) {
	a.s.book.struck.Add(1)
	a.note(string(s))
}

// freeze stops the victim, which waits for our answer inside a handler, and lets it
// go on when another member has done the record.
func (a *app) freeze(ctx context.Context, m *member, at place) {
	p := a.processes
	p.victim, p.at = m.name, at
	a.struckBy(frozen)
	a.s.book.add(history.Event{Kind: history.Freeze, Member: m.name})
	if err := stopProcess(m.cmd.Process); err != nil {
		a.s.doubt("the member %s could not be frozen: %v", m.name, err)
	}
	a.running.Go(func() {
		late := time.NewTimer(a.s.cfg.Limit)
		defer late.Stop()
		select {
		case <-p.passed:
		case <-late.C:
			a.s.doubt("nobody took the records of the frozen member over within %s", a.s.cfg.Limit)
		case <-ctx.Done():
		}
		p.mu.Lock()
		p.over = true
		a.s.book.add(history.Event{Kind: history.Thaw, Member: m.name})
		p.mu.Unlock()
		_ = contProcess(m.cmd.Process)
		_, _ = io.WriteString(m.in, goOn+"\n")
	})
}

// awaitStrike waits until the victim that was frozen has gone on.
func (a *app) awaitStrike(ctx context.Context) {
	p := a.processes
	if p == nil {
		return
	}
	p.mu.Lock()
	struck := p.victim != ""
	p.mu.Unlock()
	if !struck {
		a.s.doubt("no member was struck: all was processed before")
		return
	}
	if a.s.cfg.strike != frozen {
		return
	}
	limit := time.NewTimer(a.s.cfg.Limit)
	defer limit.Stop()
	select {
	case <-p.back:
	case <-limit.C:
		a.s.doubt("the frozen member did nothing within %s after it could go on", a.s.cfg.Limit)
	case <-ctx.Done():
	}
}

// facts are what else was counted of the processes.
func (p *processes) facts() (facts []string) {
	if p.again > 0 {
		facts = append(facts, fmt.Sprintf("effects of the former owner that were applied: %d", p.again))
	}
	if p.refused > 0 {
		facts = append(facts, fmt.Sprintf("effects of the former owner that were refused: %d", p.refused))
	}
	return facts
}

// canStrike says why a scenario of processes cannot run here.
func (c *Config) canStrike() error {
	switch {
	case c.strike == "":
		return nil
	case len(c.Command) == 0:
		return errors.New("prove: no command that starts a member")
	case len(c.Opts) > 0:
		return refusef("this scenario starts processes of its own, which are not told users and passwords: run it on the embedded broker, or on a cluster without them")
	case c.strike == frozen && !canFreeze:
		return refusef("this scenario freezes a process with SIGSTOP, which this system does not have: run it on Linux, macOS or another Unix")
	}
	return nil
}
