//go:build unix

package pipe

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the worker and what it starts into a group of their own: Ctrl-C
// in a terminal then reaches only us, and we let the worker finish its record.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
