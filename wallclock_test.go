package orderly

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wallClock are the places where a time becomes one of the wall clock, and why.
var wallClock = map[string]string{
	"admin_commands.go":            "when a command was given, written with it",
	"admin_reset.go":               "a time that the operator named; the token's floor; when a command was given",
	"effects_park.go":              "when it failed, and when it is released, written with what is parked",
	"effects_words.go":             "the same",
	"internal/group/grant.go":      "the token's floor; a time that the user named",
	"internal/parked/partition.go": "releases of parked keys, whose times outlive the process",
	"internal/parked/read.go":      "the same",
	"internal/parked/tend.go":      "the same",
	"park.go":                      "when it failed, written with the parked record; a record's time",
	"park_follow.go":               "a record's time",
	"producer_sender.go":           "a record's time",
}

// Sessions, deadlines, backoff, the breaker and lingering are measured: a clock that is
// set forward or back changes none of them. What is written for other processes to read
// is of the wall clock, here and nowhere else.
func TestTimesAreMeasuredNotRead(t *testing.T) {
	strips := []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "In", "AddDate"}
	used := make(map[string]bool)
	for _, dir := range []string{".", "internal/breaker", "internal/group", "internal/lane", "internal/parked", "internal/produce"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s: %v", len(files), dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			name = filepath.ToSlash(name)
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					return true // makes a time, of what was written
				}
				strip := slices.Contains(strips, sel.Sel.Name)
				if sel.Sel.Name == "Round" || sel.Sel.Name == "Truncate" {
					zero, ok := call.Args[0].(*ast.BasicLit)
					strip = ok && zero.Value == "0"
				}
				if strip {
					used[name] = true
					if wallClock[name] == "" {
						t.Errorf("%s: %s drops the monotonic reading: use Sub and time.Since, or name in wallClock who reads the time elsewhere", fset.Position(call.Pos()), sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wallClock)) {
		if !used[name] {
			t.Errorf("%s is in wallClock, and reads no wall clock", name)
		}
	}
}
