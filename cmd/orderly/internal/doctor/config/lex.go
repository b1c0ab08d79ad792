package config

import "strings"

// A tok is a word, a number, a string or a mark of a program, with its line. One
// reader does for Python, JavaScript, Java and Kotlin, as only calls, assignments and
// literals are looked at.
type tok struct {
	kind byte // 'i' identifier, 'n' number, 's' string, 'p' mark
	text string
	line int
	span int // of an opening bracket: how far away the one is that closes it
}

const maxTokens = 400_000

// lex cuts a program into tokens; comments are left out.
func lex(src string, python bool) []tok {
	ts := cut(src, python)
	var open []int
	for i, t := range ts {
		if t.kind != 'p' {
			continue
		}
		switch t.text {
		case "(", "[", "{":
			ts[i].span = len(ts)
			open = append(open, i)
		case ")", "]", "}":
			if n := len(open); n > 0 {
				ts[open[n-1]].span = i - open[n-1]
				open = open[:n-1]
			}
		}
	}
	return ts
}

func cut(src string, python bool) (out []tok) {
	line := 1
	for i := 0; i < len(src) && len(out) < maxTokens; {
		c := src[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case python && c == '#', !python && strings.HasPrefix(src[i:], "//"):
			for i < len(src) && src[i] != '\n' {
				i++
			}
		case !python && strings.HasPrefix(src[i:], "/*"):
			end := strings.Index(src[i+2:], "*/")
			if end < 0 {
				return out
			}
			line += strings.Count(src[i:i+2+end], "\n")
			i += end + 4
		case c == '"' || c == '\'' || c == '`' && !python:
			q := string(c)
			if strings.HasPrefix(src[i:], strings.Repeat(q, 3)) && c != '`' {
				q = strings.Repeat(q, 3)
			}
			start, at := line, i+len(q)
			j := at
			for j < len(src) && !strings.HasPrefix(src[j:], q) {
				if src[j] == '\\' && j+1 < len(src) {
					if src[j+1] == '\n' {
						line++
					}
					j += 2
					continue
				}
				if src[j] == '\n' {
					if len(q) == 1 && c != '`' {
						break // an open string ends with its line
					}
					line++
				}
				j++
			}
			j = min(j, len(src))
			out = append(out, tok{'s', src[at:j], start, 0})
			if j < len(src) && src[j] == '\n' && len(q) == 1 && c != '`' {
				i = j
			} else {
				i = j + len(q)
			}
		case isWord(c) && (c < '0' || c > '9'):
			j := i
			for j < len(src) && isWord(src[j]) {
				j++
			}
			out = append(out, tok{'i', src[i:j], line, 0})
			i = j
		case c >= '0' && c <= '9':
			j := i
			for j < len(src) && (isWord(src[j]) || src[j] == '.') {
				j++
			}
			out = append(out, tok{'n', strings.ReplaceAll(src[i:j], "_", ""), line, 0})
			i = j
		default:
			out = append(out, tok{'p', src[i : i+1], line, 0})
			i++
		}
	}
	return out
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// is says that the tokens from i on are these texts. A string is never one of them.
func is(ts []tok, i int, texts ...string) bool {
	for k, t := range texts {
		if i+k < 0 || i+k >= len(ts) || ts[i+k].text != t || ts[i+k].kind == 's' {
			return false
		}
	}
	return true
}

// closing is the place of the bracket that closes the one at i; the end when nothing
// does.
func closing(ts []tok, i int) int {
	if i < 0 || i >= len(ts) || ts[i].span == 0 {
		return len(ts)
	}
	return min(i+ts[i].span, len(ts))
}

// parts cuts the tokens between two brackets at commas.
func parts(ts []tok, open int) (out [][]tok) {
	end, start := closing(ts, open), open+1
	for j := open + 1; j < end; j++ {
		switch {
		case ts[j].kind != 'p':
		case ts[j].span > 0:
			j = min(closing(ts, j), end)
		case ts[j].text == ",":
			out = append(out, ts[start:j])
			start = j + 1
		}
	}
	if start < end {
		out = append(out, ts[start:end])
	}
	return out
}

// literalOf reads a value: a string, a number, a name that says itself, a mapping or
// a list. Everything else is decided elsewhere; os.environ.get("A", "1") and
// process.env.A || "1" keep what holds without the variable.
func literalOf(ts []tok, depth int) *node {
	n := &node{form: 'v', open: true}
	if len(ts) == 0 || depth > 50 || len(ts) > maxItems {
		return n
	}
	n.line = ts[0].line
	for len(ts) > 2 && ts[0].text == "(" && ts[0].kind == 'p' && closing(ts, 0) == len(ts)-1 {
		ts = ts[1 : len(ts)-1]
	}
	first := ts[0]
	switch {
	case len(ts) == 1 && (first.kind == 's' || first.kind == 'n'):
		n.text, n.open = strings.TrimSuffix(strings.TrimSuffix(first.text, "L"), "l"), false
		if first.kind == 's' {
			n.text = first.text
		}
	case len(ts) == 2 && first.text == "-" && ts[1].kind == 'n':
		n.text, n.open = "-"+ts[1].text, false
	case len(ts) == 1 && first.kind == 'i':
		switch first.text {
		case "True", "true":
			n.text, n.open = "true", false
		case "False", "false":
			n.text, n.open = "false", false
		case "None", "null", "undefined":
			n.text, n.open = "", false
		}
	case first.text == "{" && first.kind == 'p' && closing(ts, 0) == len(ts)-1:
		n.form, n.open = 'm', false
		for _, p := range parts(ts, 0) {
			if len(p) > 2 && (p[0].kind == 's' || p[0].kind == 'i') && p[1].text == ":" {
				v := literalOf(p[2:], depth+1)
				if v.form == 'v' {
					v.line = p[0].line
				}
				n.put(p[0].text, v)
				continue
			}
			if len(p) == 1 && p[0].kind == 'i' { // JavaScript: a variable with the name of the setting
				n.put(p[0].text, &node{form: 'v', open: true, line: p[0].line})
			} else if more := spread(p); more != nil {
				n.rest = more
			}
		}
	case first.text == "[" && first.kind == 'p' && closing(ts, 0) == len(ts)-1:
		n.form, n.open = 's', false
		for _, p := range parts(ts, 0) {
			v := literalOf(p, depth+1)
			if v.open {
				v = &node{form: 'v', text: dotted(p), line: n.line}
			}
			n.vals = append(n.vals, v)
		}
	default:
		envDefault(n, ts)
		if n.open {
			n.text = dotted(ts)
		}
	}
	return n
}

// spread is what a part of a mapping or of arguments spreads there: **base, ...base.
func spread(p []tok) []tok {
	i := 0
	for i < len(p) && p[i].kind == 'p' && (p[i].text == "." || p[i].text == "*") {
		i++
	}
	if i < 2 || i == len(p) {
		return nil
	}
	return p[i:]
}

// dotted is a name such as Integer.MAX_VALUE, or "".
func dotted(ts []tok) string {
	var b strings.Builder
	for _, t := range ts {
		if t.kind == 'i' || t.text == "." {
			b.WriteString(t.text)
		} else {
			break
		}
	}
	return b.String()
}

func envDefault(n *node, ts []tok) {
	for i := range min(len(ts), 40) {
		switch {
		case is(ts, i, "environ", ".", "get", "("), is(ts, i, "getenv", "("), is(ts, i, "getOrDefault", "("):
			open := i + 1
			for open < len(ts)-1 && ts[open].text != "(" {
				open++
			}
			ps := parts(ts, open)
			if len(ps) > 0 && len(ps[0]) == 1 {
				n.env = ps[0][0].text
			}
			if len(ps) == 2 && len(ps[1]) == 1 && ps[1][0].kind != 'i' {
				n.text, n.open = ps[1][0].text, false
			}
			return
		case is(ts, i, "process", ".", "env", ".") && i+4 < len(ts):
			n.env = ts[i+4].text
			if k := i + 5; k+2 < len(ts) && (is(ts, k, "|", "|") || is(ts, k, "?", "?")) && len(ts) == k+3 && ts[k+2].kind != 'i' {
				n.text, n.open = ts[k+2].text, false
			}
			return
		}
	}
}

// entriesOf are the settings of a mapping.
func entriesOf(n *node) (out []entry) {
	out, _ = flatten(n)
	for i := range out {
		if out[i].open {
			out[i].text = strings.TrimSpace(out[i].text)
		}
	}
	return out
}
