// Command testall runs every test of every module of go.work: it is what
// "make test" runs, and it needs nothing but Go.
//
//	go run ./internal/testall [-soak] [-run regexp] [-v] [-count n] [-timeout d]
//
// It exists because one "go test" cannot do it: the modules have different
// test flags (only some packages know rapid's), the race detector is there only
// with a C compiler, and tests in virtual time need a build tag that the others
// must also pass without. The tests on real Kafka run beside the others. Its last line
// is "N passed, N failed", and it exits 0 when nothing failed, else 1 (2 for a wrong flag).
//
// The environment: ORDERLY_SEED replays a run's random inputs, ORDERLY_SOAK=1 is
// -soak, CI=true or ORDERLY_REQUIRE_ALL=1 turns what is not covered into a failure.
package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"strconv"
	"time"
)

func main() {
	opts, err := parseOptions(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		os.Exit(2)
	}
	os.Exit(run(opts, os.Stdout))
}

// options are one run's settings, from flags and environment.
type options struct {
	seed    uint64
	soak    bool
	strict  bool // what is not covered is a failure
	run     string
	verbose bool
	count   int
	timeout time.Duration
}

const (
	testTimeout = 10 * time.Minute
	soakTimeout = 4 * time.Hour
)

func parseOptions(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("testall", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.soak, "soak", getenv("ORDERLY_SOAK") == "1", "full counts: takes hours, not minutes")
	fs.StringVar(&o.run, "run", "", "only tests that match this `regexp`, as in go test")
	fs.BoolVar(&o.verbose, "v", false, "print every test's output, not only that of failing ones")
	fs.IntVar(&o.count, "count", 1, "run each test `n` times")
	fs.DurationVar(&o.timeout, "timeout", 0, "limit per package (default 10m, with -soak 4h)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	usage := func(err error) (options, error) {
		fmt.Fprintln(stderr, "testall:", err)
		return o, err
	}
	if fs.NArg() > 0 {
		return usage(fmt.Errorf("unexpected argument %q: it always runs all modules; use go test for one package", fs.Arg(0)))
	}
	if o.timeout == 0 {
		o.timeout = testTimeout
		if o.soak {
			o.timeout = soakTimeout
		}
	}
	o.strict = getenv("CI") == "true" || getenv("ORDERLY_REQUIRE_ALL") == "1"
	var err error
	if o.seed, err = chooseSeed(getenv("ORDERLY_SEED")); err != nil {
		return usage(err)
	}
	return o, nil
}

// chooseSeed is never 0, because rapid takes 0 for "choose one yourself", and a
// fresh one is at most 32 bits, because people type it.
func chooseSeed(given string) (uint64, error) {
	if given == "" {
		n, err := rand.Int(rand.Reader, big.NewInt(1<<32-1))
		if err != nil {
			return 0, err
		}
		return n.Uint64() + 1, nil
	}
	seed, err := strconv.ParseUint(given, 10, 63)
	if err != nil || seed == 0 {
		return 0, fmt.Errorf("ORDERLY_SEED=%q: want a whole number from 1 to 2^63-1", given)
	}
	return seed, nil
}
