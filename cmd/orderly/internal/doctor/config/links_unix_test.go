//go:build unix

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
)

// Links in a circle, links to nowhere and pipes neither hang nor end the rest.
func TestLinksAndPipes(t *testing.T) {
	dir := write(t, map[string]string{"a/producer.properties": good})
	for link, to := range map[string]string{"a/up": dir, "b": "c", "c": "b", "gone.properties": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(dir, "pipe.properties")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	set := read(t, config.Options{Paths: []string{dir, pipe}})
	if len(set.Units) != 1 {
		t.Errorf("%d units", len(set.Units))
	}
	got := skipped(set)
	if strings.Contains(got, "folders in each other") {
		t.Errorf("a link that leads back was followed:\n%s", got)
	}
	for _, want := range []string{"b: a link", "c: a link", "gone.properties: a link", "pipe.properties: not a file"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not named in\n%s", want, got)
		}
	}
}
