package config

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// A source is where entries come from, and what is known of them.
type source struct {
	file      string
	line      int
	name      string // of what they belong to: "profile prod", "service billing"
	framework string
	client    facts.Client
	kind      facts.Kind // "": by the names
	partial   bool       // the rest is in code that was not followed
	defaults  map[string]string
	habit     string // who has these defaults, where that is no framework with files of its own
	replicas  string
	surely    bool // that it is about Kafka
	helidon   bool // whose connector has the names of SmallRye's, and other defaults
	guest     bool // variables of a program, never those of a broker
}

// Names that only one kind of client has.
var (
	writes = []string{"acks", "enable.idempotence", "max.in.flight.requests.per.connection", "linger.ms", "batch.size", "buffer.memory", "transactional.id", "transaction.timeout.ms",
		"delivery.timeout.ms", "key.serializer", "value.serializer", "partitioner.class", "partitioner", "partitioner.ignore.keys", "batch.num.messages", "enable.gapless.guarantee",
		"queuing.strategy", "max.block.ms", "retries", "queue.buffering.max.messages"}
	reads = []string{"group.id", "auto.offset.reset", "enable.auto.commit", "max.poll.records", "max.poll.interval.ms", "isolation.level", "key.deserializer", "value.deserializer",
		"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy", "fetch.min.bytes", "enable.auto.offset.store", "group.instance.id", "group.protocol",
		"auto.commit.interval.ms", "fetch.max.wait.ms", "fetch.wait.max.ms", "max.partition.fetch.bytes"}
	serves  = []string{"broker.id", "node.id", "process.roles", "log.dirs", "advertised.listeners", "zookeeper.connect", "num.network.threads", "controller.quorum.voters", "log.dir"}
	works   = []string{"key.converter", "offset.storage.topic", "config.storage.topic", "plugin.path", "offset.storage.file.filename", "status.storage.topic", "offset.storage.replication.factor"}
	streams = []string{"application.id", "processing.guarantee", "num.stream.threads", "application.server"}
	// Names that librdkafka alone has, or Java's clients alone.
	onlyRd   = []string{"metadata.broker.list", "request.required.acks", "message.timeout.ms", "queue.buffering.max.ms", "ssl.ca.location", "sasl.username", "dotnet.cancellation.delay.max.ms"}
	onlyJava = []string{"key.serializer", "value.serializer", "key.deserializer", "value.deserializer", "sasl.jaas.config", "buffer.memory", "max.poll.records", "ssl.truststore.location", "partitioner.class"}
)

func count(set map[string]facts.Value, names []string) (n int) {
	for _, name := range names {
		if _, ok := set[name]; ok {
			n++
		}
	}
	return n
}

// noise are parts of a name that only say that settings follow.
var noise = []string{"properties", "configuration", "config", "override", "props", "additional", "options", "settings", "conf", "configs"}

// roleOf is what the words before a setting say.
func roleOf(prefix string) facts.Kind {
	parts := strings.Split(prefix, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		switch p := parts[i]; {
		case strings.HasPrefix(p, "producer"), p == "outgoing":
			return facts.Producer
		case strings.HasPrefix(p, "consumer"), p == "incoming", p == "listener":
			return facts.Consumer
		}
	}
	return ""
}

func aboutKafka(prefix string) bool {
	for _, w := range []string{"kafka", "producer", "consumer", "incoming", "outgoing", "rdkafka"} {
		if strings.Contains(prefix, w) {
			return true
		}
	}
	return prefix == "client" || prefix == "admin"
}

// maxSections bounds the prefixes of one file.
const maxSections = 500

// A section are the settings behind one prefix.
type section struct {
	prefix string
	role   facts.Kind
	set    map[string]facts.Value
	own    int // settings of its own
	rd     int // names that librdkafka alone has
	java   int
	names  []entry
}

// add makes units of entries, and gives how many.
func (sc *scanner) add(s source, entries []entry) int {
	values := make(map[string]string, len(entries))
	for _, e := range entries {
		values[e.path] = e.text
	}
	lookup := func(name string) (string, bool) { t, ok := values[name]; return t, ok }
	s.helidon = slices.ContainsFunc(entries, func(e entry) bool { return e.text == "helidon-kafka" })
	byPrefix := map[string]*section{}
	var order []string
	get := func(prefix string) *section {
		x := byPrefix[prefix]
		if x == nil && len(order) >= maxSections {
			return &section{set: map[string]facts.Value{}}
		}
		if x == nil {
			x = &section{prefix: prefix, role: roleOf(prefix), set: map[string]facts.Value{}}
			byPrefix[prefix] = x
			order = append(order, prefix)
		}
		return x
	}
	for _, e := range entries {
		e = expand(ofTopic(e), lookup)
		name, prefix, ok := canonical(e.path)
		if !ok {
			get("").names = append(get("").names, e)
			continue
		}
		prefix = trimNoise(prefix)
		if prefix != "" && !aboutKafka(prefix) && !s.surely {
			continue
		}
		x := get(prefix)
		e.text = tidy(name, e.text)
		x.set[name] = e.value(s.file)
		x.own++
		last := dots(e.path)
		x.rd += count(map[string]facts.Value{strings.TrimPrefix(strings.TrimPrefix(last, prefix), "."): {}}, onlyRd)
		if facts.KnownTo(name, "librdkafka") && !facts.KnownTo(name, "producer", "consumer", "broker", "topic") {
			x.rd++
		}
		x.java += count(map[string]facts.Value{name: {}}, onlyJava)
	}
	made := 0
	for _, prefix := range order {
		x := byPrefix[prefix]
		inherit(x, byPrefix, order)
		made += sc.section(s, x, byPrefix)
	}
	return made
}

// ofTopic takes librdkafka's older way of giving the settings of topics: a map of
// them among the others.
func ofTopic(e entry) entry {
	if p, ok := strings.CutPrefix(e.path, "default.topic.config."); ok {
		e.raw, e.path = e.written(), p
	}
	return e
}

func trimNoise(prefix string) string {
	parts := strings.Split(prefix, ".")
	parts = slices.DeleteFunc(parts, func(p string) bool { return slices.Contains(noise, p) })
	return strings.Join(parts, ".")
}

// inherit adds the settings that stand before those of a section: "kafka.retries"
// is also for "kafka.producer".
func inherit(x *section, all map[string]*section, order []string) {
	for _, p := range order {
		y := all[p]
		if y == x || p != "" && !strings.HasPrefix(x.prefix, p+".") || y.role != "" && y.role != x.role || p == "" && x.role == "" {
			continue
		}
		for name, val := range y.set {
			if _, ok := x.set[name]; !ok {
				x.set[name] = val
				x.rd += count(map[string]facts.Value{name: {}}, onlyRd)
				x.java += count(map[string]facts.Value{name: {}}, onlyJava)
			}
		}
	}
}

// section makes the units of one section.
func (sc *scanner) section(s source, x *section, all map[string]*section) int {
	if x.own == 0 {
		return 0
	}
	kinds := []facts.Kind{x.role}
	w, r := count(x.set, writes), count(x.set, reads)
	switch {
	case s.kind != "":
		kinds[0] = s.kind
	case x.role != "":
	case s.guest && w+r == 0:
		return 0
	case !s.guest && (count(x.set, serves) >= 2 || count(x.set, serves) == 1 && w+r == 0):
		kinds[0] = facts.Broker
	case count(x.set, streams) > 1:
		kinds[0] = facts.Streams
	case x.prefix != "" && hasRoles(x.prefix, all):
		return 0 // its settings went to the parts below it
	default:
		_, servers := x.set["bootstrap.servers"]
		base := strings.ToLower(filepath.Base(s.file))
		// Names such as "retries" are anybody's.
		surely := servers || x.rd > 0 || w+r > 1 && slices.ContainsFunc(slices.Concat(writes, reads), func(n string) bool { return strings.Contains(n, ".") && x.has(n) })
		if !s.surely && x.prefix == "" && !surely && !strings.Contains(base, "kafka") &&
			!strings.Contains(base, "producer") && !strings.Contains(base, "consumer") {
			return 0
		}
		kinds = nil
		if w > 0 && (w > 1 || r == 0 || x.has("acks") || x.has("enable.idempotence")) {
			kinds = append(kinds, facts.Producer)
		}
		if r > 0 {
			kinds = append(kinds, facts.Consumer)
		}
		if strings.Contains(base, "producer") && !slices.Contains(kinds, facts.Producer) && r == 0 && servers {
			kinds = append(kinds, facts.Producer)
		}
	}
	for _, kind := range kinds {
		sc.unit(s, x, kind)
	}
	return len(kinds)
}

func (x *section) has(name string) bool { _, ok := x.set[name]; return ok }

func hasRoles(prefix string, all map[string]*section) bool {
	for p, y := range all {
		if strings.HasPrefix(p, prefix+".") && y.role != "" {
			return true
		}
	}
	return false
}

// unit makes one unit of a section.
func (sc *scanner) unit(s source, x *section, kind facts.Kind) {
	if len(sc.set.Units) > maxUnits {
		return
	}
	client := s.client
	if client == facts.Unknown {
		switch {
		case kind == facts.Broker || kind == facts.Topic:
		case s.framework != "" || kind == facts.Worker || kind == facts.Connector || kind == facts.Streams:
			client = facts.Java
		case x.rd > 0 && x.java == 0:
			client = facts.Librdkafka
		case x.java > 0 && x.rd == 0:
			client = facts.Java
		}
	}
	line := s.line
	for _, val := range x.set {
		if val.File == s.file && (line == 0 || val.Line > 0 && val.Line < line) && s.line == 0 {
			line = val.Line
		}
	}
	u := facts.NewUnit(kind, client, facts.Place{File: s.file, Line: line})
	u.Framework, u.Name, u.Partial = s.framework, s.name, s.partial
	if kind == facts.Worker || kind == facts.Connector {
		u.Framework = "connect"
	}
	for k, v := range s.defaults {
		u.Defaults[k] = v
	}
	if u.Framework == "" && kind == facts.Consumer {
		u.Framework = s.habit
	}
	for name, val := range x.set {
		u.Set[name] = keep(name, val)
	}
	if s.replicas != "" {
		u.Set["replicas"] = facts.Value{Text: s.replicas, Written: "replicas", Place: facts.Place{File: s.file, Line: s.line}}
	}
	if u.Name == "" && !slices.Contains([]string{"", "kafka", "kafka.producer", "kafka.consumer", string(kind)}, x.prefix) {
		u.Name = x.prefix
	}
	habits(u, x.prefix, !s.helidon)
	sc.version(u, s)
	sc.set.Units = append(sc.set.Units, u)
	sc.unknown(u, s, x, kind)
}

// habits are the defaults of what stands between the settings and the client, as the
// words before them tell.
func habits(u *facts.Unit, prefix string, smallrye bool) {
	parts := strings.Split(prefix, ".")
	switch {
	case u.Partial:
	case u.Kind == facts.Producer && u.Framework == "" && strings.HasPrefix(prefix, "mp.messaging.outgoing") && smallrye:
		u.Framework = "quarkus"
		u.Defaults["acks"] = "1" // its connector writes it, whatever the client's default is
	case u.Kind != facts.Consumer || u.Framework != "":
	case slices.Contains(parts, "streams"):
		u.Framework = "Kafka Streams"
		u.Defaults["enable.auto.commit"], u.Defaults["auto.offset.reset"], u.Defaults["partition.assignment.strategy"] = "false", "earliest", "streams"
	case strings.HasPrefix(prefix, "mp.messaging.incoming") && smallrye:
		u.Framework = "quarkus"
		u.Defaults["enable.auto.commit"] = "false"
	}
}

// keep drops the text of what rules do not look at: it may be a secret.
func keep(name string, val facts.Value) facts.Value {
	if !slices.Contains(looked, name) {
		val.Text = ""
	}
	return val
}

// looked are the settings that rules look at.
var looked = []string{
	"acks", "enable.idempotence", "max.in.flight.requests.per.connection", "retries", "delivery.timeout.ms", "request.timeout.ms", "linger.ms", "partitioner", "partitioner.class",
	"partitioner.ignore.keys", "enable.gapless.guarantee", "queuing.strategy", "transactional.id", "transaction.timeout.ms", "transaction.two.phase.commit.enable",
	"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.records", "max.poll.interval.ms", "enable.auto.commit", "enable.auto.offset.store",
	"auto.offset.reset", "isolation.level", "group.protocol", "group.instance.id", "group.mode", "replication.factor", "default.replication.factor", "min.insync.replicas",
	"unclean.leader.election.enable", "auto.create.topics.enable", "transaction.state.log.replication.factor", "transaction.state.log.min.isr", "offsets.topic.replication.factor",
	"producer.id.expiration.ms", "cleanup.policy", "log.cleanup.policy", "min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", "exactly.once.source.support", "exactly.once.support",
	"config.storage.replication.factor", "offset.storage.replication.factor", "status.storage.replication.factor", "listener.async-acks", "listener.ack-mode", "retry.topic.enabled",
	"enable.dlq", "errors.tolerance", "zookeeper.metadata.migration.enable", "log.dirs", "log.dir", "storage", "connector.class", "franz.data.loss", "replicas", "topic",
}

// unknown notes names that are much like a setting, and are none.
func (sc *scanner) unknown(u *facts.Unit, s source, x *section, kind facts.Kind) {
	whose := map[facts.Kind][]string{facts.Producer: {"producer", "librdkafka"}, facts.Consumer: {"consumer", "librdkafka"}, facts.Broker: {"broker"}, facts.Topic: {"topic"}}[kind]
	if whose == nil || s.framework == "spring" {
		return
	}
	switch u.Client {
	case facts.Sarama, facts.FranzGo, facts.KafkaGo, facts.KafkaJS:
		return
	case facts.Java:
		whose = whose[:1]
	case facts.Librdkafka:
		whose = whose[1:]
	}
	for _, e := range x.names[:min(len(x.names), 300)] {
		name := dots(e.path)
		if facts.Known(name) || facts.Known(e.path) || len(name) < 4 {
			continue
		}
		if near := facts.Near(name, whose...); near != "" {
			sc.strange(facts.Strange{Name: safeName(e.written()), Near: near, Rule: "X07", Unit: u, Place: facts.Place{File: s.file, Line: e.line}})
		}
	}
}

func (sc *scanner) strange(x facts.Strange) {
	for _, old := range sc.set.Strange {
		if old.Name == x.Name && old.Place == x.Place {
			return
		}
	}
	sc.set.Strange = append(sc.set.Strange, x)
}
