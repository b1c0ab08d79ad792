package connect

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const mask = "********"

// A Row is one setting as it is shown.
type Row struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// Rows are all settings; those that are not set have an empty value and origin.
// Secrets are masked, all with the same number of characters.
func (s *Settings) Rows() []Row {
	var rows []Row
	for _, x := range settings {
		v := s.values[x.name]
		if s.Local.Origin != "" && x.name == Brokers {
			v = Value{"embedded broker in " + s.Local.Text, s.Local.Origin}
		}
		if x.secret && v.Text != "" {
			v.Text = mask
		}
		rows = append(rows, Row{x.name, v.Text, v.Origin})
	}
	return rows
}

// Write prints a table, or JSON.
func (s *Settings) Write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(struct {
			Settings []Row `json:"settings"`
		}{s.Rows()})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tVALUE\tORIGIN")
	for _, r := range s.Rows() {
		if r.Origin == "" {
			r.Value, r.Origin = "-", "not set"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Name, r.Value, r.Origin)
	}
	return tw.Flush()
}

// Help lists the settings with all their names.
func Help() string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  IN A FILE\tENVIRONMENT\tFLAG")
	for _, s := range settings {
		flag := "--" + s.flag
		switch {
		case s.secret:
			flag = "none: --" + passwordFlag + " FILE"
		case s.short != "":
			flag = "-" + s.short + ", " + flag
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", s.name, s.env, flag)
	}
	fmt.Fprintf(tw, "  -\t%s\t--%s\n", passwordEnv, passwordFlag)
	fmt.Fprintf(tw, "  -\t%s\t--%s\n", configEnv, configFlag)
	fmt.Fprintf(tw, "  -\t%s\t--%s\n", localEnv, localFlag)
	fmt.Fprintf(tw, "  -\t%s\t--store, --dsn\n", StoreEnv)
	_ = tw.Flush() // into memory
	return strings.TrimRight(b.String(), "\n")
}
