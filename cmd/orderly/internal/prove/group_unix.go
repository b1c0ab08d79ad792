//go:build unix

package prove

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the program and what it starts into a group of their own: Ctrl-C in
// a terminal then reaches only us, and we end the program in order.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func endGroup(cmd *exec.Cmd)  { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
