//go:build !linux

package kafkatest

import "syscall"

// dieWithUs does nothing here: a node stays behind when the test process is killed.
func dieWithUs() *syscall.SysProcAttr { return nil }
