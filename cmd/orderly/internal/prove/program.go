package prove

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// A command is a program of the user's that runs.
type command struct {
	cmd    *exec.Cmd
	output *tail
	err    error
	ended  bool // by us
}

// The names under which a program is told where to write.
const (
	BrokersEnv = "ORDERLY_PROVE_BROKERS"
	TopicEnv   = "ORDERLY_PROVE_TOPIC"
)

// grace is how long a program may take to end when it is told to.
const grace = 5 * time.Second

// runProgram runs the program to its end, and at most for the limit.
func (s *side) runProgram(ctx context.Context, stop <-chan struct{}) error {
	fill := strings.NewReplacer("{brokers}", s.proxy.Addr(), "{topic}", s.topic)
	args := make([]string, len(s.who.Command))
	for i, a := range s.who.Command {
		args[i] = fill.Replace(a)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), BrokersEnv+"="+s.proxy.Addr(), TopicEnv+"="+s.topic)
	p := &command{cmd: cmd, output: &tail{notes: s.cfg.Notes}}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.WaitDelay = grace // for what it has started and left behind
	ownGroup(cmd)
	s.program = p
	if err := cmd.Start(); err != nil {
		return refusef("the program cannot be started: %v", err)
	}
	defer enlist(p)()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	limit := time.NewTimer(s.cfg.Limit)
	defer limit.Stop()
	select {
	case p.err = <-done:
	case <-limit.C:
		p.ended = true
		p.told(done)
	case <-stop:
		p.ended = true
		p.told(done)
	case <-ctx.Done():
		killGroup(cmd)
		<-done
		return context.Cause(ctx)
	}
	s.book.move()
	if p.err != nil && !p.ended {
		s.doubt("the program ended with an error (%v)%s", p.err, p.lastWords())
	}
	return nil
}

// told ends a program that does not end by itself, which is no fault of it.
func (p *command) told(done <-chan error) {
	endGroup(p.cmd)
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case p.err = <-done:
	case <-late.C:
		killGroup(p.cmd)
		p.err = <-done
	}
}

// lastWords are the end of what it said.
func (p *command) lastWords() string {
	text := strings.TrimSpace(string(p.output.last(3)))
	if text == "" {
		return "; it said nothing"
	}
	return "; its last words: " + strings.Join(strings.Fields(text), " ")
}

// inOrder gives the records that the log of a program holds, each once, a key's in
// the order of their numbers: what a control is to write.
func (s *side) inOrder() []record {
	type id struct {
		key string
		n   int64
	}
	seen := make(map[id]bool)
	var all []record
	for _, r := range s.mirrored {
		if k := (id{string(r.key), r.number}); !seen[k] {
			seen[k] = true
			all = append(all, r)
		}
	}
	// By number: keys in turns, as the package's own records are.
	slices.SortStableFunc(all, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.number, b.number), bytes.Compare(a.key, b.key))
	})
	return all
}

// judgeProgram gives the reasons why a program's log shows nothing.
func (s *side) judgeProgram() {
	p := s.program
	switch {
	case p == nil:
	case s.read == 0:
		how := "ended"
		if p.ended {
			how = "ran until its end was asked for"
		}
		s.doubt("the program %s, and wrote no record to %s: it gets its brokers and its topic as {brokers} and {topic} in its arguments, and as %s and %s in its environment%s",
			how, s.topic, BrokersEnv, TopicEnv, p.lastWords())
	case len(s.mirrored) == 0 && s.unordinal == 0:
		s.doubt("no record of the program has a number at %s: each needs the place in its key's order, from 1 (--seq says where it is)", s.seq)
	}
	if s.unordinal > 0 && p != nil {
		s.beside = append(s.beside, fmt.Sprintf("%d records with a number below 1 were not judged: numbers count from 1.", s.unordinal))
	}
}

// tail keeps the end of what a program says.
type tail struct {
	mu    sync.Mutex
	buf   []byte
	notes io.Writer
}

const tailSize = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notes != nil {
		_, _ = t.notes.Write(b) // for people only
	}
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	return len(b), nil
}

// last gives the last lines.
func (t *tail) last(n int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	return bytes.Clone(bytes.Join(lines[max(len(lines)-n, 0):], []byte("\n")))
}
