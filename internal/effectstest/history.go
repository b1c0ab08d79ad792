package effectstest

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A change is what one commit did to one file.
type change struct {
	Path   string `json:"path"` // the ordering key
	Seq    int    `json:"seq"`  // 1, 2, 3 ... per path
	Op     string `json:"op"`   // A added, M modified, T type changed, D deleted
	Commit string `json:"commit"`
}

// A file is the end of one path: its last commit and how many changes it had.
type file struct {
	commit  string
	changes int
}

const (
	// HistoryEnv names another history than the bundled sample, and TruthEnv its end.
	HistoryEnv = "ORDERLY_HISTORY"
	TruthEnv   = "ORDERLY_HISTORY_TRUTH"
)

// load reads the changes, in their order, and the files that are there in the end.
func load(t testing.TB) (changes []change, truth map[string]file) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	sample := filepath.Join(filepath.Dir(here), "..", "..", "cmd", "orderly", "internal", "demo", "sample")
	from, end := os.Getenv(HistoryEnv), os.Getenv(TruthEnv)
	if from == "" {
		from, end = filepath.Join(sample, "changes.jsonl.gz"), filepath.Join(sample, "truth.tsv.gz")
	}
	err := lines(from, func(line string) error {
		var c change
		err := json.Unmarshal([]byte(line), &c)
		changes = append(changes, c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	truth = map[string]file{}
	err = lines(end, func(line string) error {
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			return fmt.Errorf("%q is not path, commit and number", line)
		}
		n, err := strconv.Atoi(f[2])
		truth[f[0]] = file{f[1], n}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes, truth
}

func lines(name string, each func(line string) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r := bufio.NewReader(z)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if line != "" {
			if err := each(strings.TrimSuffix(line, "\n")); err != nil {
				return fmt.Errorf("%s line %d: %w", name, n, err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}
