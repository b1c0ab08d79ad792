package kafkatest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func fakeDownload(_ context.Context, _, dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "jars"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "jars", "kafka.jar"), nil, 0o644)
}

func TestJarsAreCompleteOrAbsent(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "new", "cache")
	broken := errors.New("no network")
	_, err := jarsIn(t.Context(), cache, "1.2.3", func(ctx context.Context, version, dir string) error {
		return errors.Join(fakeDownload(ctx, version, dir), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatalf("error %v, want %v", err, broken)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "1.2.3*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != "1.2.3.lock" {
		t.Errorf("a failed download leaves %v (%v), want only the lock's file", left, err)
	}

	// Whoever comes later, and at the same time, gets the one folder.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := jarsIn(t.Context(), cache, "1.2.3", fakeDownload)
			if err != nil {
				t.Error(err)
			} else if _, err := os.Stat(filepath.Join(dir, "kafka.jar")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, err = jarsIn(t.Context(), cache, "1.2.3", func(context.Context, string, string) error {
		return errors.New("downloaded again")
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFirstError(t *testing.T) {
	const out = "[WARNING] old\n[ERROR] Failed to execute: no such version\n[ERROR] see above\n"
	if got := firstError(out); got != "[ERROR] Failed to execute: no such version" {
		t.Errorf("got %q", got)
	}
	if got := firstError("JAVA_HOME is not set\n"); got != "JAVA_HOME is not set" {
		t.Errorf("got %q", got)
	}
}
