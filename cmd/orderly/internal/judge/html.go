package judge

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed report.tmpl
var pageText string

// page needs nothing but itself: no script, no font, no address. All text of a
// history passes the template's own escaping.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"upper":     func(w Word) string { return strings.ToUpper(string(w)) },
	"thousands": thousands[int],
	"rows":      rows,
	"picture":   picture,
	"line":      line,
	"join":      func(s []string) string { return strings.Join(s, ", ") },
	"kinds":     kinds,
}).Parse(pageText))

// WriteHTML writes the verdict as one self-contained page.
func (v *Verdict) WriteHTML(w io.Writer) error {
	type row struct {
		Name  string
		Cells []string
	}
	data := struct {
		*Verdict
		Rows []row
	}{Verdict: v}
	for _, t := range table {
		r := row{t.name, []string{t.of(v.Subject)}}
		if v.Control != nil {
			r.Cells = append(r.Cells, t.of(*v.Control))
		}
		data.Rows = append(data.Rows, r)
	}
	return page.Execute(w, data)
}
