package config

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/magiconair/properties"
)

// propertyLines are the logical lines of a .properties text, each with the number of
// its first line: continued lines are one.
func propertyLines(text []byte, each func(line int, logical []byte)) {
	var joined []byte
	start := 0
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimRight(line, "\r")
		trimmed := bytes.TrimLeft(line, " \t\f")
		if joined == nil {
			if len(trimmed) == 0 || trimmed[0] == '#' || trimmed[0] == '!' {
				continue
			}
			start, joined = i+1, []byte{}
		}
		backs := 0
		for backs < len(trimmed) && trimmed[len(trimmed)-1-backs] == '\\' {
			backs++
		}
		if backs%2 == 1 {
			joined = append(joined, trimmed[:len(trimmed)-1]...)
			continue
		}
		each(start, append(joined, trimmed...))
		joined = nil
	}
	if len(joined) > 0 {
		each(start, joined)
	}
}

// propertyEntries reads a .properties text. Bad lines are left out and counted.
func propertyEntries(text []byte) (entries []entry, bad int) {
	enc := properties.UTF8
	if !utf8.Valid(text) {
		enc = properties.ISO_8859_1
	}
	loader := properties.Loader{Encoding: enc, DisableExpansion: true}
	propertyLines(text, func(line int, logical []byte) {
		if len(entries) >= maxItems {
			return
		}
		p, err := loader.LoadBytes(logical)
		if err != nil {
			bad = line
			return
		}
		for _, k := range p.Keys() {
			v, _ := p.Get(k)
			entries = append(entries, entry{path: k, text: v, line: line})
		}
	})
	return entries, bad
}

func (sc *scanner) properties(path string, text []byte) string {
	if len(bytes.Split(text, []byte("\n"))) > maxItems {
		return "more lines than a configuration has"
	}
	hocon := strings.HasSuffix(path, ".conf") && bytes.Contains(text, []byte("{\n")) // blocks, of which only names are read
	// Spring Boot separates documents of a file by a line.
	docs := splitProperties(text)
	for i, doc := range docs {
		entries, bad := propertyEntries(doc)
		if bad > 0 {
			sc.skip(path, bad, "a line that is no .properties: after a backslash there is u without four hexadecimal digits")
		}
		if sc.springEntries(path, i, entries) {
			continue
		}
		sc.settings(source{file: path, partial: hocon}, entries)
	}
	return ""
}

// splitProperties splits at "#---" and "!---", and keeps line numbers.
func splitProperties(text []byte) (docs [][]byte) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	var doc []byte
	for i, l := range lines {
		if t := strings.TrimSpace(string(l)); t == "#---" || t == "!---" {
			docs = append(docs, doc)
			doc = bytes.Repeat([]byte("\n"), i+1)
			continue
		}
		doc = append(doc, l...)
	}
	return append(docs, doc)
}
