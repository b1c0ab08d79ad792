package prove

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test program stand for a program of the user's.
func TestMain(m *testing.M) {
	if how := os.Getenv(programEnv); how != "" {
		os.Exit(userProgram(how))
	}
	if how := os.Getenv(consumerEnv); how != "" {
		os.Exit(userConsumer(how))
	}
	goleak.VerifyTestMain(m)
}
