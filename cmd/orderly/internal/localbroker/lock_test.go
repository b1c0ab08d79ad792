package localbroker

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestSecondStartIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	first := startChild(t, nil, "--data", dir, "--listen", "127.0.0.1:0")
	_, err := Open(t.Context(), Options{Dir: dir})
	var used *InUseError
	if !errors.As(err, &used) || used.Address != first.addr || used.PID != first.cmd.Process.Pid || used.Started.IsZero() {
		t.Fatalf("%v, %+v", err, used)
	}
	for _, want := range []string{dir, first.addr, "process " + strconv.Itoa(used.PID), "-b " + first.addr} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	// Death gives the directory free, whatever the file says.
	first.kill()
	mustOpen(t, dir)
}

func TestConnect(t *testing.T) {
	var none *NotServedError
	dir := t.TempDir()
	if _, err := Connect(t.Context(), dir); !errors.As(err, &none) || !strings.Contains(err.Error(), "orderly broker --data "+dir) {
		t.Errorf("a directory that nobody has served: %v", err)
	}
	b, _ := mustOpen(t, dir)
	if addr, err := Connect(t.Context(), dir); err != nil || addr != b.Addr() {
		t.Errorf("%q, %v", addr, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), dir); !errors.As(err, &none) {
		t.Errorf("ended: %v", err)
	}
}

// After a kill the file names a port that nobody has, or that is another's.
func TestConnectAsksWhoAnswers(t *testing.T) {
	dir := t.TempDir()
	b := startChild(t, nil, "--data", dir, "--listen", "127.0.0.1:0")
	b.kill()
	var none *NotServedError
	if _, err := Connect(t.Context(), dir); !errors.As(err, &none) || none.Address != b.addr || none.Cause == nil {
		t.Errorf("nobody there: %v", err)
	}
	_, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	other, err := kfake.NewCluster(kfake.Ports(p))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := Connect(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another Kafka answers there") {
		t.Errorf("another's: %v", err)
	}
}

func TestUse(t *testing.T) {
	dir := t.TempDir()
	first, err := Use(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	said := new(notices)
	second, err := Use(t.Context(), Options{Dir: dir, Notice: said.add})
	if err != nil || second.Addr != first.Addr {
		t.Fatal(second, first.Addr, err)
	}
	if !strings.Contains(said.String(), "another command (process "+strconv.Itoa(os.Getpid())+"), and ends with it; for several commands run: orderly broker --data "+dir) {
		t.Errorf("said %q", said)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), dir); err != nil {
		t.Errorf("gone with one that only used it: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- second.Ended(withPatience(t)) }()
	go func() { ended <- first.Ended(ctx) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var gone *EndedError
	if err := <-ended; !errors.As(err, &gone) || gone.Dir != dir || gone.PID != os.Getpid() {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the one that served it: %v", err)
	}
	if _, err := Connect(t.Context(), dir); err == nil {
		t.Error("still served")
	}
	if clean, err := endedCleanly(dir); err != nil || !clean {
		t.Error(clean, err)
	}
}

// A command whose broker is killed is told too; one that uses a broker of its own
// process, which can come back, is not.
func TestUseOfAKilledBroker(t *testing.T) {
	for _, call := range []bool{true, false} {
		dir := t.TempDir()
		b := startChild(t, nil, "--data", dir, "--listen", "127.0.0.1:0")
		u, err := Use(t.Context(), Options{Dir: dir})
		if err != nil || u.by.Call {
			t.Fatal(u, err)
		}
		if u.gone(t.Context()) {
			t.Error("gone while it answers")
		}
		b.kill()
		u.by.Call = call
		ctx, cancel := context.WithCancel(withPatience(t))
		if !call {
			cancel()
		}
		if err := u.Ended(ctx); (err != nil) != call {
			t.Errorf("call %v: %v", call, err)
		}
		cancel()
	}
}

// One that starts or ends is waited for: Use takes over when it is gone.
func TestUseWaitsForTheHolder(t *testing.T) {
	dir := t.TempDir()
	lock, err := lockDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.tell(holder{PID: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var used *InUseError
	if _, err := Use(ctx, Options{Dir: dir}); !errors.As(err, &used) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	result := make(chan error)
	go func() {
		u, err := Use(t.Context(), Options{Dir: dir})
		if err == nil {
			err = u.Close()
		}
		result <- err
	}()
	if err := lock.release(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestRefusedDirectories(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letter.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, metaName), []byte(`{"version":2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		foreign:                                `it holds "letter.txt"`,
		newer:                                  "meta.json has format 2",
		filepath.Join(foreign, "letter.txt/x"): "making it",
	} {
		var data *DataError
		if _, err := Open(t.Context(), Options{Dir: dir}); !errors.As(err, &data) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
