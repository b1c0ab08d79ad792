package rules

//go:generate go run ./gen

import (
	"fmt"
	"sort"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// Page is docs/rules.md.
func Page() string {
	var b strings.Builder
	auto := 0
	for _, r := range all {
		if r.Automatic() {
			auto++
		}
	}
	fmt.Fprintf(&b, `# Rules of orderly doctor

Made from the table of rules by `+"`go generate`"+` (cmd/orderly/internal/doctor/rules); do not edit. An id never changes its meaning.
%d rules; `+"`orderly doctor config`"+` decides %d of them, wholly or in part, from files. The others need a cluster, the records of a topic, or an answer of yours.

`+"`error`"+` breaks the order or loses records, `+"`warn`"+` may, `+"`note`"+` is worth knowing. Settings are written as the Java client writes them; findings write them as your client does.

| id | rule | severity | decided from |
|---|---|---|---|
`, len(all), auto)
	for _, r := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.ID, strings.ToLower(r.ID), r.Title, r.Severity, needs(r))
	}
	titles := map[byte]string{'P': "Producers", 'X': "Connect and frameworks", 'K': "Keys", 'C': "Consumers", 'B': "Brokers and topics", 'T': "Transactions", 'L': "What is in the log"}
	last := byte(0)
	for _, r := range all {
		if r.ID[0] != last {
			last = r.ID[0]
			fmt.Fprintf(&b, "\n## %s\n", titles[last])
		}
		fmt.Fprintf(&b, "\n### %s\n\n**%s** (%s; %s)\n\n%s", r.ID, r.Title, r.Severity, needs(r), r.Text("- "))
	}
	return b.String()
}

func needs(r *Rule) string {
	var n []string
	for _, s := range r.Needs {
		n = append(n, string(s))
	}
	return strings.Join(n, ", ")
}

// Text is what there is to say of a rule, each line behind a mark.
func (r *Rule) Text(mark string) string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s%s: %s\n", mark, name, text)
		}
	}
	line("Versions", r.Versions)
	line("Cause", r.Cause)
	line("Diagnosis", r.Diagnosis)
	line("Fix", fixText(r, nil))
	var of []string
	for c := range r.Fixes {
		of = append(of, c)
	}
	sort.Strings(of)
	for _, c := range of {
		v := facts.View{Unit: facts.NewUnit(facts.Producer, facts.Client(c), facts.Place{}), Client: facts.Client(c)}
		line("Fix with "+c, fixText(r, &v))
	}
	line("Why", r.Why)
	line("Not if", spelled(r.WhenNot, nil))
	line("Is data damaged", r.Damage)
	line("How to prove it", r.Prove)
	line("Source", r.Source)
	return b.String()
}
