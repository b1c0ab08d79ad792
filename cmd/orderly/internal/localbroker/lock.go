package localbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// lockName is the file whose lock is the right to use the directory. It is
// never removed: a process that waits with the file open would then lock a file
// that the next one does not see.
const lockName = "orderly.lock"

// A holder is what the lock file tells about the process that holds the lock.
type holder struct {
	Address   string    `json:"address"` // empty until it answers
	PID       int       `json:"pid"`
	Started   time.Time `json:"started"`
	ClusterID string    `json:"cluster_id"`
	Call      bool      `json:"call,omitempty"` // it serves for one command, and ends with that
}

type dirLock struct {
	f *os.File
}

// errLocked is lockFile's answer when another process has the lock.
var errLocked = errors.New("locked by another process")

// lockDir takes the directory for this process, or says who has it.
func lockDir(ctx context.Context, dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, &DataError{dir, "opening its lock file", err}
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		if !errors.Is(err, errLocked) {
			return nil, &DataError{dir, "locking " + lockName, err}
		}
		h, _ := readHolder(ctx, dir)
		return nil, &InUseError{dir, h.Address, h.PID, h.Started}
	}
	return &dirLock{f}, nil
}

// tell writes who holds the lock. Readers may come between the two writes: they
// read again what does not parse.
func (l *dirLock) tell(h holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err = l.f.WriteAt(append(b, '\n'), 0)
	return err
}

// release drops the lock. The file says nothing from then on: its address is
// another's soon.
func (l *dirLock) release() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

// readHolder reads what the lock file tells. It waits a moment for a holder
// that is about to write; an empty file is no error, and tells nothing.
func readHolder(ctx context.Context, dir string) (h holder, err error) {
	const tries, pause = 20, 10 * time.Millisecond
	for range tries {
		var b []byte
		b, err = readAll(filepath.Join(dir, lockName))
		if errors.Is(err, os.ErrNotExist) {
			return holder{}, nil
		} else if err == nil && len(b) > 0 {
			if err = json.Unmarshal(b, &h); err == nil {
				return h, nil
			}
			err = fmt.Errorf("%s: %w", lockName, err)
		}
		select {
		case <-ctx.Done():
			return holder{}, ctx.Err()
		case <-time.After(pause):
		}
	}
	return holder{}, err
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}
