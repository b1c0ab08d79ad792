package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// A springDoc is one document of a Spring Boot application's configuration.
type springDoc struct {
	file    string
	index   int
	profile string
	entries []entry
}

// bootFields are the settings for which Spring Boot has fields, flattened.
var bootFields = map[facts.Kind]map[string]string{
	facts.Producer: {
		"acks": "acks", "batchsize": "batch.size", "bootstrapservers": "bootstrap.servers", "buffermemory": "buffer.memory", "clientid": "client.id", "compressiontype": "compression.type",
		"keyserializer": "key.serializer", "valueserializer": "value.serializer", "retries": "retries", "transactionidprefix": "transactional.id",
	},
	facts.Consumer: {
		"autocommitinterval": "auto.commit.interval.ms", "autooffsetreset": "auto.offset.reset", "bootstrapservers": "bootstrap.servers", "clientid": "client.id",
		"enableautocommit": "enable.auto.commit", "fetchmaxwait": "fetch.max.wait.ms", "fetchminsize": "fetch.min.bytes", "groupid": "group.id", "heartbeatinterval": "heartbeat.interval.ms",
		"isolationlevel": "isolation.level", "keydeserializer": "key.deserializer", "valuedeserializer": "value.deserializer", "maxpollrecords": "max.poll.records", "maxpollinterval": "max.poll.interval.ms",
	},
}

var listenerFields = map[string]string{"asyncacks": "listener.async-acks", "ackmode": "listener.ack-mode"}

func flat(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '-', '_', '.', '[', ']', '"', '\'':
			return -1
		}
		return r | 0x20
	}, s)
}

// unbracket writes "properties[max.in.flight]" as "properties.max.in.flight".
func unbracket(path string) string {
	return strings.NewReplacer("\"", "", "'", "", ".[", ".", "[", ".", "]", "").Replace(path)
}

func isSpringPath(path string) bool {
	p := strings.ToLower(path)
	return strings.HasPrefix(p, "spring.kafka.") || strings.HasPrefix(p, "spring.cloud.stream.")
}

func springFile(path string) bool {
	base := filepath.Base(path)
	return strings.HasPrefix(base, "application") || strings.HasPrefix(base, "bootstrap")
}

// springEntries keeps a document of Spring Boot until all of its folder are known.
func (sc *scanner) springEntries(path string, index int, entries []entry) bool {
	is := false
	profile := ""
	for _, e := range entries {
		p := unbracket(e.path)
		is = is || isSpringPath(p)
		switch strings.ToLower(p) {
		case "spring.config.activate.on-profile", "spring.profiles":
			profile = e.text
		}
	}
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	group := filepath.Dir(path) + "/" + base
	if springFile(path) {
		group = filepath.Dir(path)
		if _, p, ok := strings.Cut(base, "-"); ok && profile == "" {
			profile = p
		}
	}
	if !is && !springFile(path) {
		return false
	}
	sc.spring[group] = append(sc.spring[group], springDoc{path, index, profile, entries})
	return is
}

func (sc *scanner) isSpring(path string) bool {
	for _, docs := range sc.spring {
		if slices.ContainsFunc(docs, func(d springDoc) bool {
			return d.file == path && slices.ContainsFunc(d.entries, func(e entry) bool { return isSpringPath(unbracket(e.path)) })
		}) {
			return true
		}
	}
	return false
}

// finishSpring makes units of each application: of what holds without a profile, and
// of each profile over it.
func (sc *scanner) finishSpring() {
	var groups []string
	for g := range sc.spring {
		groups = append(groups, g)
	}
	slices.Sort(groups)
	for _, g := range groups {
		docs := sc.spring[g]
		slices.SortStableFunc(docs, func(a, b springDoc) int { return strings.Compare(a.file, b.file) })
		var base []entry
		var profiles []string
		for _, d := range docs {
			if d.profile == "" {
				base = append(base, placed(d)...)
			} else if !slices.Contains(profiles, d.profile) {
				profiles = append(profiles, d.profile)
			}
		}
		first := len(sc.set.Units)
		sc.springUnits(source{file: mainFile(docs, "")}, base)
		plain := slices.Clone(sc.set.Units[first:])
		for _, p := range profiles {
			all, own := slices.Clone(base), false
			for _, d := range docs {
				if d.profile == p {
					all = append(all, placed(d)...)
					own = own || slices.ContainsFunc(d.entries, func(e entry) bool { return isSpringPath(unbracket(e.path)) })
				}
			}
			if !own {
				continue
			}
			from := len(sc.set.Units)
			sc.springUnits(source{file: mainFile(docs, p), name: "profile " + safeName(p)}, all)
			for _, u := range sc.set.Units[from:] {
				// What the profile does not change stands where it stood: it is said once.
				if i := slices.IndexFunc(plain, func(b *facts.Unit) bool { return b.Kind == u.Kind && b.Framework == u.Framework }); i >= 0 {
					u.Place = plain[i].Place
				}
			}
			// What the profile does not change was said.
			fresh := slices.DeleteFunc(slices.Clone(sc.set.Units[from:]), func(u *facts.Unit) bool {
				return slices.ContainsFunc(plain, func(b *facts.Unit) bool { return b.Kind == u.Kind && maps.Equal(b.Set, u.Set) })
			})
			sc.set.Units = append(sc.set.Units[:from], fresh...)
		}
	}
}

// mainFile is the first file of a profile that has settings of Kafka.
func mainFile(docs []springDoc, profile string) string {
	for _, d := range docs {
		if d.profile == profile && slices.ContainsFunc(d.entries, func(e entry) bool { return isSpringPath(unbracket(e.path)) }) {
			return d.file
		}
	}
	return docs[0].file
}

func placed(d springDoc) []entry {
	out := slices.Clone(d.entries)
	for i := range out {
		out[i].file = d.file
	}
	return out
}

// springEnv reads variables such as SPRING_KAFKA_PRODUCER_ACKS.
func (sc *scanner) springEnv(s source, vars []entry) bool {
	is := false
	for _, e := range vars {
		is = is || isSpringPath(e.path)
	}
	if is {
		s.partial = true // application.yml has the rest
		sc.springUnits(s, vars)
	}
	return is
}

func (sc *scanner) springUnits(s source, entries []entry) {
	values := map[string]string{}
	for _, e := range entries {
		values[e.path] = e.text
	}
	lookup := func(name string) (string, bool) { t, ok := values[name]; return t, ok }
	var boot, binder []entry
	sends := -1
	for _, e := range entries {
		e = expand(e, lookup)
		path := unbracket(e.path)
		low := strings.ToLower(path)
		e.raw = e.written()
		switch {
		case strings.HasPrefix(low, "spring.kafka."):
			if to, ok := sc.bootName(s, path[len("spring.kafka."):], e); ok {
				e.path = to
				boot = append(boot, e)
			}
		case strings.HasPrefix(low, "spring.cloud.stream."):
			if to, ok := binderName(path); ok {
				e.path = to
				binder = append(binder, e)
			} else if strings.Contains(low, "-out-") && strings.HasSuffix(low, ".destination") && sends < 0 {
				sends = len(binder)
				e.path, e.text = "kafka.producer.client.id", ""
				binder = append(binder, e)
			}
		}
	}
	s.surely = true
	if len(boot) > 0 {
		s.framework = "spring"
		sc.add(s, boot)
	}
	if slices.ContainsFunc(binder, func(e entry) bool { return e.path != "kafka.producer.client.id" }) {
		s.framework = "spring-cloud-stream"
		s.defaults = map[string]string{"acks": "1"} // the binder's required-acks
		sc.add(s, binder)
	}
}

// mistyped notes a name that Spring hands on to the client as it is, and that is only
// much like one of the client's settings.
func (sc *scanner) mistyped(s source, role facts.Kind, name string, e entry) {
	if _, ok := known(name); ok || len(name) < 4 {
		return
	}
	if near := facts.Near(name, string(role)); near != "" {
		sc.strange(facts.Strange{Name: safeName(e.written()), Near: near, Rule: "X07", Place: placeOf(s, e)})
	}
}

func placeOf(s source, e entry) facts.Place {
	if e.file != "" {
		return facts.Place{File: e.file, Line: e.line}
	}
	return facts.Place{File: s.file, Line: e.line}
}

// bootName is where a setting below spring.kafka goes. A field that Spring Boot has
// not is noted.
func (sc *scanner) bootName(s source, path string, e entry) (string, bool) {
	first, rest, _ := strings.Cut(path, ".")
	switch role := facts.Kind(strings.ToLower(first)); role {
	case facts.Producer, facts.Consumer:
		field, under, _ := strings.Cut(rest, ".")
		if strings.EqualFold(field, "properties") {
			sc.mistyped(s, role, dots(under), e)
			return "kafka." + string(role) + "." + dots(under), true
		}
		if to, ok := bootFields[role][flat(rest)]; ok {
			return "kafka." + string(role) + "." + to, true
		}
		if f := flat(field); f == "ssl" || f == "security" {
			return "", false
		}
		to, known := known(dots(rest))
		if !known {
			to = facts.Near(dots(rest), string(role))
		}
		if to != "" {
			sc.strange(facts.Strange{Name: safeName(e.written()), Near: "spring.kafka." + string(role) + ".properties." + to, Rule: "P29",
				Why: "Spring Boot has no such field and ignores it", Place: placeOf(s, e)})
		}
		return "", false
	case "properties":
		return "kafka." + dots(rest), true
	case "listener":
		if to, ok := listenerFields[flat(rest)]; ok {
			return "kafka.consumer." + to, true
		}
	case "retry":
		if flat(rest) == "topicenabled" {
			return "kafka.consumer.retry.topic.enabled", true
		}
	default:
		if flat(path) == "bootstrapservers" {
			return "kafka.bootstrap.servers", true
		}
	}
	return "", false
}

// binderName is where a setting of the Spring Cloud Stream binder goes.
func binderName(path string) (string, bool) {
	low := strings.ToLower(path)
	if i := strings.Index(low, "kafka.binder."); i >= 0 {
		first, rest, _ := strings.Cut(path[i+len("kafka.binder."):], ".")
		switch flat(first) {
		case "requiredacks":
			return "kafka.producer.acks", true
		case "producerproperties":
			return "kafka.producer." + dots(rest), true
		case "consumerproperties":
			return "kafka.consumer." + dots(rest), true
		case "configuration":
			return "kafka." + dots(rest), true
		case "brokers":
			return "kafka.bootstrap.servers", true
		}
		if j := strings.Index(low, ".producer.configuration."); j >= 0 {
			return "kafka.producer." + dots(path[j+len(".producer.configuration."):]), true
		}
		return "", false
	}
	i := strings.Index(low, "kafka.bindings.")
	if i < 0 {
		i = strings.Index(low, "kafka.default.")
	}
	if i < 0 {
		return "", false
	}
	for _, role := range []string{"producer", "consumer"} {
		mark := "." + role + "."
		j := strings.Index(low[i:], mark)
		if j < 0 {
			continue
		}
		name := strings.ReplaceAll(strings.Trim(path[i+len("kafka.bindings."):max(i+j, i+len("kafka.bindings."))], "."), ".", "-")
		first, rest, _ := strings.Cut(path[i+j+len(mark):], ".")
		prefix := "kafka." + role + "."
		if name != "" && !strings.HasPrefix(low[i:], "kafka.default.") {
			prefix += strings.ToLower(name) + "."
		}
		switch {
		case flat(first) == "configuration":
			return prefix + dots(rest), true
		case flat(first) == "enabledlq":
			return prefix + "enable.dlq", true
		}
	}
	return "", false
}
