package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A NotKnownError is a pasted text that is nothing known, with names like it.
type NotKnownError struct {
	Text string
	Near []string
}

func (e *NotKnownError) Error() string {
	text := fmt.Sprintf("%q is no error, code or log line that is known", e.Text)
	if len(e.Near) > 0 {
		return text + "; did you mean " + strings.Join(e.Near, ", ") + "?"
	}
	return text + "; docs/explain.md lists what is"
}

// Explain explains a pasted error: its code, one of its names, an id of ours, or
// its text with whatever is around it, also over several lines.
func Explain(text string, client Client) (*Report, error) {
	text = strings.TrimSpace(text)
	if code, err := strconv.Atoi(strings.TrimPrefix(strings.ToLower(text), "error ")); err == nil {
		return explainCode(code, client)
	}
	if e := byID[strings.ToLower(text)]; e != nil {
		return &Report{Entries: []*Entry{e}, Client: client}, nil
	}
	if e := byName[normal(text)]; e != nil {
		return &Report{Entries: []*Entry{e}, Client: client}, nil
	}
	if c := codeByName[normal(text)]; c != nil {
		return &Report{Meaning: c, Client: client}, nil
	}
	s := NewScanner()
	s.Client = client
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > maxLine {
			line = line[:maxLine]
		}
		s.Line([]byte(line))
	}
	if r := s.Report(""); len(r.Findings) > 0 {
		return r, nil
	}
	// A pasted error is one of Kafka, also where a log would have to say so.
	if hits := theMatcher.match(text, "kafka "+text); len(hits) > 0 {
		return &Report{Entries: []*Entry{hits[0].entry}, Client: client}, nil
	}
	return nil, &NotKnownError{Text: evidence(text), Near: near3(normal(text))}
}

func explainCode(code int, client Client) (*Report, error) {
	for _, e := range entries {
		if e.Code == code && code != 0 {
			return &Report{Entries: []*Entry{e}, Client: client}, nil
		}
	}
	for i := range codes {
		if codes[i].Code == code {
			return &Report{Meaning: &codes[i], Client: client}, nil
		}
	}
	return nil, &NotKnownError{Text: strconv.Itoa(code)}
}

// byName and codeByName are all names, in their normal form.
var (
	byName     = map[string]*Entry{}
	codeByName = map[string]*Code{}
	allNames   = map[string]string{} // normal form -> as it is shown
)

func init() {
	for _, e := range entries {
		for _, n := range slices.Concat(e.Names, e.Loose) {
			if byName[normal(n)] == nil {
				byName[normal(n)] = e
			}
			if allNames[normal(n)] == "" { // the protocol's own name is the first
				allNames[normal(n)] = n
			}
		}
	}
	for i := range codes {
		c := &codes[i]
		codeByName[normal(c.Name)] = c
		allNames[normal(c.Name)] = c.Name
	}
}

// normal is a name without what clients put around it: package and prefix, case,
// underscores, and the word for error.
func normal(name string) string {
	name = strings.TrimSpace(name)
	if i := strings.LastIndexAny(name, ".:"); i >= 0 && !strings.ContainsAny(name, " \t\n") {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, name)
	for _, pre := range []string{"rdkafkaresp", "err", "error"} {
		name = strings.TrimPrefix(name, pre)
	}
	for _, suf := range []string{"exception", "error"} {
		name = strings.TrimSuffix(name, suf)
	}
	return name
}

// near3 are the names that are most like one, at most three.
func near3(name string) []string {
	const longest = 80 // no name is longer, and the comparison is quadratic
	if name == "" || len(name) > longest {
		return nil
	}
	type candidate struct {
		name string
		away int
	}
	var all []candidate
	for _, n := range sortedKeys(allNames) {
		away := distance(name, n)
		if len(name) >= 5 && strings.Contains(n, name) {
			away = min(away, 2)
		}
		if away <= max(2, min(len(name), len(n))/3) {
			all = append(all, candidate{allNames[n], away})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.away, b.away) })
	var names []string
	for _, c := range all {
		if len(names) < 3 && !contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

// distance is the number of letters to change, add, take out, or swap with the next.
func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
