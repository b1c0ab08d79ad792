package config

import (
	"bytes"
	"regexp"
	"strings"
)

var (
	assignment = regexp.MustCompile(`^(?:export\s+|ENV\s+|readonly\s+|set\s+)?([A-Za-z_][A-Za-z0-9_.]*)[= ]("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;&|\x00]*)`)
	dockerEnv  = regexp.MustCompile(`(?:^|\s)(?:-e|--env)[ =]["']?([A-Za-z_][A-Za-z0-9_.]*)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'\x00]*)`)
	property   = regexp.MustCompile(`--(producer|consumer|command)-(?:property|config)[ =]["']?([a-z][a-z0-9.]*)=([^\s"'\x00]*)`)
	dockerRun  = regexp.MustCompile(`\bdocker\s+(?:container\s+)?run\b`)
	imageName  = regexp.MustCompile(`\s((?:[a-z0-9.\-]+/)*[a-z0-9.\-]*kafka[a-z0-9.\-]*(?::[A-Za-z0-9._\-]+)?)(?:\s|$)`)
)

// shell reads the variables of scripts, .env files and Dockerfiles, those of
// "docker run -e", and the properties of the console tools. Each command is a
// program of its own; all other variables belong together.
func (sc *scanner) shell(path string, text []byte) string {
	var vars []entry
	image := ""
	for _, l := range commands(text) {
		switch {
		case dockerRun.MatchString(l.text):
			var of []entry
			for _, m := range dockerEnv.FindAllStringSubmatchIndex(l.text, 500) {
				of = append(of, entry{path: l.text[m[2]:m[3]], text: unquote(l.text[m[4]:m[5]]), line: l.line + strings.Count(l.text[:m[0]], "\x00")})
			}
			name := ""
			if m := imageName.FindStringSubmatch(strings.ReplaceAll(l.text, "\x00", " ")); m != nil {
				name = m[1]
			}
			if len(of) > 0 {
				sc.env(source{file: path, line: l.line}, name, of, false)
			}
			continue
		case strings.HasPrefix(l.text, "FROM "):
			image = strings.Fields(l.text + " -")[1]
			continue
		}
		sc.topicCommand(path, l)
		of := map[string][]entry{}
		for _, m := range property.FindAllStringSubmatch(l.text, 100) {
			of[m[1]] = append(of[m[1]], entry{path: m[1] + "." + m[2], text: m[3], line: l.line, raw: m[2]})
		}
		for _, es := range of {
			sc.add(source{file: path, surely: true, client: "java"}, es)
		}
		if strings.HasPrefix(l.text, "ENV ") && !strings.Contains(strings.SplitN(l.text[4:], " ", 2)[0], "=") {
			if m := assignment.FindStringSubmatch(l.text); m != nil {
				vars = append(vars, entry{path: m[1], text: unquote(m[2]), line: l.line})
			}
			continue
		}
		rest := strings.ReplaceAll(l.text, "\x00", " ")
		for range 100 {
			m := assignment.FindStringSubmatchIndex(rest)
			if m == nil || m[3] >= len(rest) || rest[m[3]] != '=' {
				break
			}
			vars = append(vars, entry{path: rest[m[2]:m[3]], text: unquote(rest[m[4]:m[5]]), line: l.line})
			rest = strings.TrimLeft(rest[m[1]:], " \t;&")
		}
	}
	if len(vars) > 0 {
		script := strings.HasSuffix(path, ".sh") || strings.HasSuffix(path, ".bash") // others set variables before it runs
		sc.env(source{file: path, partial: script}, image, vars, false)
	}
	return ""
}

func unquote(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

type command struct {
	text string // continued lines are joined by a zero byte
	line int
}

func commands(text []byte) (out []command) {
	open := false
	for i, l := range bytes.Split(text, []byte("\n")) {
		if i > maxItems {
			break
		}
		t := strings.TrimSpace(string(l))
		next := strings.HasSuffix(t, "\\")
		t = strings.TrimSpace(strings.TrimSuffix(t, "\\"))
		switch {
		case open && len(out[len(out)-1].text) < 64<<10:
			out[len(out)-1].text += "\x00 " + t
		case t == "" || strings.HasPrefix(t, "#"):
			continue
		default:
			out = append(out, command{t, i + 1})
		}
		open = next
	}
	return out
}
