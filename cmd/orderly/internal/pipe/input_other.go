//go:build !linux

package pipe

import "os"

// unreadIn cannot be known here.
func unreadIn(*os.File) int { return -1 }
