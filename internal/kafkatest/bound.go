package kafkatest

import (
	"os/exec"
	"runtime"
)

// StartBound starts a command that the kernel ends when this process ends, where
// it can do that: a test that is killed leaves nothing running. It returns when
// the command runs; ended is called when it has ended and was waited for.
func StartBound(cmd *exec.Cmd, ended func(error)) error {
	cmd.SysProcAttr = dieWithUs()
	started := make(chan error)
	go func() {
		// The kernel ties the child's death to the thread that made it, not
		// to the process, so that thread has to stay as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		ended(cmd.Wait())
	}()
	return <-started
}
