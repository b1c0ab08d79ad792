package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// An entry is one line "name = value" of whatever form.
type entry struct {
	path string // the name with dots, as it is written
	text string
	line int
	env  string // a variable that may give another value
	open bool   // decided elsewhere
	raw  string // as it is written in the file, where that is another name
	file string // where it is not that of its source
}

func (e entry) written() string {
	if e.raw != "" {
		return e.raw
	}
	return e.path
}

func (e entry) value(file string) facts.Value {
	if e.file != "" {
		file = e.file
	}
	return facts.Value{Text: e.text, Written: safeName(e.written()), Env: e.env, Elsewhere: e.open, Place: facts.Place{File: file, Line: e.line}}
}

var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.>\-\[\]()"' ]{0,120}$`)

// safeName is a name that may be printed: a line that was broken in the wrong place
// makes a name of a password.
func safeName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return "(a name that is not shown)"
}

// expand takes placeholders apart: what holds without the variable, and its name.
func expand(e entry, lookup func(string) (string, bool)) entry {
	for range 5 {
		open, end, inner := "", "", ""
		for _, p := range [][2]string{{"${", "}"}, {"$(", ")"}, {"{{", "}}"}, {"@", "@"}, {"%(", ")"}} {
			if i := strings.Index(e.text, p[0]); i >= 0 {
				if j := strings.LastIndex(e.text[i+len(p[0]):], p[1]); j >= 0 && (p[0] != "@" || i == 0) {
					open, end, inner = e.text[:i], e.text[i+len(p[0])+j+len(p[1]):], e.text[i+len(p[0]):][:j]
					break
				}
			}
		}
		if inner == "" {
			if strings.HasPrefix(e.text, "$") && len(e.text) > 1 {
				e.env, e.open = e.text[1:], true
			}
			return e
		}
		name, def, has := inner, "", false
		if i := strings.IndexByte(inner, ':'); i >= 0 {
			name, has = inner[:i], true
			def = strings.TrimLeft(inner[i+1:], "-=+?")
			if strings.HasPrefix(inner[i+1:], "?") {
				has = false
			}
		} else if i := strings.IndexByte(inner, '-'); i > 0 && strings.ToUpper(inner[:i]) == inner[:i] {
			name, def, has = inner[:i], inner[i+1:], true
		}
		if val, ok := lookup(name); ok && !strings.Contains(val, "${"+name) {
			e.text = open + val + end
			continue
		}
		e.env = name
		if !has || open != "" || end != "" {
			e.open = true
			return e
		}
		e.text = def
	}
	return e
}

var span = regexp.MustCompile(`^([0-9]+)(ms|s|m|h|d)$`)

// tidy writes values in Kafka's way.
func tidy(name, text string) string {
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	if strings.HasSuffix(name, ".ms") {
		t := strings.ToLower(strings.TrimPrefix(text, "PT"))
		if m := span.FindStringSubmatch(t); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			unit := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
			if n < 1<<40 {
				return strconv.FormatInt(n*unit.Milliseconds(), 10)
			}
		}
	}
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		if name != "acks" {
			return "true"
		}
	case "false", "no", "off":
		return "false"
	}
	if name == "isolation.level" {
		return strings.ReplaceAll(strings.ToLower(text), "-", "_")
	}
	if strings.Trim(text, "0123456789_-") == "" {
		return strings.ReplaceAll(text, "_", "")
	}
	return text
}

// aliases are other names of settings.
var aliases = map[string]string{
	"request.required.acks": "acks", "max.in.flight": "max.in.flight.requests.per.connection", "max.in.flight.requests": "max.in.flight.requests.per.connection",
	"message.send.max.retries": "retries", "message.timeout.ms": "delivery.timeout.ms", "queue.buffering.max.ms": "linger.ms", "metadata.broker.list": "bootstrap.servers",
	"transaction.id.prefix": "transactional.id", "heartbeat.interval": "heartbeat.interval.ms", "max.poll.interval": "max.poll.interval.ms",
	"auto.commit": "enable.auto.commit", "default.topic.replication.factor": "default.replication.factor",
}

// canonical finds a known setting at the end of a dotted name: its own name, and what
// stands before it.
func canonical(path string) (name, prefix string, ok bool) {
	dotted := dots(path)
	rest := dotted
	for {
		if c, ok := known(rest); ok {
			return c, strings.TrimSuffix(strings.TrimSuffix(dotted, rest), "."), true
		}
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return "", "", false
		}
		rest = rest[i+1:]
	}
}

func known(name string) (string, bool) {
	if c, ok := aliases[name]; ok {
		return c, true
	}
	switch name {
	case "listener.async.acks":
		return "listener.async-acks", true
	case "listener.ack.mode":
		return "listener.ack-mode", true
	case "retry.topic.enabled", "enable.dlq", "group.mode", "replicas":
		return name, name != "replicas"
	}
	return name, facts.Known(name)
}

// dots writes kebab, snake and camel case with dots.
func dots(path string) string {
	var b strings.Builder
	low := false
	for i, r := range path {
		switch {
		case r == '-' && i+1 < len(path) && path[i+1] == '>':
			b.WriteRune('-')
			low = false
			continue
		case r == '-' || r == '_' || r == '.':
			b.WriteByte('.')
			low = false
			continue
		case r == '[' || r == ']' || r == '"' || r == '\'':
			continue
		case r >= 'A' && r <= 'Z':
			if low {
				b.WriteByte('.')
			}
			b.WriteRune(r | 0x20)
			low = false
			continue
		}
		b.WriteRune(r)
		low = r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
	}
	return b.String()
}
