package config

import (
	"strconv"
	"strings"
)

// A node is a value of YAML, JSON, a Python dict or a JavaScript object, with the
// line where it stands.
type node struct {
	form byte // 'm' a mapping, 's' a sequence, 'v' a value
	text string
	line int
	open bool // an expression, decided elsewhere
	env  string
	keys []string
	vals []*node // of a mapping, in the order of keys, or of a sequence
	rest []tok   // of a mapping: another one that is spread into it, and was not read
}

func (n *node) get(path ...string) *node {
	for _, key := range path {
		if n == nil || n.form != 'm' {
			return nil
		}
		var next *node
		for i, k := range n.keys {
			if k == key {
				next = n.vals[i]
			}
		}
		n = next
	}
	return n
}

func (n *node) str(path ...string) string {
	if v := n.get(path...); v != nil && v.form == 'v' {
		return v.text
	}
	return ""
}

func (n *node) put(key string, v *node) {
	n.keys, n.vals = append(n.keys, key), append(n.vals, v)
}

// A flattener makes entries of a tree. It counts what it visits, as a short text with
// aliases can be a huge tree.
type flattener struct {
	out   []entry
	left  int
	depth int
}

// flatten gives the entries of a tree, and false when it is too large.
func flatten(n *node) ([]entry, bool) {
	f := &flattener{left: maxItems}
	f.walk("", n)
	return f.out, f.left > 0
}

func (f *flattener) walk(prefix string, n *node) {
	if f.left--; f.left <= 0 || n == nil || f.depth > 100 {
		return
	}
	f.depth++
	defer func() { f.depth-- }()
	switch n.form {
	case 'm':
		for i, k := range n.keys {
			if len(prefix)+len(k) > 500 {
				continue
			}
			name := k
			if prefix != "" {
				name = prefix + "." + k
			}
			f.walk(name, n.vals[i])
		}
	case 's':
		var list []string
		for i, v := range n.vals {
			if v == nil {
				continue
			}
			if v.form == 'v' {
				list = append(list, v.text)
			} else {
				f.walk(prefix+"["+strconv.Itoa(i)+"]", v)
			}
			if f.left--; f.left <= 0 || len(list) > 100 {
				break
			}
		}
		if len(list) > 0 {
			f.out = append(f.out, entry{path: prefix, text: strings.Join(list, ","), line: n.line})
		}
	case 'v':
		f.out = append(f.out, entry{path: prefix, text: n.text, line: n.line, open: n.open, env: n.env})
	}
}
