// Package postgrestest starts PostgreSQL for tests, from the programs that the
// machine has: no container, no download.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// URLEnv names a database to use instead, for people who have one. Tests that
	// stop the server start their own nevertheless.
	URLEnv = "ORDERLY_POSTGRES"
	// OffEnv=1 is no PostgreSQL at all.
	OffEnv = "ORDERLY_NO_POSTGRES"
)

// Require says whether this machine can start PostgreSQL. Where it cannot, the
// test has to return: testall's summary says aloud what was not covered, and where
// everything is required, the test fails here.
func Require(t testing.TB) bool {
	t.Helper()
	why := Missing()
	switch {
	case why == "":
		return true
	case os.Getenv(OffEnv) != "1" && (os.Getenv("CI") == "true" || os.Getenv("ORDERLY_REQUIRE_ALL") == "1"):
		t.Fatalf("PostgreSQL cannot be started: %s (CI=true or ORDERLY_REQUIRE_ALL=1 requires it)", why)
	}
	t.Logf("not run: PostgreSQL cannot be started: %s", why)
	return false
}

// Missing says why this machine cannot start PostgreSQL, or "" when it can.
func Missing() string {
	if os.Getenv(OffEnv) == "1" {
		return OffEnv + "=1"
	}
	if _, err := programs(); err != nil {
		return err.Error()
	}
	if _, err := user(); err != nil {
		return err.Error()
	}
	return ""
}

// programs is the folder that has initdb and postgres. Debian keeps them off the
// PATH, a folder for each version.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("initdb is neither on PATH nor in /usr/lib/postgresql")
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0]), nil
}

func version(initdb string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return v
}

// A Server is a running PostgreSQL with an empty folder of its own.
type Server struct {
	bin, dir string
	port     int
	cmd      *exec.Cmd
	ended    chan struct{}
}

const startLimit = 60 * time.Second

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start(t.Context())
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		s.signal(syscall.SIGQUIT)
		<-s.ended
		_ = os.RemoveAll(s.dir)
	})
	return s
}

func start(ctx context.Context) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "orderly-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	if err := own(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	cmd, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(dir))
	}
	if err := s.configure(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for range 5 { // a port can be taken between looking and listening
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.launch(ctx); err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "output.log") }

func (s *Server) command(program string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	return cmd, asUser(cmd)
}

// configure turns fsync off: the system keeps what was written when only the server
// ends. It stands in the file, for on the command line nobody could turn it on again.
func (s *Server) configure() error {
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\nfsync = off\n")
	return errors.Join(err, f.Close())
}

// launch starts the server and waits until it takes connections.
func (s *Server) launch(ctx context.Context) error {
	cmd, err := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	ended := s.ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ready, err := s.command("pg_isready", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-q")
		if err == nil && ready.Run() == nil {
			return nil
		}
		select {
		case <-ended:
			out, _ := os.ReadFile(s.log())
			return fmt.Errorf("it ended at once:\n%s", out)
		case <-ctx.Done():
			s.signal(syscall.SIGQUIT)
			<-ended
			return fmt.Errorf("not ready after %s", startLimit)
		case <-tick.C:
		}
	}
}

// URL is the address of its database "postgres".
func (s *Server) URL() string {
	return "postgres://postgres@" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) + "/postgres?sslmode=disable"
}

// StopNow ends the server at once, without a checkpoint: what is not in its log is
// gone, connections break.
func (s *Server) StopNow(t testing.TB) {
	t.Helper()
	s.signal(syscall.SIGQUIT)
	<-s.ended
}

// Restart starts it again after StopNow, on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.launch(t.Context()); err != nil {
		t.Fatalf("PostgreSQL, again: %v", err)
	}
}

func (s *Server) signal(sig os.Signal) {
	select {
	case <-s.ended:
	default:
		_ = s.cmd.Process.Signal(sig)
	}
}

// Below the ports that systems hand out for outgoing connections.
func freePort() (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// Database makes an empty database of the test's own in the server that the
// environment names, or in s, and returns its URL. exec runs one statement.
func Database(t testing.TB, url string, exec func(url, statement string) error) string {
	t.Helper()
	name := "orderly_" + strings.ToLower(strconv.FormatUint(rand.Uint64(), 36))
	if err := exec(url, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec(url, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	before, query, _ := strings.Cut(url, "?")
	at := strings.LastIndexByte(before, '/')
	return before[:at+1] + name + "?" + query
}

// Run starts a server for a program that is no test. Its processes are children of pid;
// end ends it.
func Run(ctx context.Context) (url string, pid int, end func(), err error) {
	s, err := start(ctx)
	if err != nil {
		return "", 0, nil, err
	}
	return s.URL(), s.cmd.Process.Pid, func() {
		s.signal(syscall.SIGQUIT)
		<-s.ended
		_ = os.RemoveAll(s.dir)
	}, nil
}
