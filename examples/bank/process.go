package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// A process is a consumer.
type process struct {
	cmd   *exec.Cmd
	in    io.Closer // closed, it ends by itself
	log   *os.File
	ended chan struct{}
	told  bool // to end
}

func begin(m member, log string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cfg, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), memberEnv+"="+string(cfg))
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.log, err = os.Create(log); err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a consumer: %w", err), p.log.Close())
	}
	go func() {
		_ = p.cmd.Wait()
		_ = p.log.Close()
		close(p.ended)
	}()
	return p, nil
}

// kill is kill -9.
func (p *process) kill() {
	p.told = true
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop lets it end what it has begun.
func (p *process) stop() {
	p.told = true
	_ = p.in.Close()
	<-p.ended
}

// gone says that it has ended by itself.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return !p.told
	default:
		return false
	}
}
