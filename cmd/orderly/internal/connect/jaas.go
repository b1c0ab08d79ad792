package connect

import (
	"strings"
	"unicode"
)

var jaasModules = []string{
	"org.apache.kafka.common.security.plain.PlainLoginModule",
	"org.apache.kafka.common.security.scram.ScramLoginModule",
}

// parseJAAS takes user and password out of a sasl.jaas.config. The problem
// never quotes it.
func parseJAAS(text string) (user, password, problem string) {
	text = strings.TrimSpace(text)
	module, rest := cutSpace(text)
	known := false
	for _, m := range jaasModules {
		known = known || m == module
	}
	if !known {
		return "", "", "only the PlainLoginModule and the ScramLoginModule of org.apache.kafka.common.security are supported"
	}
	flag, rest := cutSpace(strings.TrimSpace(rest))
	if flag != "required" {
		return "", "", "the module's name is followed by: required username=\"...\" password=\"...\";"
	}
	options := map[string]string{}
	for {
		rest = strings.TrimSpace(rest)
		if rest == "" || rest == ";" {
			break
		}
		name, after, ok := strings.Cut(rest, "=")
		value, left, closed := jaasValue(strings.TrimSpace(after))
		if !ok || !closed {
			return "", "", "not of the form username=\"...\" password=\"...\"; is a quote missing?"
		}
		name, rest = strings.TrimSpace(name), left
		if name != "username" && name != "password" {
			return "", "", "only the options username and password are supported"
		}
		options[name] = value
	}
	if options["username"] == "" || options["password"] == "" {
		return "", "", "username or password is missing"
	}
	return options["username"], options["password"], ""
}

// cutSpace cuts at the first white space: the text may be on several lines.
func cutSpace(s string) (word, rest string) {
	if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// jaasValue reads a value, in quotes or up to the next blank.
func jaasValue(s string) (value, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	quote := s[0]
	if quote != '"' && quote != '\'' {
		end := strings.IndexFunc(s, func(r rune) bool { return r == ';' || unicode.IsSpace(r) })
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == quote:
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
