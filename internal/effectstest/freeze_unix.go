//go:build unix

package effectstest

import (
	"syscall"
	"testing"
	"time"
)

func (p *process) freeze(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGSTOP))
}

func (p *process) thaw(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// dump ends the process with what its goroutines do in its log.
func (p *process) dump() {
	if p.cmd.Process.Signal(syscall.SIGQUIT) != nil {
		return
	}
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
}
