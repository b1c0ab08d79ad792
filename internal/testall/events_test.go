package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func collect(t *testing.T, stream string) (results []packageResult, stray string, unfinished []string) {
	t.Helper()
	c := newCollector(func(r packageResult) { results = append(results, r) })
	stray, err := c.read(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	return results, stray, c.unfinished()
}

func TestCollect(t *testing.T) {
	tests := []struct {
		name, stream string
		want         packageResult
	}{
		{"passed; subtests are not counted", `
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"run","Package":"m/a","Test":"TestA/sub"}
{"Action":"output","Package":"m/a","Test":"TestA/sub","Output":"words\n"}
{"Action":"pass","Package":"m/a","Test":"TestA/sub"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t1.5s\n"}
{"Action":"pass","Package":"m/a","Elapsed":1.5}`,
			packageResult{path: "m/a", elapsed: 1500 * time.Millisecond, passed: 1, all: "words\nok  \tm/a\t1.5s\n"}},

		{"a failure prints itself, with its subtests, and not its neighbours", `
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"good\n"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"run","Package":"m/a","Test":"TestB"}
{"Action":"run","Package":"m/a","Test":"TestB/sub"}
{"Action":"output","Package":"m/a","Test":"TestB/sub","Output":"bad\n"}
{"Action":"fail","Package":"m/a","Test":"TestB/sub"}
{"Action":"output","Package":"m/a","Test":"TestB","Output":"--- FAIL: TestB\n"}
{"Action":"fail","Package":"m/a","Test":"TestB"}
{"Action":"output","Package":"m/a","Output":"FAIL\n"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.1s\n"}
{"Action":"fail","Package":"m/a"}`,
			packageResult{path: "m/a", passed: 1, failed: 1, failing: []string{"TestB"},
				output: "bad\n--- FAIL: TestB\n", all: "good\nbad\n--- FAIL: TestB\nFAIL\nFAIL\tm/a\t0.1s\n"}},

		{"the process dies under a test", `
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"fatal error\n"}
{"Action":"output","Package":"m/a","Output":"exit status 2\n"}
{"Action":"fail","Package":"m/a"}`,
			packageResult{path: "m/a", failed: 1, failing: []string{"TestA"},
				output: "fatal error\nexit status 2\n", all: "fatal error\nexit status 2\n"}},

		{"all tests pass and the package fails: a leak found at its end", `
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Output":"goleak: 1 goroutine\n"}
{"Action":"fail","Package":"m/a"}`,
			packageResult{path: "m/a", passed: 1, failed: 1, output: "goleak: 1 goroutine\n", all: "goleak: 1 goroutine\n"}},

		{"it does not compile", `
{"ImportPath":"m/a [m/a.test]","Action":"build-output","Output":"# m/a [m/a.test]\n"}
{"ImportPath":"m/a [m/a.test]","Action":"build-output","Output":"a.go:1:1: broken\n"}
{"ImportPath":"m/a [m/a.test]","Action":"build-fail"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}
{"Action":"fail","Package":"m/a","FailedBuild":"m/a [m/a.test]"}`,
			packageResult{path: "m/a", failed: 1,
				output: "# m/a [m/a.test]\na.go:1:1: broken\n", all: "FAIL\tm/a [build failed]\n"}},

		{"repeated by -count: the failed round's output stays", `
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"bad\n"}
{"Action":"fail","Package":"m/a","Test":"TestA"}
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"fail","Package":"m/a"}`,
			packageResult{path: "m/a", passed: 1, failed: 1, failing: []string{"TestA"}, output: "bad\n", all: "bad\n"}},

		{"a test that skips itself is neither passed nor failed", `
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"skip","Package":"m/a","Test":"TestA"}
{"Action":"pass","Package":"m/a"}`,
			packageResult{path: "m/a", skipped: []string{"TestA"}}},

		{"no test files", `
{"Action":"output","Package":"m/a","Output":"?   \tm/a\t[no test files]\n"}
{"Action":"skip","Package":"m/a"}`,
			packageResult{path: "m/a", all: "?   \tm/a\t[no test files]\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			results, stray, unfinished := collect(t, strings.TrimSpace(test.stream))
			if len(results) != 1 || !reflect.DeepEqual(results[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", results, test.want)
			}
			if stray != "" || len(unfinished) > 0 {
				t.Errorf("stray %q, unfinished %v", stray, unfinished)
			}
		})
	}
}

func TestCollectInterrupted(t *testing.T) {
	results, stray, unfinished := collect(t, `go: some words of its own
{"Action":"run","Package":"m/b","Test":"TestB"}
{"Action":"start","Package":"m/a"}
`)
	if len(results) != 0 || stray != "go: some words of its own\n" || !reflect.DeepEqual(unfinished, []string{"m/a", "m/b"}) {
		t.Errorf("results %v, stray %q, unfinished %v", results, stray, unfinished)
	}
}
