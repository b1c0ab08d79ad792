package audit

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("audit").Funcs(template.FuncMap{"stamp": stamp, "by": by, "between": between}).Parse(page))

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, r) }
