package main

import (
	"os"
	"strings"
	"testing"
)

func TestNoCCompiler(t *testing.T) {
	self, err := os.Executable() // something that surely can be executed
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  goEnv
		want string // part of the reason; "" when there is a compiler
	}{
		{"present", goEnv{CGO: "1", CC: self}, ""},
		{"present, with flags", goEnv{CGO: "1", CC: self + " -m64"}, ""},
		{"cgo off", goEnv{CGO: "0", CC: self}, "CGO_ENABLED"},
		{"not installed", goEnv{CGO: "1", CC: "no-such-compiler -m64"}, `"no-such-compiler"`},
		{"unset", goEnv{CGO: "1"}, "CC is empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := noCCompiler(test.env)
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	here := requirement{name: "here", missing: func(goEnv) string { return "" }}
	gone := requirement{
		name:      "thing",
		missing:   func(goEnv) string { return "not on PATH" },
		uncovered: "what needs it",
		wayOut:    "Install it",
	}
	got := missing([]requirement{here, gone}, goEnv{})
	if len(got) != 1 || got["thing"] != "not on PATH" {
		t.Fatalf("missing: %v", got)
	}
	const want = "NOT COVERED: what needs it (no thing: not on PATH). Install it."
	if line := gone.notCovered(got["thing"]); line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}

func TestRequirementsAreComplete(t *testing.T) {
	for _, r := range requirements {
		if r.name == "" || r.missing == nil || r.uncovered == "" || r.wayOut == "" {
			t.Errorf("requirement %q lacks a field", r.name)
		}
	}
}
