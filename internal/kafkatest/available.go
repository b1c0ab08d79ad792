package kafkatest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// AddrsEnv names the brokers that the tests of a run share, "host:port,...".
	AddrsEnv = "ORDERLY_KAFKA"
	// OffEnv=1 is no real Kafka at all, not even a cluster of a test's own.
	OffEnv = "ORDERLY_NO_KAFKA"
)

// TB is what is needed of a test. The nodes are also those of "orderly prove
// scenario", which must not bring the testing package along.
type TB interface {
	Context() context.Context
	Fatalf(format string, args ...any)
	Helper()
	Logf(format string, args ...any)
	Name() string
}

// Shared returns the brokers that this run's tests share, or nil: tests of
// behaviour then run on the embedded broker. testall runs them both ways.
func Shared() []string {
	if v := os.Getenv(AddrsEnv); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// Require says whether this machine can start the version. Where it cannot, the
// test has to return: testall's summary says aloud what was not covered, and
// where everything is required, the test fails here (unless OffEnv is set: then
// testall knows).
func Require(t TB, version string) bool {
	t.Helper()
	why := Missing(t.Context(), version)
	switch {
	case why == "":
		return true
	case os.Getenv(OffEnv) != "1" && (os.Getenv("CI") == "true" || os.Getenv("ORDERLY_REQUIRE_ALL") == "1"):
		t.Fatalf("Kafka %s cannot be started: %s (CI=true or ORDERLY_REQUIRE_ALL=1 requires it)", version, why)
	}
	t.Logf("not run: Kafka %s cannot be started: %s", version, why)
	return false
}

// Missing says why this machine cannot start the version, or "" when it can. The
// jars are downloaded when only they are missing.
func Missing(ctx context.Context, version string) string {
	if os.Getenv(OffEnv) == "1" {
		return OffEnv + "=1"
	}
	if err := CheckJava(ctx); err != nil {
		return err.Error()
	}
	if _, err := Jars(ctx, version); err != nil {
		return err.Error()
	}
	return ""
}

// minJava is what the brokers of Kafka 4 need; older ones are content with it.
const minJava = 17

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// CheckJava says why no node can be started by the Java of this machine.
func CheckJava(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, java(), "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("no working Java: %w", err)
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("the version of Java is not to be found in %q", bytes.TrimSpace(out))
	}
	if v, err := strconv.Atoi(string(m[1])); err != nil || v < minJava {
		return fmt.Errorf("this is Java %s, and Kafka needs %d", m[1], minJava)
	}
	return nil
}

func java() string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java")
	}
	return "java"
}

// Name makes a name for a topic or group that no other test has, nor this one in
// another run: the shared brokers keep all of them.
func Name(t TB, what string) string {
	legal := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-':
			return r
		}
		return '-'
	}, t.Name())
	// A topic's name has at most 249 characters, and metrics names count some more.
	return fmt.Sprintf("%s-%.120s-%s", what, legal, strings.ToLower(rand.Text()[:8]))
}
