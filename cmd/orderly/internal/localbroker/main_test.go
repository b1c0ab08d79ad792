package localbroker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// childEnv makes the test binary the command: a broker that can be killed.
	childEnv = "ORDERLY_TEST_BROKER"
	// bareEnv takes the repair out, by hand, to see what it is for.
	bareEnv = "ORDERLY_TEST_WITHOUT_REPAIR"
	// limitEnv is the size in bytes at which the child's files are full.
	limitEnv = "ORDERLY_TEST_FILE_LIMIT"

	patience = 60 * time.Second
)

func TestMain(m *testing.M) {
	skipRepair = os.Getenv(bareEnv) != ""
	if os.Getenv(childEnv) != "" {
		limitFileSize()
		cmd := Command()
		cmd.SetArgs(os.Args[1:])
		cmd.SilenceUsage = true
		if cmd.Execute() != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// A child is a broker in a process of its own.
type child struct {
	t    testing.TB
	cmd  *exec.Cmd
	addr string

	mu     sync.Mutex
	more   *sync.Cond
	stderr bytes.Buffer
	once   sync.Once
	err    error
}

func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.more.Broadcast()
	return c.stderr.Write(p)
}

// awaitSaid returns all that was said when a line of it is there: the last one
// of a start is "data in".
func (c *child) awaitSaid(want string) string {
	c.t.Helper()
	ctx := withPatience(c.t)
	defer context.AfterFunc(ctx, func() { c.mu.Lock(); c.more.Broadcast(); c.mu.Unlock() })()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !strings.Contains(c.stderr.String(), want) {
		if ctx.Err() != nil {
			c.t.Fatalf("%q is not in:\n%s", want, c.stderr.String())
		}
		c.more.Wait()
	}
	return c.stderr.String()
}

func (c *child) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.String()
}

// startChild waits until the broker listens. The child ends with the test.
func startChild(t testing.TB, env []string, args ...string) *child {
	t.Helper()
	c, out := spawnChild(t, env, args...)
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		c.kill()
		t.Fatalf("the broker did not start: %q, %v\n%s", line, err, c.said())
	}
	c.addr = addr
	return c
}

func spawnChild(t testing.TB, env []string, args ...string) (c *child, stdout io.Reader) {
	t.Helper()
	c = &child{t: t, cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append(append(os.Environ(), childEnv+"=1"), env...)
	c.more = sync.NewCond(&c.mu)
	c.cmd.Stderr = c
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c, out
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.wait()
}

func (c *child) wait() error {
	c.once.Do(func() { c.err = c.cmd.Wait() })
	return c.err
}

// notices collects what a start says.
type notices struct {
	mu    sync.Mutex
	lines []string
}

func (n *notices) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notices) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

func mustOpen(t testing.TB, dir string) (*Broker, *notices) {
	t.Helper()
	n := new(notices)
	b, err := Open(t.Context(), Options{Dir: dir, Notice: n.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return b, n
}

func withPatience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("nothing for %s", patience))
	t.Cleanup(cancel)
	return ctx
}

// crashImage copies a served directory: what a kill at this moment leaves.
func crashImage(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
