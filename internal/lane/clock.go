package lane

import "time"

// A Clock is where the package takes the time from. Tests give their own.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f on its own goroutine when d has passed, unless the
	// returned stop function was called before; stop reports whether it
	// prevented the call.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// SystemClock is the clock of package time; inside a testing/synctest bubble
// that is the bubble's virtual time.
type SystemClock struct{}

// Now returns time.Now().
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (SystemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}
