package demo

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test program stand for the command: the demo starts it again
// as its consumer processes.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == MemberCommand:
		os.Exit(member(os.Args[2:]))
	case len(os.Args) > 1 && os.Args[1] == "crash":
		fmt.Fprintln(os.Stderr, "these are my last words")
		os.Exit(7)
	}
	goleak.VerifyTestMain(m)
}

func member(args []string) int {
	m, err := ParseMember(args)
	if err == nil {
		err = m.Run(os.Stdin, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// small gives the beginning of the sample: whole paths still, because what is cut
// off is later.
func small(t *testing.T, records int) *Input {
	t.Helper()
	in, err := Sample()
	if err != nil {
		t.Fatal(err)
	}
	in.Changes = in.Changes[:records]
	if in.Truth, err = TruthOf(in.Name, in.Changes); err != nil {
		t.Fatal(err)
	}
	return in
}

func testOptions(t *testing.T, records int) Options {
	return Options{
		Partitions: 4, Seed: 1, Version: "test",
		input: small(t, records), session: 3 * time.Second,
	}
}
