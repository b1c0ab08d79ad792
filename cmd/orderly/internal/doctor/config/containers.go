package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// Compose files, Kubernetes objects, and the environment of containers.

func compose(doc *node) bool {
	for _, s := range doc.get("services").vals {
		if s != nil && (s.get("image") != nil || s.get("build") != nil || s.get("environment") != nil) {
			return true
		}
	}
	return false
}

func (sc *scanner) compose(path string, doc *node) {
	services := doc.get("services")
	for i, name := range services.keys {
		s := services.vals[i]
		src := source{file: path, line: s.line, name: "service " + safeName(name), replicas: s.str("deploy", "replicas")}
		if src.replicas == "" {
			src.replicas = s.str("scale")
		}
		sc.env(src, s.str("image"), pairs(s.get("environment")), s.get("tmpfs") != nil)
	}
}

// pairs are the variables of a mapping, or of a list of "A=B".
func pairs(n *node) (out []entry) {
	if n == nil {
		return nil
	}
	for i, v := range n.vals {
		if v == nil || len(out) > maxItems {
			continue
		}
		switch {
		case n.form == 'm' && v.form == 'v':
			out = append(out, entry{path: n.keys[i], text: v.text, line: v.line})
		case v.form == 'v':
			name, text, ok := strings.Cut(v.text, "=")
			out = append(out, entry{path: name, text: text, line: v.line, open: !ok})
		case v.form == 'm' && v.str("name") != "":
			e := entry{path: v.str("name"), text: v.str("value"), line: v.get("name").line}
			if val := v.get("value"); val != nil {
				e.line = val.line
			}
			e.open = v.get("value") == nil
			out = append(out, e)
		}
	}
	return out
}

// envGroups looks for the variables of containers in files of other tools (Helm
// values and the like).
func (sc *scanner) envGroups(path string, n *node, depth int) {
	if n == nil || depth > 30 || len(sc.set.Units) > maxUnits {
		return
	}
	for i, v := range n.vals {
		if n.form == 'm' && v != nil {
			switch strings.ToLower(n.keys[i]) {
			case "env", "environment", "extraenv", "extraenvvars", "env_vars":
				sc.env(source{file: path, line: v.line}, n.str("image"), pairs(v), false)
				continue
			}
		}
		sc.envGroups(path, v, depth+1)
	}
}

// settings hands entries to the builder.
func (sc *scanner) settings(s source, entries []entry) int {
	if len(entries) == 0 {
		return 0
	}
	if class := textOf(entries, "connector.class"); class != "" {
		return sc.connector(s, "", entries)
	}
	if class := textOf(entries, "config.connector.class"); class != "" {
		var under []entry
		for _, e := range entries {
			if p, ok := strings.CutPrefix(e.path, "config."); ok {
				e.path = p
				under = append(under, e)
			}
		}
		return sc.connector(s, textOf(entries, "name"), under)
	}
	if n := sc.mirrors(s, entries); n > 0 {
		return n
	}
	for _, name := range works {
		if slices.ContainsFunc(entries, func(e entry) bool { return e.path == name }) {
			sc.worker(s, entries)
			return 1
		}
	}
	return sc.add(s, entries)
}

func textOf(entries []entry, path string) string {
	for _, e := range entries {
		if e.path == path {
			return e.text
		}
	}
	return ""
}

var (
	brokerEnv = regexp.MustCompile(`^KAFKA_(CFG_.*|ADVERTISED_LISTENERS|BROKER_ID|NODE_ID|ZOOKEEPER_CONNECT|PROCESS_ROLES|OFFSETS_TOPIC_REPLICATION_FACTOR|CONTROLLER_QUORUM_VOTERS)$`)
	brokerIs  = regexp.MustCompile(`(^|/)(cp-kafka|cp-server|kafka|kafka-native|cp-enterprise-kafka)(:|@|$)`)
	workerEnv = regexp.MustCompile(`^CONNECT_(BOOTSTRAP_SERVERS|GROUP_ID|(CONFIG|OFFSET|STATUS)_STORAGE_.*)$`)
	// Debezium's image has these names without a prefix.
	plainWorkerEnv = regexp.MustCompile(`^(CONFIG|OFFSET|STATUS)_STORAGE_(TOPIC|REPLICATION_FACTOR|PARTITIONS)$`)
	imageTag       = regexp.MustCompile(`:v?([0-9]+\.[0-9]+(?:\.[0-9]+)?)`)
	wurstTag       = regexp.MustCompile(`:2\.1[123]-([0-9.]+)`)
	cpVersions     = map[string]string{"5.0": "2.0.1", "5.1": "2.1.1", "5.2": "2.2.2", "5.3": "2.3.1", "5.4": "2.4.1", "5.5": "2.5.1", "6.0": "2.6.3", "6.1": "2.7.2", "6.2": "2.8.2",
		"7.0": "3.0.2", "7.1": "3.1.2", "7.2": "3.2.3", "7.3": "3.3.2", "7.4": "3.4.1", "7.5": "3.5.2", "7.6": "3.6.2", "7.7": "3.7.2", "7.8": "3.8.1", "7.9": "3.9.1", "8.0": "4.0.0", "8.1": "4.1.0"}
)

// brokerVersion reads the version of Kafka from the name of an image.
func brokerVersion(image string) (v facts.Ver, ok bool) {
	if m := wurstTag.FindStringSubmatch(image); m != nil {
		return facts.ParseVer(m[1])
	}
	m := imageTag.FindStringSubmatch(image)
	if m == nil {
		return v, false
	}
	if strings.Contains(image, "/cp-") {
		parts := strings.SplitN(m[1], ".", 3)
		return facts.ParseVer(cpVersions[parts[0]+"."+parts[1]])
	}
	return facts.ParseVer(m[1])
}

// env reads the variables of one container, script or pod.
func (sc *scanner) env(s source, image string, vars []entry, gone bool) {
	isBroker, isWorker, plain, configured := brokerIs.MatchString(image), false, false, false
	for _, e := range vars {
		configured = configured || brokerEnv.MatchString(e.path)
		isBroker = isBroker || configured
		isWorker = isWorker || workerEnv.MatchString(e.path)
		plain = plain || plainWorkerEnv.MatchString(e.path)
	}
	isBroker = isBroker && !isWorker && !plain
	var broker, worker, rest []entry
	for _, e := range vars {
		e.raw = e.path
		switch name := e.path; {
		case isBroker && strings.HasPrefix(name, "KAFKA_"):
			e.path = unenv(strings.TrimPrefix(strings.TrimPrefix(name, "KAFKA_"), "CFG_"))
			broker = append(broker, e)
		case strings.HasPrefix(name, "CONNECT_") && (isWorker || plain):
			e.path = unenv(strings.TrimPrefix(name, "CONNECT_"))
			worker = append(worker, e)
		case plain && (name == "BOOTSTRAP_SERVERS" || name == "GROUP_ID" || plainWorkerEnv.MatchString(name)):
			e.path = unenv(name)
			worker = append(worker, e)
		case name == strings.ToUpper(name):
			e.path = unenv(name)
			rest = append(rest, e)
		default:
			rest = append(rest, e)
		}
	}
	if isBroker {
		if gone {
			broker = append(broker, entry{path: "storage", text: "ephemeral", line: s.line, raw: "tmpfs"})
		}
		src := s
		src.surely, src.kind = true, facts.Broker
		src.partial = src.partial || !configured // a file is mounted, which has the settings
		before := len(sc.set.Units)
		if len(broker) > 0 {
			sc.whole(src, broker)
		}
		if v, ok := brokerVersion(image); ok && len(sc.set.Units) > before {
			u := sc.set.Units[len(sc.set.Units)-1]
			u.Versions, u.VersionOf = []facts.Ver{v}, "the tag of its image"
		}
	}
	if len(worker) > 0 {
		src := s
		src.kind, src.surely = facts.Worker, true
		sc.worker(src, worker)
	}
	if len(rest) > 0 && !sc.springEnv(s, rest) {
		s.partial = true // the program has the rest
		s.guest = true
		sc.add(s, rest)
	}
}

// unenv writes the name of a variable with dots, as the images do.
func unenv(name string) string {
	name = strings.ToLower(name)
	name = strings.ReplaceAll(name, "___", "-")
	name = strings.ReplaceAll(name, "__", "\x00")
	name = strings.ReplaceAll(name, "_", ".")
	return strings.ReplaceAll(name, "\x00", "_")
}

// whole takes all entries as the settings of one unit.
func (sc *scanner) whole(s source, entries []entry) {
	x := &section{set: map[string]facts.Value{}, own: 1}
	for _, e := range entries {
		e = expand(ofTopic(e), func(string) (string, bool) { return "", false })
		name, known := known(dots(e.path))
		if e.path == "storage" || e.path == "replication.factor" {
			name, known = e.path, true
		}
		if !known {
			x.names = append(x.names, e)
			continue
		}
		e.text = tidy(name, e.text)
		x.set[name] = e.value(s.file)
	}
	sc.unit(s, x, s.kind)
}

// kubernetes reads one object, and lists of them.
func (sc *scanner) kubernetes(path string, doc *node, depth int) {
	if items := doc.get("items"); items != nil && depth == 0 {
		for _, it := range items.vals {
			if it != nil {
				sc.kubernetes(path, it, 1)
			}
		}
	}
	kind, spec := doc.str("kind"), doc.get("spec")
	src := source{file: path, name: strings.ToLower(kind) + " " + safeName(doc.str("metadata", "name")), surely: true}
	under := func(n *node, kind facts.Kind) []entry {
		if n == nil {
			return nil
		}
		entries, _ := flatten(n)
		src.kind, src.line = kind, n.line
		return entries
	}
	switch kind {
	case "ConfigMap":
		sc.configMap(path, src, doc.get("data"))
	case "Kafka", "KafkaNodePool":
		body := spec
		if kind == "Kafka" {
			body = spec.get("kafka")
		}
		entries := under(body.get("config"), facts.Broker)
		if st := body.get("storage"); st != nil && st.str("type") == "ephemeral" {
			entries = append(entries, entry{path: "storage", text: "ephemeral", line: st.get("type").line})
			src.kind, src.partial = facts.Broker, body.get("config") == nil
		}
		if len(entries) > 0 {
			sc.whole(src, entries)
			if v, ok := facts.ParseVer(body.str("version")); ok && len(sc.set.Units) > 0 {
				u := sc.set.Units[len(sc.set.Units)-1]
				u.Versions, u.VersionOf = []facts.Ver{v}, path
			}
		}
	case "KafkaTopic":
		entries := under(spec.get("config"), facts.Topic)
		src.kind = facts.Topic
		if r := spec.get("replicas"); r != nil {
			entries = append(entries, entry{path: "replication.factor", text: r.text, line: r.line, raw: "replicas"})
		}
		if len(entries) > 0 {
			sc.whole(src, entries)
		}
	case "KafkaConnect", "KafkaMirrorMaker2":
		if entries := under(spec.get("config"), facts.Worker); len(entries) > 0 {
			sc.worker(src, entries)
		}
	case "KafkaConnector":
		entries := under(spec.get("config"), facts.Connector)
		if c := spec.get("class"); c != nil {
			entries = append(entries, entry{path: "connector.class", text: c.text, line: c.line, raw: "class"})
		}
		if len(entries) > 0 {
			sc.connector(src, doc.str("metadata", "name"), entries)
		}
	default:
		pod := spec.get("template", "spec")
		if pod == nil {
			pod = spec.get("jobTemplate", "spec", "template", "spec")
		}
		if pod == nil {
			pod = spec
		}
		gone := false
		if vols := pod.get("volumes"); vols != nil {
			for _, v := range vols.vals {
				gone = gone || v.get("emptyDir") != nil && (strings.Contains(v.str("name"), "data") || strings.Contains(v.str("name"), "kafka") || strings.Contains(v.str("name"), "log"))
			}
		}
		cs := pod.get("containers")
		if cs == nil {
			return
		}
		for _, c := range cs.vals {
			if c == nil {
				continue
			}
			s := source{file: path, line: c.line, name: src.name, replicas: spec.str("replicas")}
			if kind == "StatefulSet" {
				s.name = src.name
			}
			sc.env(s, c.str("image"), pairs(c.get("env")), gone)
		}
	}
}

// configMap reads the files and the variables in one.
func (sc *scanner) configMap(path string, src source, data *node) {
	if data == nil || data.form != 'm' {
		return
	}
	var vars []entry
	for i, name := range data.keys {
		v := data.vals[i]
		if v == nil || v.form != 'v' || strings.HasPrefix(name, "_") { // _example is documentation
			continue
		}
		if !strings.Contains(v.text, "\n") {
			vars = append(vars, entry{path: name, text: v.text, line: v.line})
			continue
		}
		// A file in it: its lines are counted from where it stands.
		text := []byte(strings.Repeat("\n", max(v.line-1, 0)) + v.text)
		lower := strings.ToLower(name)
		switch {
		case strings.HasSuffix(lower, ".yml") || strings.HasSuffix(lower, ".yaml"):
			sc.yaml(path, text)
		case strings.HasSuffix(lower, ".json"):
			sc.json(path, text)
		case strings.HasSuffix(lower, ".properties") || strings.HasSuffix(lower, ".conf"):
			sc.properties(path, text)
		}
	}
	if len(vars) > 0 {
		src.surely = false
		sc.env(src, "", vars, false)
	}
}
