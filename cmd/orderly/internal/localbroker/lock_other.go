//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package localbroker

import (
	"errors"
	"os"
	"runtime"
)

// lockFile refuses: two brokers on one directory destroy it, so without locks
// there is none.
func lockFile(*os.File) error {
	return errors.New("no file locks on " + runtime.GOOS + ": use a Kafka broker (-b) instead of a directory")
}
