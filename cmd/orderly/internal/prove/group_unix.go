//go:build unix

package prove

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup puts the program and what it starts into a group of their own: Ctrl-C in
// a terminal then reaches only us, and we end the program in order.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func endGroup(cmd *exec.Cmd)  { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// canFreeze says that a process can be stopped, and go on.
const canFreeze = true

func stopProcess(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func contProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
