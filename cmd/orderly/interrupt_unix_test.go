//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
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

// A worker that is in the middle of a record, and has a child.
const hangingWorker = `read -r line; sleep 1000 & echo "at work $$ $!" >&2; wait`

// The first signal lets workers finish; the second ends all at once, and nothing
// of the workers is left although they are not in our process group.
func TestSecondSignalEndsWorkers(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, in := t.TempDir(), strings.NewReader("{\"k\":1}\n")
	as := append(os.Environ(), asCommand+"=1")
	send := exec.Command(exe, "produce", "--local", dir, "-t", "t", "--key", ".k", "--create", "--partitions", "1")
	send.Env, send.Stdin = as, in
	if out, err := send.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(exe, "consume", "--local", dir, "-t", "t", "-g", "g", "--concurrency", "1", "--", "sh", "-c", hangingWorker)
	cmd.Env = as
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	// The log ends when nobody holds it any more: neither the command, nor the
	// worker, nor the worker's child.
	var worker, child int
	late := false
	for sc := bufio.NewScanner(log); sc.Scan(); {
		if n, _ := fmt.Sscanf(sc.Text(), "at work %d %d", &worker, &child); n == 2 {
			defer time.AfterFunc(time.Minute, func() {
				late = true
				_ = syscall.Kill(-worker, syscall.SIGKILL)
			}).Stop()
			for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || worker == 0 || late {
		t.Errorf("%v, worker %d, left behind: %v", err, worker, late)
	}
}
