package explain

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// A Report is what a log, or a pasted error, shows.
type Report struct {
	Input      string
	Lines      int64
	Cut        int64 // lines too long to be read whole
	Recognised int64 // events: a line, or a line with its stack trace
	First      time.Time
	Last       time.Time
	Findings   []*Finding       // in the order of their first line
	NotKept    map[string]int64 // by entry: seen after the most findings that are kept
	Entries    []*Entry         // those to explain, the worst first
	Meaning    *Code            // of a code that has no entry
	Client     Client
}

// Report ends the log.
func (s *Scanner) Report(input string) *Report {
	s.Flush()
	r := &Report{Input: input, Lines: s.lines, Recognised: s.recognised, First: s.first, Last: s.last,
		Findings: slices.Clone(s.order), NotKept: s.notKept, Client: s.Client}
	link(r.Findings)
	for _, f := range r.Findings {
		if !slices.Contains(r.Entries, f.Entry) {
			r.Entries = append(r.Entries, f.Entry)
		}
	}
	for _, id := range sortedKeys(s.notKept) {
		if !slices.Contains(r.Entries, byID[id]) {
			r.Entries = append(r.Entries, byID[id])
		}
	}
	slices.SortStableFunc(r.Entries, func(a, b *Entry) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return r
}

// Worst is the gravest severity found; empty when nothing was.
func (r *Report) Worst() Severity {
	if len(r.Entries) == 0 {
		return ""
	}
	return r.Entries[0].Severity
}

// of gives the findings of an entry.
func (r *Report) of(e *Entry) []*Finding {
	var fs []*Finding
	for _, f := range r.Findings {
		if f.Entry == e {
			fs = append(fs, f)
		}
	}
	return fs
}

// The JSON form; docs/explain.md describes it.
type (
	reportJSON struct {
		Format     int              `json:"format"`
		Input      string           `json:"input,omitempty"`
		Lines      int64            `json:"lines"`
		Recognised int64            `json:"recognised"`
		Cut        int64            `json:"cut_lines"`
		First      string           `json:"first,omitempty"`
		Last       string           `json:"last,omitempty"`
		Worst      Severity         `json:"worst"`
		Findings   []findingJSON    `json:"findings"`
		NotKept    map[string]int64 `json:"not_kept"`
		Known      []entryJSON      `json:"explanations"`
	}
	findingJSON struct {
		ID        string     `json:"id"`
		Severity  Severity   `json:"severity"`
		Client    Client     `json:"client"`
		Subject   string     `json:"subject"`
		Facts     Facts      `json:"facts"`
		Kind      string     `json:"kind"`
		Verdict   string     `json:"verdict"`
		Count     int64      `json:"count"`
		FirstLine int64      `json:"first_line"`
		LastLine  int64      `json:"last_line"`
		First     string     `json:"first,omitempty"`
		Last      string     `json:"last,omitempty"`
		Evidence  []Evidence `json:"evidence"`
		After     []Link     `json:"after"`
	}
	entryJSON struct {
		ID       string            `json:"id"`
		Title    string            `json:"title"`
		Code     *int              `json:"code"`
		Names    []string          `json:"names"`
		Severity Severity          `json:"severity"`
		What     string            `json:"what"`
		Data     string            `json:"data"`
		Tell     string            `json:"tell"`
		Do       []string          `json:"do"`
		Clients  map[Client]string `json:"clients"`
		Versions string            `json:"versions"`
		Sources  []string          `json:"sources"`
		Rules    []string          `json:"rules"`
		See      []string          `json:"see"`
		Causes   []Cause           `json:"causes"`
	}
)

// MarshalJSON gives the documented form: lists are never null.
func (r *Report) MarshalJSON() ([]byte, error) {
	out := reportJSON{Format: 1, Input: r.Input, Lines: r.Lines, Recognised: r.Recognised, Cut: r.Cut, First: stamp(r.First), Last: stamp(r.Last),
		Worst: r.Worst(), Findings: []findingJSON{}, NotKept: r.NotKept, Known: []entryJSON{}}
	if out.NotKept == nil {
		out.NotKept = map[string]int64{}
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, findingJSON{ID: f.Entry.ID, Severity: f.Entry.Severity, Client: f.Client, Subject: f.Facts.Subject(),
			Facts: f.Facts, Kind: f.Kind, Verdict: f.Verdict, Count: f.Count, FirstLine: f.FirstLine, LastLine: f.LastLine,
			First: stamp(f.First), Last: stamp(f.Last), Evidence: list(f.Evidence), After: list(f.After)})
	}
	for _, e := range r.Entries {
		j := entryJSON{ID: e.ID, Title: e.Title, Names: list(slices.Concat(e.Names, e.Loose)), Severity: e.Severity, What: e.What, Data: e.Data,
			Tell: e.Tell, Do: list(e.Do), Clients: e.Clients, Versions: e.Versions, Sources: list(e.Sources), Rules: list(e.Rules), See: list(e.See), Causes: list(e.Causes)}
		if e.Code != 0 {
			j.Code = &e.Code
		}
		if j.Clients == nil {
			j.Clients = map[Client]string{}
		}
		out.Known = append(out.Known, j)
	}
	if m := r.Meaning; m != nil {
		out.Known = append(out.Known, entryJSON{ID: "code", Title: m.Name, Code: &m.Code, Names: []string{m.Name}, Severity: Note, What: m.Meaning,
			Do: []string{}, Clients: map[Client]string{}, Sources: []string{}, Rules: []string{}, See: []string{}, Causes: []Cause{}})
	}
	return json.Marshal(out)
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(plainTime)
}
