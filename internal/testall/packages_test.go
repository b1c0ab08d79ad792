package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What "go list -test -json" prints for a package with rapid tests of its own
// (a variant of it is listed too), one with plain tests, and one with none.
const listing = `
{"ImportPath": "m/a", "Name": "a", "Module": {"Path": "m"}, "TestGoFiles": ["a_test.go"], "XTestGoFiles": ["x_test.go"]}
{"ImportPath": "m/a.test", "Name": "main", "Module": {"Path": "m"}, "Deps": ["fmt", "m/a [m/a.test]", "pgregory.net/rapid"]}
{"ImportPath": "m/a [m/a.test]", "ForTest": "m/a", "Name": "a", "Module": {"Path": "m"}, "TestGoFiles": ["a_test.go"]}
{"ImportPath": "m/a_test [m/a.test]", "ForTest": "m/a", "Name": "a_test", "Module": {"Path": "m"}}
{"ImportPath": "m/b", "Name": "b", "Module": {"Path": "m"}, "TestGoFiles": ["b_test.go"]}
{"ImportPath": "m/b.test", "Name": "main", "Module": {"Path": "m"}, "Deps": ["fmt"]}
{"ImportPath": "m/sub", "Name": "main", "Module": {"Path": "m/sub"}}
`

func TestParsePackages(t *testing.T) {
	got, err := parsePackages(strings.NewReader(listing))
	want := []testPackage{
		{path: "m/a", module: "m", testFiles: []string{"a_test.go", "x_test.go"}, rapid: true},
		{path: "m/b", module: "m", testFiles: []string{"b_test.go"}},
		{path: "m/sub", module: "m/sub"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestVirtual(t *testing.T) {
	plain := []testPackage{
		{path: "m/both", testFiles: []string{"a_test.go"}},
		{path: "m/none", testFiles: []string{"a_test.go"}},
		{path: "m/not", testFiles: []string{"a_test.go", "real_time_test.go"}},
	}
	tagged := []testPackage{
		{path: "m/both", testFiles: []string{"a_test.go", "virtual_test.go"}},
		{path: "m/none", testFiles: []string{"a_test.go"}},
		{path: "m/not", testFiles: []string{"a_test.go"}},
		{path: "m/only", testFiles: []string{"virtual_test.go"}}, // not even listed without the tag
	}
	var got []string
	for _, p := range virtual(plain, tagged) {
		got = append(got, p.path)
	}
	if want := []string{"m/both", "m/only"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBatches(t *testing.T) {
	plain := []testPackage{
		{path: "m/a", module: "m", rapid: true},
		{path: "m/b", module: "m"},
		{path: "m/c", module: "m"},
		{path: "m/e", module: "m"},
		{path: "m/f", module: "m", rapid: true},
		{path: "m/sub/d", module: "m/sub"},
	}
	defer func(before []string) { onKafka = before }(onKafka)
	defer func(before map[string]string) { onKafkaOnly = before }(onKafkaOnly)
	defer func(before map[string]string) { withGoroutines = before }(withGoroutines)
	onKafka, onKafkaOnly = []string{"m/c"}, map[string]string{"m/b": "^TestB$"}
	withGoroutines = map[string]string{"m/e": "^TestE$", "m/f": ""}
	tests := []struct {
		module string
		want   []batch
	}{
		{"m", []batch{
			{module: "m", pkgs: []string{"m/b", "m/c"}},
			{module: "m", rapid: true, pkgs: []string{"m/a"}},
			{module: "m", noRace: true, pkgs: []string{"m/e"}},
			{module: "m", noRace: true, rapid: true, pkgs: []string{"m/f"}},
			{module: "m", only: "^TestE$", pkgs: []string{"m/e"}},
			{module: "m", tags: virtualTag, rapid: true, pkgs: []string{"m/a"}},
			{module: "m", kafka: true, pkgs: []string{"m/c"}},
			{module: "m", kafka: true, only: "^TestB$", pkgs: []string{"m/b"}},
		}},
		{"m/sub", []batch{{module: "m/sub", pkgs: []string{"m/sub/d"}}}},
		{"m/empty", nil},
	}
	for _, test := range tests {
		t.Run(test.module, func(t *testing.T) {
			if got := batches(test.module, plain, plain[:1]); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// A package that uses real Kafka and is not listed would never get it.
func TestOnKafkaIsComplete(t *testing.T) {
	const path = "github.com/orderly-go/orderly/internal/kafkatest"
	out, err := goOutput("", "list", "-e", "-f", "{{.ImportPath}} {{.TestImports}} {{.XTestImports}}", "work")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(strings.FieldsFunc(imports, func(r rune) bool { return strings.ContainsRune(" []", r) }), path) && !slices.Contains(onKafka, pkg) {
			t.Errorf("the tests of %s import %s, and onKafka does not name it: they would not run on real Kafka", pkg, path)
		}
	}
}
