package prometheus

import (
	"fmt"
	"strings"
)

//go:generate go test -run ^TestMetricsDocument$ -update .

// Unit is the unit of a metric's values, as its name says.
func (m Metric) Unit() string {
	name := strings.TrimSuffix(m.Name, "_total")
	switch {
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return "seconds since 1970"
	case strings.HasSuffix(name, "_seconds"):
		return "seconds"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	case strings.HasSuffix(name, "_offset"):
		return "offset"
	case strings.Contains(name, "records"):
		return "records"
	case m.Name == state || m.Name == breakerState || m.Name == joined || m.Name == silent:
		return "0 or 1"
	}
	return "number"
}

// Markdown is docs/metrics.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Metrics

Made from the code by ` + "`go generate`" + ` in metrics/prometheus; a test compares it. How to switch them on is said in that package; ` + "`orderly consume --metrics ADDR`" + `
has them at /metrics. Alerts and what to do about each: [operating.md](operating.md#alerts).

No metric has a key as a label: the names of blocked keys are in /keys of the health handler, ` + "`orderly keys list`" + ` and the log. Labels whose values are
fixed exist from the start, so that 0 and "not there" differ. A value that this release does not know is counted as ` + "`other`" + `.

Two lags: ` + "`" + commitLag + "`" + ` is what other tools show, and grows when one key is blocked while all others are done.
` + "`" + undone + "`" + ` is the work that is left: scale on that one.

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
`)
	for _, m := range table {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, m.Unit(), list(m.Labels), m.Help)
	}
	return b.String()
}
