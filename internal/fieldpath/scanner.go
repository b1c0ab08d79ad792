package fieldpath

import "encoding/json"

// A scanner walks over JSON that is known to be valid: it only has to find where
// values end. i is always at the beginning of something.
type scanner struct {
	doc []byte
	i   int
}

func (s *scanner) space() {
	for s.i < len(s.doc) {
		switch s.doc[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// value goes behind a value.
func (s *scanner) value() {
	switch s.doc[s.i] {
	case '"':
		s.string()
	case '{', '[':
		// Brackets in valid JSON match; those in strings do not count.
		for depth := 0; ; {
			switch s.doc[s.i] {
			case '"':
				s.string()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			s.i++
			if depth == 0 {
				return
			}
		}
	default: // a number, true, false or null
		for s.i < len(s.doc) {
			switch s.doc[s.i] {
			case ',', '}', ']', ' ', '\t', '\n', '\r':
				return
			}
			s.i++
		}
	}
}

// string goes behind a string and returns it with its quotes.
func (s *scanner) string() []byte {
	from := s.i
	for s.i++; s.doc[s.i] != '"'; s.i++ {
		if s.doc[s.i] == '\\' {
			s.i++
		}
	}
	s.i++
	return s.doc[from:s.i]
}

// member goes to the value of a name.
func (s *scanner) member(name string) bool {
	if s.doc[s.i] != '{' {
		return false
	}
	found := -1
	s.i++
	for s.space(); s.doc[s.i] != '}'; s.space() {
		if s.doc[s.i] == ',' {
			s.i++
			continue
		}
		is := same(s.string(), name)
		s.space()
		s.i++ // the colon
		s.space()
		if is {
			found = s.i
		}
		s.value()
	}
	s.i = max(found, 0)
	return found >= 0
}

// element goes to the value of an index.
func (s *scanner) element(n int) bool {
	if s.doc[s.i] != '[' {
		return false
	}
	s.i++
	for s.space(); s.doc[s.i] != ']'; s.space() {
		if s.doc[s.i] == ',' {
			s.i++
			continue
		}
		if n == 0 {
			return true
		}
		n--
		s.value()
	}
	return false
}

// same compares a quoted name with a plain one.
func same(quoted []byte, name string) bool {
	inner := quoted[1 : len(quoted)-1]
	if string(inner) == name {
		return true
	}
	for _, c := range inner {
		if c == '\\' {
			var s string
			return json.Unmarshal(quoted, &s) == nil && s == name
		}
	}
	return false
}
