package pipe

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps Ctrl-C from the worker: we let it finish its record.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup ends the worker alone: what it has started ends when its input does.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
