package localbroker

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func split(t testing.TB, log []byte) [][]byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, log, 0o644); err != nil {
		t.Fatal(err)
	}
	entries, good, size, err := readLog(path)
	if err != nil || good != size {
		t.Fatal(good, size, err)
	}
	return entries
}

// Wherever a log is cut, its whole entries are read and the next one stands
// right behind them.
func TestLogIsMendedAtEveryCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	whole := append(frame([]byte("first")), frame([]byte("second"))...)
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		entries, good, size, err := readLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := mendLog(path, good, size, frame([]byte("third"))); err != nil {
			t.Fatal(err)
		}
		again, good, size, err := readLog(path)
		if err != nil || good != size || len(again) != len(entries)+1 || string(again[len(again)-1]) != "third" {
			t.Errorf("cut at %d: %d entries, then %q, %d of %d bytes, %v", cut, len(entries), again, good, size, err)
		}
	}
}

func TestNewerLogIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), pidsName)
	b := frame([]byte("x"))
	b[8] = persistVersion + 1
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := readLog(path); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("%v", err)
	}
}
