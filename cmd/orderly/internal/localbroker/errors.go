package localbroker

import (
	"fmt"
	"time"
)

// A UsageError is a setting that cannot work, whatever the state of the
// directory and the machine.
type UsageError struct {
	Setting string // as on the command line: "--listen"
	Value   string
	Rule    string // what it must be, and the way out
}

func (e *UsageError) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Setting, e.Value, e.Rule)
}

// An InUseError says that another process holds the directory.
type InUseError struct {
	Dir     string
	Address string // where it answers; empty while it starts
	PID     int
	Started time.Time
}

func (e *InUseError) Error() string {
	switch {
	case e.PID == 0: // the holder has not written yet who it is
		return fmt.Sprintf("%s is held by another process: one broker at a time serves a directory; wait until it has ended, or choose another one", e.Dir)
	case e.Address == "":
		return fmt.Sprintf("%s is held by process %d (since %s), which is still starting or ending: one broker at a time serves a directory; wait, or choose another one",
			e.Dir, e.PID, e.Started.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s is served already at %s by process %d (since %s): one broker at a time serves a directory; connect to it (-b %s), end it (kill %d), or choose another one",
		e.Dir, e.Address, e.PID, e.Started.Format(time.RFC3339), e.Address, e.PID)
}

// A NotServedError says that no broker answers for the directory.
type NotServedError struct {
	Dir     string
	Address string // what the lock file names; may be empty
	Cause   error
}

func (e *NotServedError) Error() string {
	way := fmt.Sprintf("start one with: orderly broker --data %s", e.Dir)
	if e.Address == "" {
		return fmt.Sprintf("no broker serves %s: %s", e.Dir, way)
	}
	return fmt.Sprintf("no broker for %s answers at %s, which its lock file names (%v): %s", e.Dir, e.Address, e.Cause, way)
}

func (e *NotServedError) Unwrap() error { return e.Cause }

// An EndedError says that the broker of another command, which we used, has ended
// with it.
type EndedError struct {
	Dir string
	PID int
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("the broker of %s has ended: it was that of another command (process %d), and ended with it; for several commands run: orderly broker --data %s",
		e.Dir, e.PID, e.Dir)
}

// A ListenError says that the address cannot be had on this machine.
type ListenError struct {
	Address string
	Cause   error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("cannot listen on %s: %v; end what uses it, or choose another one (--listen 127.0.0.1:0 takes any free port)", e.Address, e.Cause)
}

func (e *ListenError) Unwrap() error { return e.Cause }

// A DataError says that the directory cannot be used as it is. Nothing in it
// was changed that a later start would miss.
type DataError struct {
	Dir   string
	Doing string
	Cause error
}

func (e *DataError) Error() string {
	return fmt.Sprintf("data in %s: %s: %v", e.Dir, e.Doing, e.Cause)
}

func (e *DataError) Unwrap() error { return e.Cause }
