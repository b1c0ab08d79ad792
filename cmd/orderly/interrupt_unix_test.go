//go:build unix

package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Ctrl-C in a terminal reaches the demo and its consumer processes at once. The
// demo ends them in order and exits with 130; nothing of it is left.
func TestCtrlC(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "demo")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := -cmd.Process.Pid
	defer syscall.Kill(group, syscall.SIGKILL)

	var last string
	interrupted := false
	for sc := bufio.NewScanner(progress); sc.Scan(); {
		last = sc.Text()
		if !interrupted && strings.HasSuffix(last, "at work") {
			interrupted = true
			if err := syscall.Kill(group, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || last != "orderly: interrupted" {
		t.Errorf("%v, last words %q", err, last)
	}
	if err := syscall.Kill(group, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("processes of the demo are left (signal 0 to their group: %v)", err)
	}
}
