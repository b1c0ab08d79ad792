package orderly

import (
	"testing"
	"time"
)

// The clock follows the time that has passed, and looks at the wall clock again
// after a second: when that was moved meanwhile it is followed.
func TestProducerClockIsReadAgain(t *testing.T) {
	var c clock
	first := c.at(0)
	if got := c.at(900 * time.Millisecond).Sub(first); got != 900*time.Millisecond {
		t.Errorf("900 ms later it is %s later", got)
	}
	// The wall clock says that hardly any time has passed.
	if got := c.at(time.Hour).Sub(first); got > time.Minute {
		t.Errorf("it went on by %s without being read again", got)
	}
}
