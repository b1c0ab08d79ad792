//go:build unix

package effectstest

import (
	"syscall"
	"testing"
)

func (p *process) freeze(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGSTOP))
}

func (p *process) thaw(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGCONT))
}
