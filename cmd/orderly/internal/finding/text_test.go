package finding

import (
	"bytes"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
)

// Findings come by what to do next, each in the same order of parts; what the check
// did not say comes from the table of rules, without its marks.
func TestLayout(t *testing.T) {
	r := &Report{}
	r.Add(Finding{Rule: "L03", Severity: Note, What: "a note", Where: []string{"here"}})
	r.Add(Finding{Rule: "B07", Severity: Warn, What: "a warning"})
	r.Add(Finding{Rule: "duplicate", Severity: Error, What: "no rule of the table", Where: []string{"key \"a\"", "key \"b\x1b[31m\""}, Damage: "yes", Fix: "stop"})
	r.Add(Finding{Rule: "B05", Severity: Error, What: "an error", Where: []string{"topic orders"}})
	r.Checks("B05", "B07", "L03", "L04")
	r.Cannot("no right", "L04", "B01")
	r.Cannot("another reason", "B02")
	r.Finish()
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"To mend now: breaks the order, or loses records (2)\n\nB05 " + rules.Find("B05").Title + "\n   what    an error\n   where   topic orders\n   damage  ", "   fix     ", "   why     ", "   not if  ", "   source  ",
		"\n\nduplicate\n   what    no rule of the table\n   where   key \"a\"\n           key \"b\\x1b[31m\"\n   damage  yes\n   fix     stop\n\n",
		"To look at: may break the order, or depends on what is not known here (1)\n\nB07 ", "   what    a warning\n   damage  ",
		"To know (1)\n\nL03 ", "Checked: B05, B07, L03.\n", "Not checked: B01, L04: no right\n", "Not checked: B02: another reason\n",
	} {
		i := strings.Index(out.String()[at:], want)
		if i < 0 {
			t.Fatalf("%q is not there, or not behind what comes before it, in\n%s", want, out.String())
		}
		at += i + len(want)
	}
	for _, rule := range rules.All() {
		f := Finding{Rule: rule.ID}
		f.explain()
		if strings.ContainsAny(f.Fix+f.WhenNot, "{}") || f.Fix == "" || f.Title == "" || f.Why == "" || f.Source == "" {
			t.Errorf("%s: %+v", rule.ID, f)
		}
	}
}
