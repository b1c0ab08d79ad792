package localbroker

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// markerName is the file that is there only between a clean end and the next
// start: without it the state that kfake saves at its end is old or missing.
const markerName = "orderly.clean"

func endedCleanly(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, markerName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func removeMarker(dir string) error {
	if err := os.Remove(filepath.Join(dir, markerName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

func writeMarker(dir string) error {
	return writeFile(filepath.Join(dir, markerName), []byte(time.Now().Format(time.RFC3339Nano)+"\n"))
}

// writeFile writes a whole file that is on disk, or not there, after a crash.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp" // kfake removes such files when it loads
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes names in a directory last. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
