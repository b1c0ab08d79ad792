package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A package that is run without the race detector has to be one in which nothing can
// race: neither it nor what it uses of the workspace starts goroutines, and of its
// tests only those that run under the detector as well.
func TestWithGoroutinesIsComplete(t *testing.T) {
	for path, pattern := range withGoroutines {
		t.Run(path, func(t *testing.T) {
			out, err := goOutput("", "list", "-test", "-deps", "-json=ImportPath,Dir,Standard,Module,ForTest,GoFiles,TestGoFiles,XTestGoFiles", path)
			if err != nil {
				t.Fatal(err)
			}
			tests := 0
			for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
				var p struct {
					ImportPath, Dir, ForTest           string
					Standard                           bool
					Module                             *struct{ Path string }
					GoFiles, TestGoFiles, XTestGoFiles []string
				}
				if err := dec.Decode(&p); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				const ours = "github.com/orderly-go/orderly"
				switch {
				case p.Standard || p.ForTest != "" || strings.HasSuffix(p.ImportPath, ".test"):
					continue // of a package's variants for tests, the files are listed with it
				case p.Module.Path == rapidPath || p.ImportPath == "github.com/twmb/franz-go/pkg/kerr":
					continue // it runs the test on the test's goroutine; these are names of errors
				case p.Module.Path != ours && !strings.HasPrefix(p.Module.Path, ours+"/"):
					t.Errorf("it uses %s, which may start goroutines", p.ImportPath)
					continue
				}
				files := p.GoFiles
				if p.ImportPath == path {
					files = slices.Concat(files, p.TestGoFiles, p.XTestGoFiles)
				}
				for _, name := range files {
					tests += noGoroutines(t, filepath.Join(p.Dir, name), pattern)
				}
			}
			if pattern != "" && tests == 0 {
				t.Errorf("no test matches %q", pattern)
			}
		})
	}
}

// noGoroutines fails for whatever may start a goroutine outside of the tests that
// match, and returns how many of those there are.
func noGoroutines(t *testing.T, file, pattern string) (matching int) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains([]string{"net", "net/http", "net/http/httptest", "os/exec", "os/signal", "testing/synctest"}, name) {
			t.Errorf("%s imports %s, which starts goroutines", file, name)
		}
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && pattern != "" && fn.Recv == nil && regexp.MustCompile(pattern).MatchString(fn.Name.Name) {
			matching++
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			what := ""
			switch n := n.(type) {
			case *ast.GoStmt:
				what = "a go statement"
			case *ast.SelectorExpr:
				if slices.Contains([]string{"Go", "Parallel", "RunParallel", "AfterFunc"}, n.Sel.Name) {
					what = n.Sel.Name
				}
			}
			if what != "" {
				t.Errorf("%s: %s: only tests that withGoroutines names may start goroutines", fset.Position(n.Pos()), what)
			}
			return true
		})
	}
	return matching
}
