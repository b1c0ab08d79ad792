package explain

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/explain.md anew")

const (
	docPath   = "../../../../docs/explain.md"
	generated = "## What it knows\n"
)

// The list in docs/explain.md is what is known here.
func TestDocIsNotStale(t *testing.T) {
	raw, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	head, list, _ := strings.Cut(string(raw), generated)
	var b strings.Builder
	fmt.Fprintf(&b, "\nGenerated from the tables of cmd/orderly/internal/explain (`go test ./cmd/orderly/internal/explain -run DocIsNotStale -update`).\n\n")
	b.WriteString("| id | severity | code | what it is | client's words | rules |\n|---|---|---|---|---|---|\n")
	for _, e := range Entries() {
		code := ""
		if e.Code != 0 {
			code = fmt.Sprint(e.Code)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", e.ID, e.Severity, code, e.Title, words(e), strings.Join(e.Rules, ", "))
	}
	fmt.Fprintf(&b, "\nThe protocol's other errors, which have little to do with order, are explained in a sentence each:\n")
	var names []string
	for _, c := range Codes() {
		names = append(names, fmt.Sprintf("%s (%d)", c.Name, c.Code))
	}
	b.WriteString(strings.Join(names, ", ") + ".\n")
	if *update {
		if err := os.WriteFile(docPath, []byte(head+generated+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if list != b.String() {
		t.Errorf("docs/explain.md is stale: run this test with -update")
	}
	// The fields that it describes are those that there are.
	for _, v := range []any{reportJSON{}, findingJSON{}, entryJSON{}, Facts{}, Cause{}, Link{}, Evidence{}} {
		ty := reflect.TypeOf(v)
		for i := range ty.NumField() {
			field, _, _ := strings.Cut(ty.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(head, "`"+field+"`") {
				t.Errorf("docs/explain.md does not name the field %q of %s", field, ty)
			}
		}
	}
}

// words are the texts by which an entry is recognised.
func words(e *Entry) string {
	var all []string
	for _, n := range slices.Concat(e.Names, e.Loose) {
		if len(all) < 2 {
			all = append(all, "`"+n+"`")
		}
	}
	n := 0
	for _, p := range patterns {
		if p.entry == e.ID && n < 3 {
			all, n = append(all, "\""+p.stem+"\""), n+1
		}
	}
	return strings.ReplaceAll(strings.Join(all, ", "), "|", "\\|")
}
