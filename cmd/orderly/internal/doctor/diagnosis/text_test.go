package diagnosis

import (
	"bytes"
	"strings"
	"testing"
)

// Names of files and what is in them come from others: a terminal must not obey them.
func TestTextShowsControlCharacters(t *testing.T) {
	r := &Report{
		Findings: []Finding{{Rule: "P15", Severity: "error", Where: []Where{{File: "a\x1b[31m.properties", Line: 1, Text: "acks = 1\x07"}}}},
		Units:    []Unit{{Kind: "producer", File: "b\u009b31m", Effective: []Setting{{Name: "retries", Value: "1\n2"}}}},
		Skipped:  []Skipped{{File: "c\r", Why: "it is empty"}},
	}
	var out bytes.Buffer
	if err := r.Text(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`a\x1b[31m.properties:1  acks = 1\x07`, `b\x9b31m`, `1\x0a2`, `c\x0d  it is empty`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%q", want, out.String())
		}
	}
	if i := strings.IndexAny(out.String(), "\x1b\x07\r\u009b"); i >= 0 {
		t.Errorf("a control character at %d of %q", i, out.String())
	}
}
