package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/orderly-go/orderly/internal/postgrestest"
)

// A requirement is something besides Go that a part of the tests needs. Without
// it that part does not run, and the report says so in one line.
type requirement struct {
	name      string
	missing   func(env goEnv) string // why it is not here; "" when it is
	uncovered string                 // what is then not covered
	wayOut    string
}

const (
	raceDetector = "race detector"
	realKafka    = "real Kafka"
	runtimes     = "language runtimes"
	promtool     = "promtool"
	postgreSQL   = "PostgreSQL"
)

var requirements = []requirement{{
	name:      raceDetector,
	missing:   noCCompiler,
	uncovered: "data races, in all modules",
	wayOut:    "Install a C compiler (gcc or clang) and leave CGO_ENABLED unset",
}, {
	name:      realKafka,
	missing:   noKafka,
	uncovered: "behaviour on Apache Kafka, as brokers die, freeze and change leaders",
	wayOut:    "Install a JDK of at least 17, and Maven, which gets Kafka's jars once",
}, {
	name:      runtimes,
	missing:   noRuntimes,
	uncovered: "workers of docs/pipe-protocol.md, in the languages that are missing",
	wayOut:    "Install python3, node, a JDK (java) and bash",
}, {
	name:      promtool,
	missing:   noPromtool,
	uncovered: "alert rules and dashboard of deploy/, in Prometheus itself",
	wayOut:    "Install Prometheus (Debian: prometheus)",
}, {
	name:      postgreSQL,
	missing:   func(goEnv) string { return postgrestest.Missing() },
	uncovered: "exactly-once effects in PostgreSQL",
	wayOut:    "Install PostgreSQL's server (Debian: postgresql); it is not run as root, and need not be running",
}}

// missing returns the reason per absent requirement.
func missing(reqs []requirement, env goEnv) map[string]string {
	absent := make(map[string]string)
	for _, r := range reqs {
		if why := r.missing(env); why != "" {
			absent[r.name] = why
		}
	}
	return absent
}

// notCovered is the line for an absent requirement.
func (r requirement) notCovered(why string) string {
	return fmt.Sprintf("NOT COVERED: %s (no %s: %s). %s.", r.uncovered, r.name, why, r.wayOut)
}

func noCCompiler(env goEnv) string {
	if env.CGO != "1" {
		return fmt.Sprintf("CGO_ENABLED is %q", env.CGO)
	}
	// CC may carry flags: "clang -m64".
	fields := strings.Fields(env.CC)
	if len(fields) == 0 {
		return "CC is empty"
	}
	if _, err := exec.LookPath(fields[0]); err != nil {
		return fmt.Sprintf("the C compiler %q is not on PATH", fields[0])
	}
	return ""
}

// noRuntimes names the languages of the pipe protocol's workers that are not
// here; those that are, are tested. Each is started: some systems have a program
// of the name that only says how to get it.
func noRuntimes(goEnv) string {
	var gone []string
	for _, cmd := range [][]string{{"python3", "--version"}, {"node", "--version"}, {"java", "-version"}, {"bash", "--version"}} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if err := exec.CommandContext(ctx, cmd[0], cmd[1:]...).Run(); err != nil {
			gone = append(gone, cmd[0])
		}
		cancel()
	}
	if len(gone) == 0 {
		return ""
	}
	return strings.Join(gone, ", ") + " cannot be started"
}

func noPromtool(goEnv) string {
	if _, err := exec.LookPath("promtool"); err != nil {
		return "it is not on PATH"
	}
	return ""
}
