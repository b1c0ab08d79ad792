package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// parseJSON reads JSON with the lines of its values. What stands behind the first
// value is not looked at.
func parseJSON(text []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	lines := lineCounter{text: text}
	left := maxItems
	var value func(depth int) (*node, error)
	value = func(depth int) (*node, error) {
		if left--; left < 0 || depth > 100 {
			return nil, errTooMuch
		}
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		n := &node{form: 'v', line: lines.at(d.InputOffset())}
		switch t := tok.(type) {
		case json.Delim:
			n.form = 's'
			if t == '{' {
				n.form = 'm'
			}
			for d.More() {
				key, line := "", n.line
				if n.form == 'm' {
					k, err := d.Token()
					if err != nil {
						return nil, err
					}
					key, _ = k.(string)
					line = lines.at(d.InputOffset())
				}
				v, err := value(depth + 1)
				if err != nil {
					return nil, err
				}
				if n.form == 'm' {
					if v.form == 'v' {
						v.line = line
					}
					n.put(key, v)
				} else {
					n.vals = append(n.vals, v)
				}
			}
			_, err := d.Token()
			return n, err
		case string:
			n.text = t
		case json.Number:
			n.text = t.String()
		case bool:
			n.text = fmt.Sprint(t)
		}
		return n, nil
	}
	return value(0)
}

var errTooMuch = errors.New("too many values, or too deep")

// A lineCounter tells the line of an offset; offsets only rise.
type lineCounter struct {
	text []byte
	off  int64
	line int
}

func (l *lineCounter) at(off int64) int {
	off = min(off, int64(len(l.text)))
	if off > l.off {
		l.line += bytes.Count(l.text[l.off:off], []byte("\n"))
		l.off = off
	}
	return l.line + 1
}

func (sc *scanner) json(path string, text []byte) string {
	n, err := parseJSON(text)
	if err != nil {
		var se *json.SyntaxError
		switch {
		case errors.Is(err, errTooMuch):
			return fmt.Sprintf("more than %d values, or too deep: no configuration is", maxItems)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return "half written: the JSON ends in the middle"
		case errors.As(err, &se):
			l := lineCounter{text: text}
			return fmt.Sprintf("not valid JSON at line %d", l.at(se.Offset))
		}
		return "not valid JSON"
	}
	docs := []*node{n}
	if n.form == 's' {
		docs = n.vals
	}
	for i, doc := range docs {
		if doc != nil && doc.form == 'm' {
			if why := sc.yamlDoc(path, i, doc); why != "" {
				return why
			}
		}
	}
	return ""
}
