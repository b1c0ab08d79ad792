package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// A process is one consumer process, seen from the demo.
type process struct {
	member Member
	ledger *ledger
	cmd    *exec.Cmd
	log    *tail
	exited chan struct{} // closed when it is dead and all that it said is taken in
	err    error         // how it ended, once exited is closed

	mu      sync.Mutex
	in      io.WriteCloser
	leaving bool // it was told to stop, or killed
}

// start starts a consumer process. command is the program and its first
// arguments.
func start(command []string, m Member, lg *ledger) (*process, error) {
	p := &process{member: m, ledger: lg, log: &tail{}, exited: make(chan struct{})}
	p.cmd = exec.Command(command[0], append(command[1:len(command):len(command)], m.args()...)...)
	p.cmd.Stderr = p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the consumer process %s: %w", m.Name, err)
	}
	go p.serve(out)
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// serve answers the process until it is dead.
func (p *process) serve(out io.Reader) {
	defer close(p.exited)
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break // a line without an end was cut off with the process: nobody was told
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			p.ledger.fail(fmt.Errorf("%s says what is not understood: %q", p.member.Name, line))
			continue
		}
		answer, err := p.ledger.handle(p.member.Name, m)
		if errors.Is(err, errNoAnswer) {
			continue
		}
		if err != nil {
			p.ledger.fail(err)
		}
		p.send(answer)
	}
	p.err = p.cmd.Wait()
	p.mu.Lock()
	leaving := p.leaving
	p.mu.Unlock()
	if !leaving {
		p.ledger.fail(fmt.Errorf("the consumer process %s (pid %d) ended by itself (%v); its last words:\n%s",
			p.member.Name, p.pid(), p.cmd.ProcessState, p.log.last(5)))
	}
}

// send writes to the process. That it is dead is noticed in serve.
func (p *process) send(r reply) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // a reply is plain numbers
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.in.Write(append(line, '\n'))
}

func (p *process) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = true
}

// kill ends the process as "kill -9" does, and returns when it is dead and all
// that it said before is taken in.
func (p *process) kill() {
	p.leave()
	_ = p.cmd.Process.Kill() // an error says that it is dead already
	<-p.exited
}

// stop tells the process to end in order.
func (p *process) stop() {
	p.leave()
	p.send(reply{Stop: true})
}

// finish waits for a process that was told to stop; when it is overdue it is
// killed, and the error says so.
func (p *process) finish(overdue func() bool) error {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-p.exited:
			if p.err != nil {
				return fmt.Errorf("the consumer process %s ended badly (%w); its last words:\n%s", p.member.Name, p.err, p.log.last(5))
			}
			return nil
		case <-t.C:
			if overdue() {
				p.kill()
				return fmt.Errorf("the consumer process %s (pid %d) was told to stop and did not; its last words:\n%s", p.member.Name, p.pid(), p.log.last(5))
			}
		}
	}
}
