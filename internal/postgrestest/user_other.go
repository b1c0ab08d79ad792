//go:build !unix

package postgrestest

import (
	"errors"
	"os/exec"
)

var errNotUnix = errors.New("its tests run on Unix systems only")

func user() (any, error)       { return nil, errNotUnix }
func asUser(_ *exec.Cmd) error { return errNotUnix }
func own(string) error         { return errNotUnix }
