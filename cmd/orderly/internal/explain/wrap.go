package explain

import (
	"bytes"
	"encoding/json"
	"strings"
)

// bareAt is where a line begins behind what collectors of logs put before it: the
// container runtime, docker compose, kubectl logs --prefix. It is asked of every
// line of a log.
func bareAt(line []byte) int {
	at := 0
	for range 2 {
		n := collected(line[at:])
		if n == 0 {
			break
		}
		at += n
	}
	return at
}

const longestPrefix = 120

func collected(line []byte) int {
	head := line[:min(len(line), longestPrefix)]
	switch {
	case len(head) == 0:
		return 0
	case head[0] == '[':
		if bytes.HasPrefix(head, []byte("[pod/")) {
			if i := bytes.Index(head, []byte("] ")); i > 0 {
				return i + 2
			}
		}
		return 0
	case '0' <= head[0] && head[0] <= '9':
		for _, stream := range [][]byte{[]byte(" stdout "), []byte(" stderr ")} {
			i := bytes.Index(head[:min(len(head), 64)], stream)
			if tag := i + len(stream); i >= 20 && tag+2 <= len(line) && (line[tag] == 'F' || line[tag] == 'P') && line[tag+1] == ' ' && bytes.IndexByte(head[:i], ' ') < 0 {
				return tag + 2
			}
		}
	}
	if i := bytes.Index(head, []byte("| ")); i > 0 {
		name := bytes.TrimRight(head[:i], " ")
		for _, c := range name {
			if !wordByte(c) && c != '-' && c != '.' {
				return 0
			}
		}
		return i + 2
	}
	return 0
}

// goesOn says whether a line, without its prefix, belongs to the one before it by
// its own looks: a frame, a cause, or anything indented.
func goesOn(line []byte) bool {
	return len(line) > 0 && (line[0] == '\t' || len(line) > 1 && line[0] == ' ' && (line[1] == ' ' || line[1] == 'a')) ||
		bytes.HasPrefix(line, []byte("Caused by: ")) || bytes.HasPrefix(line, []byte("Suppressed: "))
}

// isThrown says whether a line is an exception's class with its message: it belongs
// to the line before, when that one reports trouble.
func isThrown(line []byte) bool {
	if len(line) == 0 || line[0] < 'a' || line[0] > 'z' {
		return false
	}
	end := bytes.IndexAny(line[:min(len(line), 200)], ": ")
	if end < 0 {
		end = len(line)
	}
	class := line[:min(end, 200)]
	return bytes.IndexByte(class, '.') > 0 && (bytes.HasSuffix(class, []byte("Exception")) || bytes.HasSuffix(class, []byte("Error")))
}

// isTrouble says whether a line reports some.
func isTrouble(line []byte) bool {
	for _, w := range []string{"ERROR", "WARN", "FATAL", "SEVERE", "rror", "xception", "ailed"} {
		if bytes.Contains(line, []byte(w)) {
			return true
		}
	}
	return false
}

const (
	maxDepth = 4  // of JSON in JSON
	maxTexts = 64 // lines out of one JSON line
)

// unwrap gives the lines that one line of a log stands for: itself, or what the
// strings of a JSON object hold (a stack trace is many lines).
func unwrap(line string) []string {
	at := strings.IndexByte(line, '{')
	if at < 0 || !strings.HasSuffix(strings.TrimSpace(line), "}") {
		return []string{line}
	}
	var v map[string]any
	if json.Unmarshal([]byte(line[at:]), &v) != nil {
		return []string{line}
	}
	var texts []string
	if before := strings.TrimSpace(line[:at]); before != "" {
		texts = append(texts, before)
	}
	texts = collect(texts, v, 0)
	if len(texts) == 0 {
		return []string{line}
	}
	return texts
}

// first are the fields that say what happened; the others follow.
var first = []string{"message", "msg", "log", "MESSAGE", "textPayload", "error", "err", "exception", "stack_trace", "stack", "stacktrace"}

func collect(to []string, v any, depth int) []string {
	if depth > maxDepth || len(to) >= maxTexts {
		return to
	}
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(strings.TrimSpace(v), "{") {
			var in map[string]any
			if json.Unmarshal([]byte(v), &in) == nil {
				return collect(to, in, depth+1)
			}
		}
		for t := range strings.SplitSeq(strings.TrimRight(v, "\n"), "\n") {
			if len(to) < maxTexts && t != "" {
				to = append(to, strings.TrimRight(t, "\r"))
			}
		}
	case map[string]any:
		for _, k := range first {
			to = collect(to, v[k], depth+1)
		}
		for _, k := range sortedKeys(v) {
			if !contains(first, k) {
				to = collect(to, v[k], depth+1)
			}
		}
	case []any:
		for _, x := range v {
			to = collect(to, x, depth+1)
		}
	}
	return to
}
