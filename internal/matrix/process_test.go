//go:build unix

package matrix

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/kafkatest"
)

// A process is a consumer process, as the test sees it.
type process struct {
	s    *scene
	name string
	log  string // file of its log lines
	cmd  *exec.Cmd
	dead chan struct{} // closed when it has ended, and all that it said is taken in
	err  error         // how it ended; after dead

	mu   sync.Mutex
	in   io.WriteCloser
	shot bool // by us
}

func (p *process) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shot
}

// start starts a member of the scene's group.
func (s *scene) start(name string, change ...func(*config)) *process {
	s.t.Helper()
	cfg := config{Name: name, Brokers: shared.c.Addrs(), Group: s.group, Topic: s.topic, Session: s.session, Work: 10 * time.Millisecond,
		Park: s.parking != "", Fixed: s.fixed}
	for _, f := range change {
		f(&cfg)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{s: s, name: name, log: filepath.Join(s.dir, name+".log"), dead: make(chan struct{}), cmd: exec.Command(os.Args[0])}
	log, err := os.Create(p.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	// Not the command's own pipes, which end with it: what it said last is read
	// after its end.
	childIn, in, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer childOut.Close()
	p.in = in
	p.cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = childIn, childOut, log
	ended := make(chan struct{})
	if err := kafkatest.StartBound(p.cmd, func(err error) { p.err = err; close(ended) }); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.dead)
		p.serve(out)
		out.Close()
		<-ended
	}()
	s.members = append(s.members, p)
	return p
}

// serve answers until there is nothing more to come.
func (p *process) serve(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return // a line without an end was cut off with the process
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			p.s.h.contradiction("%s says what is not understood: %v: %q", p.name, err, line)
			continue
		}
		if m.Event != nil {
			p.s.h.add(*m.Event)
		} else {
			p.s.h.note(*m.Note)
		}
		p.send(reply{ID: m.ID})
	}
}

// send writes to the process; that it is dead is noticed elsewhere.
func (p *process) send(r reply) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain numbers
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.in.Write(append(line, '\n'))
}

func (p *process) alive() bool {
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}

// kill is kill -9. It returns when the process is gone, and long before its
// session is over.
func (p *process) kill() {
	p.s.t.Helper()
	p.s.t.Logf("kill -9 of member %s", p.name)
	p.end()
	p.s.h.add(history.Event{Kind: history.Kill, Member: p.name})
}

func (p *process) end() {
	p.mu.Lock()
	p.shot = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill() // an error says that it is dead
	<-p.dead
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in.Close()
}

func (p *process) signal(sig os.Signal) {
	p.s.t.Helper()
	p.s.t.Logf("%s of member %s", sig, p.name)
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.s.t.Fatal(err)
	}
}

// freeze is SIGSTOP: from here on it cannot take part in anything.
func (p *process) freeze() {
	p.s.t.Helper()
	p.s.h.add(history.Event{Kind: history.Freeze, Member: p.name})
	p.signal(syscall.SIGSTOP)
}

func (p *process) thaw() {
	p.s.t.Helper()
	p.s.h.add(history.Event{Kind: history.Thaw, Member: p.name})
	p.signal(syscall.SIGCONT)
}

// leave makes it drain, and waits for its end.
func (p *process) leave() {
	p.s.t.Helper()
	p.send(reply{Stop: true})
	p.s.until("member "+p.name+" has left", func() bool { return !p.alive() })
	if p.err != nil {
		p.s.t.Errorf("member %s: %v", p.name, p.err)
	}
}
