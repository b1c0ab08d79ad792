package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestReport(t *testing.T) {
	good := packageResult{path: "m/a", elapsed: 1200 * time.Millisecond, passed: 34, all: "chatter\n"}
	single := packageResult{path: "m/a", passed: 1}
	bad := packageResult{path: "m/b", passed: 2, failed: 1, failing: []string{"TestB"}, output: "    b_test.go:7: it is 1\nand long\n--- FAIL: TestB\n    --- FAIL: TestB/b (0.00s)\n"}
	skipping := packageResult{path: "m/c", passed: 1, skipped: []string{"TestC/sub"}}
	tests := []struct {
		name            string
		results         []packageResult
		tags            string
		verbose, strict bool
		want            string
		exit            int
	}{
		{"passed", []packageResult{good}, "", false, true, `
ok    m/a  1.2s (34 tests)

3s in all
34 passed, 0 failed
`, 0},
		{"verbose, with a tag", []packageResult{good}, virtualTag, true, false, `
chatter
ok    m/a [synctests]  1.2s (34 tests)

3s in all
34 passed, 0 failed
`, 0},
		{"failed", []packageResult{bad, single}, "", false, false, `
    b_test.go:7: it is 1
and long
--- FAIL: TestB
    --- FAIL: TestB/b (0.00s)
FAIL  m/b  0.0s (2 passed, 1 failed)
ok    m/a  0.0s (1 test)

3s in all
failed: m/b TestB
  b_test.go:7: it is 1
  again: repeat m/b
3 passed, 1 failed
`, 1},
		{"a gap", []packageResult{skipping}, "", false, false, `
ok    m/c  0.0s (1 test)

3s in all
NOT COVERED: m/c TestC/sub (the test skipped itself).
1 passed, 0 failed
`, 0},
		{"a gap where everything is required", []packageResult{skipping}, "", false, true, `
ok    m/c  0.0s (1 test)

3s in all
NOT COVERED: m/c TestC/sub (the test skipped itself).
failed: not everything is covered (CI=true or ORDERLY_REQUIRE_ALL=1 requires it)
1 passed, 1 failed
`, 1},
		{"nothing ran", nil, "", false, false, `

3s in all
failed: no test ran
0 passed, 1 failed
`, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			rep := &report{out: &out}
			for _, r := range test.results {
				rep.packageDone(r, test.tags, "repeat "+r.path, test.verbose)
			}
			exit := rep.finish(test.strict, 3*time.Second)
			if got := "\n" + out.String(); got != test.want || exit != test.exit {
				t.Errorf("exit %d, want %d; got%s\nwant%s", exit, test.exit, got, test.want)
			}
		})
	}
}

func TestLastSaid(t *testing.T) {
	var out strings.Builder
	for i := range 20 {
		fmt.Fprintf(&out, "    a_test.go:%d: %s\n        its next line\ngoroutine 1 [select]:\n", i, strings.Repeat("é", 100*(i%3)))
	}
	lines := lastSaid(out.String())
	if len(lines) != 12 || !strings.HasPrefix(lines[0], "a_test.go:8: ") || !strings.HasPrefix(lines[11], "a_test.go:19: é") {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	for _, l := range lines {
		if len(l) > 303 || !utf8.ValidString(l) {
			t.Errorf("a line of %d bytes: %q", len(l), l)
		}
	}
}

func TestRepeat(t *testing.T) {
	r := &runner{options: options{seed: 7, count: 1, timeout: time.Minute, run: "Test"}, race: true}
	tests := []struct {
		name string
		b    batch
		p    packageResult
		want string
	}{
		{"tests", batch{}, packageResult{path: "m/a", failing: []string{"TestA", "TestB"}},
			`go test -count=1 -timeout=1m0s -race '-run=^(TestA|TestB)$' m/a`},
		{"a package as a whole, in virtual time, with rapid", batch{tags: virtualTag, rapid: true}, packageResult{path: "m/a"},
			`go test -count=1 -timeout=1m0s -race -tags=synctests -run=Test m/a -args -rapid.seed=7`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := r.repeat(test.b, test.p); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
