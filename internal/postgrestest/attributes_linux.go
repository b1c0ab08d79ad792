package postgrestest

import "syscall"

// attributes make the kernel stop the server when the thread that started it ends,
// and so whatever ends the test process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} }
