package orderly_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	namedTest = regexp.MustCompile(`\bTest[A-Z]\w*(?:\.\.\.)?`)
)

// testNames are the tests of all modules, and where they are.
func testNames(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllSubmatch(src, -1) {
			all[string(m[1])] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 500 {
		t.Fatalf("%d tests were found: this test does not look at the right place any more", len(all))
	}
	return all
}

// A promise names the test that fails when it is broken: each test that the
// documentation names is there, each row of a table names one, and each test of a row
// or of the invariant stands with its promise.
func TestPromisesNameTheirTests(t *testing.T) {
	tests := testNames(t)
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	docs = append(append(docs, more...), "README.md", "CONTRIBUTING.md")
	for _, doc := range docs {
		text := readDoc(t, doc)
		for _, name := range namedTest.FindAllString(text, -1) {
			begins, some := strings.CutSuffix(name, "...")
			_, there := tests[name]
			if some {
				for test := range tests {
					there = there || strings.HasPrefix(test, begins)
				}
			}
			if !there {
				t.Errorf("%s names %s, and there is no such test", doc, name)
			}
		}
	}
	const promises = "docs/guarantees.md"
	text := readDoc(t, promises)
	rows := 0
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		head := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|---")
		if !strings.HasPrefix(line, "| ") || head {
			continue
		}
		rows++
		if !strings.Contains(line, "`Test") {
			t.Errorf("%s:%d: a row without a test: %.80s", promises, i+1, line)
		}
	}
	if rows < 35 {
		t.Errorf("%s has %d rows: this test does not read it as it is written", promises, rows)
	}
	named := namedTest.FindAllString(text, -1)
	for name, path := range tests {
		if isPromise := strings.HasPrefix(name, "TestRow") || strings.HasPrefix(name, "TestInvariant"); isPromise && !slices.Contains(named, name) {
			t.Errorf("%s in %s belongs to no promise of %s", name, path, promises)
		}
	}
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
