package kafkatest

import "syscall"

// dieWithUs makes the kernel end a node when the thread that started it ends, and
// so whatever ends the test process, SIGKILL included.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
