package explain

import (
	"encoding/json"
	"regexp"
	"strings"
)

// What a collector of logs puts before a line: the container runtime, docker
// compose, kubectl logs --prefix, stern.
var collector = regexp.MustCompile(`^(?:\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP] |[\w.-]+ *\| |\[pod/[^\]]+\] )`)

// a line that goes on with the event of the line before it
var continuation = regexp.MustCompile(`^(?:\s+at |\s*Caused by: |\s*Suppressed: |\s+\.\.\. \d+ (?:more|common)|\s+File "|\s{2,}\S|\t|[a-z][\w$]*(?:\.[\w$]+)+(?:Exception|Error)\b)`)

// bare is a line without what collectors put before it.
func bare(line string) string {
	for range 2 {
		loc := collector.FindStringIndex(line)
		if loc == nil {
			return line
		}
		line = line[loc[1]:]
	}
	return line
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
	texts := collect(nil, v, 0)
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
