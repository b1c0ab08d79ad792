package config

import (
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// worker reads a Connect worker: its own settings, and those of its producers.
func (sc *scanner) worker(s source, entries []entry) {
	s.kind = facts.Worker
	x := &section{set: map[string]facts.Value{}, own: 1}
	for _, e := range entries {
		e = expand(e, func(string) (string, bool) { return "", false })
		d := dots(e.path)
		if strings.HasPrefix(d, "consumer.") || strings.HasPrefix(d, "admin.") {
			continue
		}
		name, ok := known(strings.TrimPrefix(d, "producer."))
		if !ok && !strings.HasSuffix(d, ".storage.replication.factor") && d != "exactly.once.source.support" {
			continue
		}
		if !strings.HasPrefix(d, "producer.") && facts.KnownTo(name, "producer") && name != "bootstrap.servers" {
			if _, connect := map[string]bool{"client.id": true}[name]; !connect && !strings.HasPrefix(name, "ssl.") && !strings.HasPrefix(name, "sasl.") {
				continue // a setting of the worker's own client
			}
		}
		e.text = tidy(name, e.text)
		x.set[name] = e.value(s.file)
	}
	sc.unit(s, x, facts.Worker)
}

// connector reads one connector: what it overrides of its producer.
func (sc *scanner) connector(s source, name string, entries []entry) int {
	x := &section{set: map[string]facts.Value{}, own: 1}
	for _, e := range entries {
		e = expand(e, func(string) (string, bool) { return "", false })
		d := dots(e.path)
		under, over := strings.CutPrefix(d, "producer.override.")
		setting, ok := known(under)
		switch {
		case over && ok:
		case d == "connector.class" || d == "errors.tolerance" || d == "exactly.once.support" || d == "name":
			setting = d
		case d == "topic.creation.default.replication.factor":
			setting = "replication.factor"
		default:
			continue
		}
		e.text = tidy(setting, e.text)
		x.set[setting] = e.value(s.file)
		if s.line == 0 {
			s.line = e.line
		}
	}
	s.kind = facts.Connector
	if s.name == "" && name != "" {
		s.name = "connector " + safeName(name)
	}
	sc.unit(s, x, facts.Connector)
	return 1
}

// mirrors reads the configuration of MirrorMaker 2, whose names have "->" in them.
func (sc *scanner) mirrors(s source, entries []entry) int {
	found := false
	x := &section{set: map[string]facts.Value{}, own: 1}
	for _, e := range entries {
		if strings.Contains(e.path, "->") && strings.HasSuffix(e.path, ".enabled") {
			found = true
		}
		d := e.path
		i := strings.Index(d, ".producer.")
		if i < 0 && !strings.HasPrefix(d, "producer.") && d != "exactly.once.source.support" && !strings.HasSuffix(d, ".exactly.once.source.support") {
			if strings.HasSuffix(d, ".storage.replication.factor") {
				name := d[strings.LastIndex(strings.TrimSuffix(d, ".storage.replication.factor"), ".")+1:]
				x.set[name] = e.value(s.file)
			}
			continue
		}
		name := d[strings.LastIndex("."+d, ".producer.")+len("producer."):]
		if strings.HasSuffix(d, "exactly.once.source.support") {
			name = "exactly.once.source.support"
		}
		name, _ = known(strings.TrimPrefix(name, "override."))
		e.text = tidy(name, e.text)
		x.set[name] = e.value(s.file)
	}
	if !found {
		return 0
	}
	s.name, s.kind = "MirrorMaker 2", facts.Worker
	sc.unit(s, x, facts.Worker)
	return 1
}
