package rules

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// The ids of the catalogue. An id never goes, and never changes its meaning: a title
// that changes here is looked at twice.
var catalogue = map[byte]int{'P': 33, 'X': 7, 'K': 9, 'C': 17, 'B': 18, 'T': 7, 'L': 7}

func TestAllRulesAreThere(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range All() {
		if seen[r.ID] {
			t.Errorf("%s is there twice", r.ID)
		}
		seen[r.ID] = true
		if !regexp.MustCompile(`^[PXKCBTL][0-9]{2}$`).MatchString(r.ID) {
			t.Errorf("%s is no id", r.ID)
		}
		for name, text := range map[string]string{"title": r.Title, "severity": string(r.Severity), "versions": r.Versions, "cause": r.Cause, "diagnosis": r.Diagnosis,
			"fix": r.Fix, "why": r.Why, "when not": r.WhenNot, "source": r.Source, "damage": r.Damage} {
			if text == "" {
				t.Errorf("%s has no %s", r.ID, name)
			}
			if name != "title" && name != "severity" && name != "versions" && !strings.HasSuffix(text, ".") && name != "source" {
				t.Errorf("%s: its %s does not end with a full stop: %q", r.ID, name, text)
			}
		}
		if len(r.Needs) == 0 {
			t.Errorf("%s says not from what it is decided", r.ID)
		}
		if r.unit != nil && len(r.Kinds) == 0 {
			t.Errorf("%s looks at no kind of unit", r.ID)
		}
		for _, y := range r.Yields {
			if Find(y) == nil {
				t.Errorf("%s yields to %s, which is no rule", r.ID, y)
			}
		}
		if text := r.Text(""); strings.Contains(text, "{enable") || strings.Contains(text, "{acks") {
			t.Errorf("%s shows a placeholder:\n%s", r.ID, text)
		}
	}
	for letter, n := range catalogue {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%c%02d", letter, i); !seen[id] {
				t.Errorf("%s is missing", id)
			}
		}
	}
	if len(All()) != 98 {
		t.Errorf("%d rules: a new one needs its number in this test's catalogue", len(All()))
	}
}

// What the library's own checks say has the same ids.
func TestIDsOfTheLibrary(t *testing.T) {
	for id, title := range map[string]string{"B01": "Fewer than 3 replicas", "B02": "min.insync.replicas=1", "B03": "min.insync.replicas equals the number of replicas", "B05": "Unclean leader election"} {
		if r := Find(id); r == nil || r.Title != title {
			t.Errorf("%s is not %q", id, title)
		}
	}
}

func TestPageIsFresh(t *testing.T) {
	page, err := os.ReadFile("../../../../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != Page() {
		t.Error("docs/rules.md is not what the table says: run go generate in cmd/orderly/internal/doctor/rules")
	}
}

// A fix is written as the user's own client writes it.
func TestFixIsInTheClientsWords(t *testing.T) {
	for _, c := range []struct {
		client    facts.Client
		framework string
		kind      facts.Kind
		want      string
	}{
		{facts.Java, "", facts.Producer, "enable.idempotence=true"},
		{facts.Java, "spring", facts.Producer, "spring.kafka.producer.properties.enable.idempotence: true"},
		{facts.Java, "spring-cloud-stream", facts.Producer, "spring.cloud.stream.kafka.binder.producer-properties.enable.idempotence: true"},
		{facts.Java, "connect", facts.Worker, "producer.enable.idempotence=true"},
		{facts.Java, "connect", facts.Connector, "producer.override.enable.idempotence=true"},
		{facts.Librdkafka, "", facts.Producer, "enable.idempotence=true"},
		{facts.Sarama, "", facts.Producer, "config.Producer.Idempotent = true"},
		{facts.FranzGo, "", facts.Producer, "leave kgo.DisableIdempotentWrite out"},
		{facts.KafkaJS, "", facts.Producer, "idempotent: true"},
		{facts.AIOKafka, "", facts.Producer, "enable_idempotence=True"},
		{facts.KafkaPython, "", facts.Producer, "enable_idempotence=True"},
	} {
		u := facts.NewUnit(c.kind, c.client, facts.Place{})
		u.Framework = c.framework
		if got := spelled("{enable.idempotence=true}", &facts.View{Unit: u, Client: c.client}); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.client, c.framework, got, c.want)
		}
	}
}

// Nothing of a file is shown but what rules look at, and only when it looks like it.
func TestShown(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"acks", "1", "1"}, {"acks", "", "(empty)"}, {"acks", "hunter2!/@", "(not shown)"}, {"sasl.password", "hunter2", "(not shown)"},
		{"transactional.id", "secret", "(not shown)"}, {"retries", "5", "5"}, {"partitioner.class", "com.example.P", "com.example.P"},
	} {
		if got := Shown(c.name, c.text); got != c.want {
			t.Errorf("%s=%s is shown as %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

// What is always so does not give way to what is so with some versions only.
func TestYield(t *testing.T) {
	u := facts.NewUnit(facts.Producer, facts.Java, facts.Place{})
	p01, p05 := Find("P01"), Find("P05")
	ids := func(fs []Finding) (out []string) {
		for _, f := range fs {
			out = append(out, f.Rule.ID)
		}
		return out
	}
	for _, c := range []struct {
		when01, when05 []string
		want           []string
	}{
		{nil, nil, []string{"P05"}},
		{nil, []string{"2.8"}, []string{"P01", "P05"}},
		{[]string{"x"}, []string{"2.8"}, []string{"P05"}},
	} {
		got := ids(yield([]Finding{{Rule: p01, Unit: u, When: c.when01}, {Rule: p05, Unit: u, When: c.when05}}))
		if !slices.Equal(got, c.want) {
			t.Errorf("%v, %v: %v, want %v", c.when01, c.when05, got, c.want)
		}
	}
}

// When the version is not known both answers are given, and none is certain.
func TestBothAnswers(t *testing.T) {
	u := facts.NewUnit(facts.Producer, facts.Java, facts.Place{Name: "test"})
	u.Set["acks"] = facts.Value{Text: "all", Written: "acks"}
	res := Run(&facts.Set{Units: []*facts.Unit{u}, Has: map[facts.Source]bool{}})
	got := map[string]Finding{}
	for _, f := range res.Findings {
		got[f.Rule.ID] = f
	}
	p05, ok := got["P05"]
	if !ok || p05.Severity != Warn || !slices.Equal(p05.When, []string{"kafka-clients 2.1 to 2.8"}) {
		t.Errorf("P05: %+v", p05)
	}
	p04, ok := got["P04"]
	if !ok || p04.Severity != Warn || !slices.Equal(p04.When, []string{"kafka-clients 3.0.0 or 3.1.0"}) {
		t.Errorf("P04: %+v", p04)
	}
	if slices.ContainsFunc(res.Checked, func(r *Rule) bool { return r.ID == "L01" }) {
		t.Error("a rule that needs the log counts as checked")
	}
	v, _ := facts.ParseVer("3.9.1")
	u.Versions = []facts.Ver{v}
	if res := Run(&facts.Set{Units: []*facts.Unit{u}}); len(res.Findings) != 0 {
		t.Errorf("3.9.1: %+v", res.Findings)
	}
}
