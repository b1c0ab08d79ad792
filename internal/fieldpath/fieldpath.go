// Package fieldpath finds a field in JSON by a path like .order.lines[0].id, and
// nothing more: no wildcards, no filters. It returns the bytes as they are, so
// that a number keeps all its digits.
package fieldpath

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Path leads to a field.
type Path struct {
	text  string
	steps []step
}

// A step is a name of an object, or an index of a list.
type step struct {
	name  string
	index int // -1 for a name
}

// String is the path as it was given.
func (p Path) String() string { return p.text }

const form = `a path looks like .order.lines[0].id or ."name with spaces"; . alone is the whole value`

// Parse reads a path. "." is the whole value.
func Parse(text string) (Path, error) {
	p := Path{text: text}
	bad := func(why string) (Path, error) {
		return Path{}, fmt.Errorf("path %q: %s; %s", text, why, form)
	}
	if !utf8.ValidString(text) {
		return bad("it is not UTF-8, and names in JSON are")
	}
	if text == "." {
		return p, nil
	}
	if !strings.HasPrefix(text, ".") {
		return bad("it does not begin with a dot")
	}
	for rest := text; rest != ""; {
		switch {
		case rest[0] == '[' || strings.HasPrefix(rest, ".["):
			digits, after, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(rest, "."), "["), "]")
			n, err := strconv.ParseUint(digits, 10, 31)
			if !ok || err != nil {
				return bad("what is in brackets is not an index")
			}
			p.steps, rest = append(p.steps, step{index: int(n)}), after
		case strings.HasPrefix(rest, `."`):
			quoted, err := strconv.QuotedPrefix(rest[1:])
			if err != nil {
				return bad("a quote is missing")
			}
			var name string
			if json.Unmarshal([]byte(quoted), &name) != nil {
				return bad("the quoted name is not a JSON string")
			}
			p.steps, rest = append(p.steps, step{name, -1}), rest[1+len(quoted):]
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			name := rest[1:]
			if end >= 0 {
				name = name[:end]
			}
			if name == "" {
				return bad("a name is missing")
			}
			p.steps, rest = append(p.steps, step{name, -1}), rest[1+len(name):]
		default:
			return bad("after an index or a quoted name comes . or [")
		}
	}
	return p, nil
}

// ErrMissing says that there is no such field.
var ErrMissing = errors.New("the field is missing")

// Find returns the bytes of the field in a document that json.Valid accepts. When
// a name is there several times it is the last, as in encoding/json. The error
// names the part of the path that is missing, and is an ErrMissing.
func (p Path) Find(doc []byte) ([]byte, error) {
	s := scanner{doc, 0}
	s.space()
	for i, st := range p.steps {
		at, ok := s.i, false
		if st.index >= 0 {
			ok = s.element(st.index)
		} else {
			ok = s.member(st.name)
		}
		if !ok {
			return nil, fmt.Errorf("%s: %w (%s)", p.text, ErrMissing, p.missing(i, doc[at]))
		}
	}
	from := s.i
	s.value()
	return doc[from:s.i], nil
}

// missing says what stands where step i looked.
func (p Path) missing(i int, at byte) string {
	where := "the line"
	if i > 0 {
		where = Path{steps: p.steps[:i]}.build()
	}
	want, kind := "an object", byte('{')
	if p.steps[i].index >= 0 {
		want, kind = "a list", '['
	}
	if at != kind {
		return where + " is not " + want
	}
	if p.steps[i].index >= 0 {
		return where + " has fewer elements"
	}
	return fmt.Sprintf("%s has no %q", where, p.steps[i].name)
}

func (p Path) build() string {
	var b strings.Builder
	for _, st := range p.steps {
		if st.index >= 0 {
			fmt.Fprintf(&b, "[%d]", st.index)
		} else {
			b.WriteString("." + st.name)
		}
	}
	return b.String()
}
