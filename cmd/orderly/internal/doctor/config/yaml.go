package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxYAML bounds what the YAML parser is given: its time grows faster than its text.
const maxYAML = 512 << 10

func (sc *scanner) yaml(path string, text []byte) string {
	docs, why := parseYAML(text)
	if why != "" {
		return why
	}
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		if why = sc.yamlDoc(path, i, doc); why != "" {
			return why
		}
	}
	return ""
}

func parseYAML(text []byte) (docs []*node, why string) {
	if len(text) > maxYAML {
		return nil, fmt.Sprintf("%d bytes of YAML: %d are read at the most", len(text), maxYAML)
	}
	if n := deepest(text); n > 200 {
		return nil, fmt.Sprintf("brackets or lists %d deep: no configuration is", n)
	}
	if bytes.Contains(text, []byte("{{")) {
		text = untemplate(text)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		where := ""
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
			where = fmt.Sprintf(" at line %d", ye.GetToken().Position.Line)
		}
		return nil, "not valid YAML" + where + ": half written, or a template"
	}
	c := converter{anchors: map[string]*node{}}
	for _, d := range file.Docs {
		if d == nil || d.Body == nil {
			docs = append(docs, nil)
			continue
		}
		docs = append(docs, c.node(d.Body, 0))
	}
	return docs, ""
}

// untemplate makes YAML of a Helm template as far as that is possible: lines that are
// only directives go, values become a placeholder.
func untemplate(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, l := range lines {
		t := bytes.TrimSpace(l)
		switch {
		case bytes.HasPrefix(t, []byte("{{")) && bytes.HasSuffix(t, []byte("}}")), bytes.HasPrefix(t, []byte("- {{")) && bytes.HasSuffix(t, []byte("}}")):
			lines[i] = nil
		case bytes.Contains(l, []byte("{{")):
			if c := bytes.Index(l, []byte(": ")); c > 0 && c < bytes.Index(l, []byte("{{")) {
				lines[i] = append(append([]byte{}, l[:c+2]...), []byte("'{{template}}'")...)
			} else {
				lines[i] = nil
			}
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// deepest is how deep a text may nest: brackets, lists in a line, and indentation.
func deepest(text []byte) (most int) {
	flow := 0
	for line := range bytes.Lines(text) {
		dashes := 0
		for rest := bytes.TrimLeft(line, " "); bytes.HasPrefix(rest, []byte("- ")); rest = bytes.TrimLeft(rest[2:], " ") {
			dashes++
		}
		most = max(most, dashes)
		for _, c := range line {
			switch c {
			case '[', '{':
				flow++
				most = max(most, flow)
			case ']', '}':
				flow = max(flow-1, 0)
			}
		}
		most = max(most, (len(line)-len(bytes.TrimLeft(line, " ?:-&*!>|")))/4)
	}
	return most
}

// A converter makes nodes of the parser's, with aliases put in as references, so that
// nothing is copied.
type converter struct {
	anchors map[string]*node
	count   int
}

func (c *converter) node(n ast.Node, depth int) *node {
	if c.count++; n == nil || depth > 100 || c.count > 4*maxItems {
		return &node{form: 'v'}
	}
	out := &node{form: 'v', line: lineOf(n)}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.form = 'm'
		for _, v := range n.Values {
			c.pair(out, v, depth)
		}
	case *ast.MappingValueNode:
		out.form = 'm'
		c.pair(out, n, depth)
	case *ast.SequenceNode:
		out.form = 's'
		for _, v := range n.Values {
			out.vals = append(out.vals, c.node(v, depth+1))
		}
	case *ast.AnchorNode:
		out = c.node(n.Value, depth+1)
		if n.Name != nil {
			c.anchors[n.Name.String()] = out
		}
	case *ast.AliasNode:
		if n.Value != nil {
			if to := c.anchors[n.Value.String()]; to != nil {
				return to
			}
		}
	case *ast.TagNode:
		return c.node(n.Value, depth+1)
	case *ast.LiteralNode:
		if n.Value != nil {
			out.text = n.Value.Value
		}
		if n.Start != nil && n.Start.Position != nil {
			out.line = n.Start.Position.Line + 1
		}
	case *ast.NullNode:
	case *ast.StringNode:
		out.text = n.Value
	default:
		if t := n.GetToken(); t != nil {
			out.text = t.Value
		}
	}
	return out
}

func (c *converter) pair(out *node, v *ast.MappingValueNode, depth int) {
	if v == nil || v.Key == nil {
		return
	}
	val := c.node(v.Value, depth+1)
	key := ""
	if t := v.Key.GetToken(); t != nil {
		key = strings.TrimSpace(t.Value)
	}
	if v.Key.IsMergeKey() {
		merged := []*node{val}
		if val.form == 's' {
			merged = val.vals
		}
		for _, m := range merged {
			if m != nil && m.form == 'm' {
				for i, k := range m.keys {
					if out.get(k) == nil && len(out.keys) < maxItems {
						out.put(k, m.vals[i])
					}
				}
			}
		}
		return
	}
	if t := v.Key.GetToken(); val.form == 'v' && t != nil && t.Position != nil && !strings.Contains(val.text, "\n") {
		cp := *val // the place is that of the name
		cp.line = t.Position.Line
		val = &cp
	}
	out.put(key, val)
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// ownName says that a setting is written as no client of Kafka has it: with underscores
// and a word before it.
func ownName(e entry) bool {
	last := e.path[strings.LastIndexByte(e.path, '.')+1:]
	return strings.HasPrefix(last, "kafka_") && strings.Count(last, "_") > 1
}

// yamlDoc finds out what a document is.
func (sc *scanner) yamlDoc(path string, index int, doc *node) string {
	switch {
	case doc.get("services") != nil && doc.get("services").form == 'm' && compose(doc):
		sc.compose(path, doc)
		return ""
	case doc.str("kind") != "" && doc.str("apiVersion") != "":
		sc.kubernetes(path, doc, 0)
		return ""
	}
	entries, ok := flatten(doc)
	if !ok {
		return fmt.Sprintf("more than %d values: no configuration has so many", maxItems)
	}
	if sc.springEntries(path, index, entries) {
		return ""
	}
	// Names of the application's own: its code has the rest.
	sc.settings(source{file: path, partial: springFile(path) || slices.ContainsFunc(entries, ownName)}, entries)
	sc.envGroups(path, doc, 0)
	return ""
}
