package prove

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test program stand for a program of the user's.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == MemberCommand {
		if err := RunMember(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if how := os.Getenv(programEnv); how != "" {
		os.Exit(userProgram(how))
	}
	if how := os.Getenv(consumerEnv); how != "" {
		os.Exit(userConsumer(how))
	}
	goleak.VerifyTestMain(m)
}
