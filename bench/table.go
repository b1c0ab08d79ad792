package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A row is one line of the table: a ratio, or a fact in words.
type row struct {
	Workload string     `json:"workload"`
	Against  string     `json:"against"`
	Ratio    *summary   `json:"ratio,omitempty"`
	Value    string     `json:"value,omitempty"`
	Bar      float64    `json:"bar,omitempty"`
	BarText  string     `json:"bar_text,omitempty"`
	Verdict  string     `json:"verdict,omitempty"`
	Ours     float64    `json:"ours,omitempty"`   // median rates, records a second
	Theirs   float64    `json:"theirs,omitempty"` //
	Note     string     `json:"note,omitempty"`
	Pairs    [][]result `json:"pairs,omitempty"`
}

func fact(what, value, bar string, met bool) row {
	r := row{Against: what, Value: value, BarText: bar, Verdict: "not met"}
	if met {
		r.Verdict = "met"
	}
	return r
}

// printTable writes Markdown that is also readable as it is.
func printTable(w io.Writer, rows []row) {
	cells := [][]string{{"workload", "beside", "ratio: median [interval]", "bar", "", "orderly", "other", "note"}}
	var facts [][]string
	for _, r := range rows {
		if r.Ratio == nil {
			facts = append(facts, []string{r.Workload, r.Against, r.Value, r.BarText, r.Verdict})
			continue
		}
		bar := ""
		if r.Bar > 0 {
			bar = fmt.Sprintf("%.2f", r.Bar)
		}
		cells = append(cells, []string{
			r.Workload, r.Against, fmt.Sprintf("%.3f [%.3f, %.3f]", r.Ratio.Median, r.Ratio.Low, r.Ratio.High),
			bar, r.Verdict, short(r.Ours) + "/s", short(r.Theirs) + "/s", r.Note,
		})
	}
	if len(cells) > 1 {
		printCells(w, cells)
	}
	if len(facts) > 0 {
		if len(cells) > 1 {
			fmt.Fprintln(w)
		}
		printCells(w, append([][]string{{"what", "", "measured", "bar", ""}}, facts...))
	}
}

func printCells(w io.Writer, cells [][]string) {
	width := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			width[i] = max(width[i], len(c))
		}
	}
	for n, line := range cells {
		for i, c := range line {
			fmt.Fprintf(w, "| %-*s ", width[i], c)
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, n := range width {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", n+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// short writes a rate with three digits: 2.31 M, 92.4 k.
func short(x float64) string {
	switch {
	case x >= 999_500:
		return fmt.Sprintf("%.2f M", x/1e6)
	case x >= 1000:
		return fmt.Sprintf("%.1f k", x/1e3)
	}
	return fmt.Sprintf("%.0f", x)
}

// group writes 1234567 as 1,234,567.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
