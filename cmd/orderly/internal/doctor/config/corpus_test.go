package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
)

// A corpusCase is a small project, the rules that must be found in it and no others,
// and those that it misses by little.
type corpusCase struct {
	name    string
	want    []string
	misses  []string
	options []string
	files   map[string]string
}

// corpus reads testdata/corpus: "=== name | ids | ~ids of near misses | options", then
// "--- path" before each file.
func corpus(t *testing.T) (cases []corpusCase) {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var file string
		for line := range strings.Lines(string(raw)) {
			switch {
			case strings.HasPrefix(line, "=== "):
				parts := append(strings.Split(strings.TrimSpace(line[4:]), "|"), "", "", "")
				c := corpusCase{name: filepath.Base(p) + ": " + strings.TrimSpace(parts[0]), want: strings.Fields(parts[1]), options: strings.Fields(parts[3]), files: map[string]string{}}
				for _, m := range strings.Fields(parts[2]) {
					c.misses = append(c.misses, strings.TrimPrefix(m, "~"))
				}
				cases = append(cases, c)
				file = ""
			case strings.HasPrefix(line, "--- "):
				file = strings.TrimSpace(line[4:])
			case file != "":
				cases[len(cases)-1].files[file] += line
			}
		}
	}
	return cases
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil { // the top of the project
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Each rule that files can decide is found where it has to be, and is not where it
// misses by little: precision and recall are 1.
func TestCorpus(t *testing.T) {
	hits, misses := map[string]int{}, map[string]int{}
	found, right, wanted := 0, 0, 0
	for _, c := range corpus(t) {
		dir := write(t, c.files)
		o := config.Options{Paths: []string{dir}}
		for _, opt := range c.options {
			name, val, _ := strings.Cut(opt, "=")
			switch name {
			case "record-time":
				d, err := time.ParseDuration(val)
				if err != nil {
					t.Fatal(err)
				}
				o.RecordTime = d
			case "version":
				o.Version = val
			}
		}
		set, err := config.Read(o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if len(set.Skipped) > 0 {
			t.Errorf("%s: not read: %+v", c.name, set.Skipped)
		}
		var got []string
		for _, f := range rules.Run(set).Findings {
			if !slices.Contains(got, f.Rule.ID) {
				got = append(got, f.Rule.ID)
			}
			if f.What == "" || f.Fix == "" || len(f.Where) == 0 {
				t.Errorf("%s: %s says too little: %+v", c.name, f.Rule.ID, f)
			}
		}
		found += len(got)
		wanted += len(c.want)
		for _, id := range c.want {
			hits[id]++
			if slices.Contains(got, id) {
				right++
			} else {
				t.Errorf("%s: %s was not found; found %v", c.name, id, got)
			}
		}
		for _, id := range got {
			if !slices.Contains(c.want, id) {
				t.Errorf("%s: %s was found, and should not be", c.name, id)
			}
		}
		for _, id := range c.misses {
			if slices.Contains(c.want, id) {
				t.Errorf("%s: %s cannot be both", c.name, id)
			}
			misses[id]++
		}
	}
	automatic := 0
	for _, r := range rules.All() {
		if !r.Automatic() {
			continue
		}
		automatic++
		if hits[r.ID] < 2 || misses[r.ID] < 2 {
			t.Errorf("%s has %d cases in the corpus that must be found, and %d near misses: two of each, in the words of two clients where it is so", r.ID, hits[r.ID], misses[r.ID])
		}
	}
	fmt.Printf("corpus: %d rules, precision %.3f (%d of %d), recall %.3f (%d of %d)\n", automatic, ratio(right, found), right, found, ratio(right, wanted), right, wanted)
}

func ratio(a, b int) float64 { return float64(a) / float64(max(b, 1)) }
