package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	metrics "github.com/orderly-go/orderly/metrics/prometheus"
)

const (
	deployDir     = "../../../../deploy"
	rulesFile     = deployDir + "/prometheus/rules.yml"
	rulesTestFile = deployDir + "/prometheus/rules_test.yml"
	dashboardFile = deployDir + "/grafana/dashboard.json"
	operatingFile = "../../../../docs/operating.md"
)

type alert struct {
	Alert       string
	Expr        string
	Annotations map[string]string
	Labels      map[string]string
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal(read(t, rulesFile), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}

type panel struct {
	Title   string
	Targets []struct{ Expr, LegendFormat string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	var file struct {
		Panels     []panel
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal(read(t, dashboardFile), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Panels) == 0 {
		t.Fatal("there are no panels")
	}
	return file.Panels
}

var (
	metricName = regexp.MustCompile(`orderly_[a-z_]+`)
	selector   = regexp.MustCompile(`(orderly_[a-z_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(=~|!=|!~|=)\s*"([^"]*)"`)
	grouping   = regexp.MustCompile(`(?:by|on|without|ignoring|group_left)\s*\(([^)]*)\)`)
	legend     = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)
)

// faults are what an expression says of metrics or labels that are not there.
func faults(expr, texts string) (bad []string) {
	byName := map[string]metrics.Metric{}
	labels := []string{"job", "instance"} // that the server adds
	values := map[string]bool{}
	for _, m := range metrics.Table() {
		names := []string{m.Name}
		if m.Type == "histogram" {
			names = []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
		}
		for _, n := range names {
			byName[n] = m
		}
	}
	var used []metrics.Metric
	for _, name := range metricName.FindAllString(expr, -1) {
		m, ok := byName[name]
		if !ok {
			bad = append(bad, "no metric "+name)
			continue
		}
		used = append(used, m)
		labels = append(labels, m.Labels...)
		if m.Type == "histogram" {
			labels = append(labels, "le")
		}
		if rate := regexp.MustCompile(`(rate|increase)\(` + name + `\b`).MatchString(expr); rate == (m.Type == "gauge") {
			bad = append(bad, fmt.Sprintf("%s is a %s: rate and increase are for counters, and counters for them", name, m.Type))
		}
	}
	if len(used) == 0 {
		bad = append(bad, "it names no metric")
	}
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		m := byName[s[1]]
		for _, l := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(m.Labels, l[1]) {
				bad = append(bad, fmt.Sprintf("%s has no label %s", s[1], l[1]))
			}
			values[l[3]] = true
			if fixed := l[2] == "=" && l[1] != "group" && l[1] != "topic"; fixed && !regexp.MustCompile(`[:,] `+l[3]+`[,.]`).MatchString(m.Help) {
				bad = append(bad, fmt.Sprintf("%s has no %s=%q", s[1], l[1], l[3]))
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(g[1], ",") {
			if l = strings.TrimSpace(l); l != "" && !slices.Contains(labels, l) {
				bad = append(bad, "no label "+l)
			}
		}
	}
	for _, l := range legend.FindAllStringSubmatch(texts, -1) {
		if !slices.Contains(labels, l[1]) {
			bad = append(bad, "no label "+l[1]+" for the text")
		}
	}
	return bad
}

// Every expression of alerts and dashboard is about metrics and labels that there are.
func TestDeployedExpressions(t *testing.T) {
	for _, a := range alerts(t) {
		for _, f := range faults(a.Expr, a.Annotations["summary"]) {
			t.Errorf("alert %s: %s", a.Alert, f)
		}
	}
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			for _, f := range faults(target.Expr, target.LegendFormat) {
				t.Errorf("panel %q: %s", p.Title, f)
			}
		}
	}
	for _, wrong := range []string{
		`sum(orderly_records_gone)`, `rate(orderly_partition_undone_records[5m])`, `orderly_records_done_total{key="a"}`,
		`sum by (member) (orderly_buffer_records)`, `orderly_commits_total{outcome="fine"}`, `up`, `orderly_handler_duration_seconds`,
	} {
		if len(faults(wrong, "")) == 0 {
			t.Errorf("nothing is wrong with %s", wrong)
		}
	}
	if len(faults(`orderly_buffer_records`, "{{topic}}")) == 0 {
		t.Error("a text may name a label that is not there")
	}
}

// Each alert says how urgent it is, has a paragraph for whom it wakes, and a unit
// test in which it fires.
func TestAlertsAreExplained(t *testing.T) {
	doc := string(read(t, operatingFile))
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(read(t, rulesTestFile), &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, r := range test.AlertRuleTest {
			if len(r.ExpAlerts) > 0 {
				fires[r.Alertname] = true
			} else {
				quiet[r.Alertname] = true
			}
		}
	}
	known := map[string]bool{}
	for _, a := range alerts(t) {
		known[a.Alert] = true
		_, after, ok := strings.Cut(doc, "\n### "+a.Alert+"\n")
		if paragraph, _, _ := strings.Cut(strings.TrimSpace(after), "\n#"); !ok || len(strings.Fields(paragraph)) < 15 {
			t.Errorf("docs/operating.md has no paragraph under \"### %s\"", a.Alert)
		}
		if want := "docs/operating.md#" + strings.ToLower(a.Alert); a.Annotations["runbook"] != want || a.Annotations["summary"] == "" {
			t.Errorf("alert %s: summary and runbook %s: %v", a.Alert, want, a.Annotations)
		}
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("alert %s: severity %q", a.Alert, s)
		}
		if !fires[a.Alert] || !quiet[a.Alert] {
			t.Errorf("alert %s lacks a test in which it fires (%v), or one in which it does not (%v)", a.Alert, fires[a.Alert], quiet[a.Alert])
		}
	}
	for _, h := range regexp.MustCompile(`(?m)^### (Orderly\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !known[h[1]] {
			t.Errorf("docs/operating.md explains %s, which is no alert", h[1])
		}
	}
}

// Prometheus itself takes rules and expressions, and the rules do what their tests say.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("ORDERLY_REQUIRE_ALL") == "1" {
			t.Fatalf("%v (CI=true or ORDERLY_REQUIRE_ALL=1 requires it)", err)
		}
		t.Log("NOT COVERED: alert rules in Prometheus itself: ", err)
		return
	}
	// The dashboard's expressions as rules: promtool checks only those.
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "3h", "$group", ".*")
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			rules = append(rules, rule{fmt.Sprintf("dashboard:%d", len(rules)), fill.Replace(target.Expr)})
		}
	}
	raw, err := yaml.Marshal(map[string]any{"groups": []map[string]any{{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	dashboard := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(dashboard, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"check", "rules", dashboard}, {"test", "rules", rulesTestFile}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
