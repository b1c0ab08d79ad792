package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// childrenTime is the processor time of a process's running children, from /proc; where
// there is none, it is zero.
func childrenTime(pid int) (sum time.Duration) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may hold anything; behind it are the state and the parent.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		var ran int64 // nanoseconds
		if text, err = os.ReadFile(filepath.Join(filepath.Dir(stat), "schedstat")); err == nil {
			_, _ = fmt.Sscan(string(text), &ran)
		}
		sum += time.Duration(ran)
	}
	return sum
}
