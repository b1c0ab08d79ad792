//go:build !linux && !darwin

package kafkatest

import (
	"context"
	"errors"
	"os"
)

func pause(*os.Process) error  { return errors.ErrUnsupported }
func resume(*os.Process) error { return errors.ErrUnsupported }

// terminate has no gentle form here.
func terminate(p *os.Process) error { return p.Kill() }

// lock does nothing here: two processes may download the same twice.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
