//go:build linux || darwin

package localbroker

import (
	"os"
	"strconv"
	"syscall"
)

// limitFileSize makes writes fail as on a full disk, also in the middle: a file
// of this process takes no more than so many bytes.
func limitFileSize() {
	if s := os.Getenv(limitEnv); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err == nil {
			l := syscall.Rlimit{Cur: n, Max: n}
			err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
		}
		if err != nil {
			panic(err)
		}
	}
}
