package main

import (
	"os"
	"testing"
)

// asCommand makes the test program be the command; it is inherited by the
// processes that the command starts.
const asCommand = "ORDERLY_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "1" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}
