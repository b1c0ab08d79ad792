package facts

import (
	"strconv"
	"strings"
)

// maxInt is Java's largest int: the default of retries.
const maxInt = "2147483647"

// fallback is a client's own default; ok is false where it has no such setting.
func (v View) fallback(name string) (text string, ok bool) {
	if t, ok := v.Defaults[name]; ok {
		return t, true
	}
	if v.Elsewhere() {
		return "", false
	}
	switch v.Kind {
	case Broker, Topic, Group:
		t, ok := brokerDefaults[name]
		return t, ok
	case Connector, Worker:
		if t, ok := connectDefaults[name]; ok {
			return t, true
		}
	}
	switch v.Client {
	case Java:
		return v.javaDefault(name)
	case KafkaPython:
		return v.pythonDefault(name)
	}
	t, ok := defaults[v.Client][name]
	return t, ok
}

// Elsewhere says that what is not written here is not at its default either: the rest
// of the settings of this client is in code, or in a file, that was not followed.
func (v View) Elsewhere() bool {
	return v.Partial && (v.Kind == Producer || v.Kind == Consumer || v.Kind == Streams)
}

func (v View) javaDefault(name string) (string, bool) {
	old := func(before, was, is string) (string, bool) {
		if v.Ver.Before(before) {
			return was, true
		}
		return is, true
	}
	switch name {
	case "acks":
		return old("3.0", "1", "all")
	case "retries":
		return old("2.1", "0", maxInt)
	case "linger.ms":
		return old("4.0", "0", "5")
	case "session.timeout.ms":
		return old("3.0", "10000", "45000")
	case "partition.assignment.strategy":
		return old("3.0", "range", "range,cooperative-sticky")
	}
	t, ok := javaDefaults[name]
	return t, ok
}

func (v View) pythonDefault(name string) (string, bool) {
	switch name {
	case "acks":
		if v.Ver.Before("3.0") {
			return "1", true
		}
		return "all", true
	case "retries":
		if v.Ver.Before("2.2") {
			return "0", true
		}
		return maxInt, true
	}
	t, ok := defaults[KafkaPython][name]
	return t, ok
}

var javaDefaults = map[string]string{
	"max.in.flight.requests.per.connection": "5", "delivery.timeout.ms": "120000", "request.timeout.ms": "30000",
	"heartbeat.interval.ms": "3000", "max.poll.records": "500", "max.poll.interval.ms": "300000", "enable.auto.commit": "true",
	"auto.commit.interval.ms": "5000", "auto.offset.reset": "latest", "isolation.level": "read_uncommitted", "group.protocol": "classic",
	"transaction.timeout.ms": "60000", "partitioner.ignore.keys": "false",
}

var defaults = map[Client]map[string]string{
	Librdkafka: {
		"acks": "all", "max.in.flight.requests.per.connection": "1000000", "retries": maxInt, "delivery.timeout.ms": "300000",
		"request.timeout.ms": "30000", "linger.ms": "5", "partitioner": "consistent_random", "queuing.strategy": "fifo",
		"enable.gapless.guarantee": "false", "session.timeout.ms": "45000", "heartbeat.interval.ms": "3000", "max.poll.interval.ms": "300000",
		"enable.auto.commit": "true", "enable.auto.offset.store": "true", "auto.offset.reset": "latest", "isolation.level": "read_committed",
		"group.protocol": "classic", "partition.assignment.strategy": "range,roundrobin", "transaction.timeout.ms": "60000",
	},
	Sarama: {
		"acks": "1", "max.in.flight.requests.per.connection": "5", "retries": "3", "enable.auto.commit": "true", "session.timeout.ms": "10000",
		"heartbeat.interval.ms": "3000", "partition.assignment.strategy": "range", "auto.offset.reset": "latest", "isolation.level": "read_uncommitted",
		"partitioner.class": "NewHashPartitioner",
	},
	FranzGo: {
		"acks": "all", "max.in.flight.requests.per.connection": "5", "retries": maxInt, "enable.auto.commit": "true", "session.timeout.ms": "45000",
		"heartbeat.interval.ms": "3000", "partition.assignment.strategy": "cooperative-sticky", "auto.offset.reset": "earliest",
		"isolation.level": "read_uncommitted", "request.timeout.ms": "10000",
	},
	KafkaGo: {
		"acks": "0", "max.in.flight.requests.per.connection": "1", "retries": "10", "partitioner.class": "RoundRobin",
		"session.timeout.ms": "30000", "heartbeat.interval.ms": "3000", "auto.offset.reset": "earliest", "isolation.level": "read_uncommitted",
	},
	KafkaJS: {
		"acks": "all", "max.in.flight.requests.per.connection": maxInt, "retries": "5", "request.timeout.ms": "30000",
		"session.timeout.ms": "30000", "heartbeat.interval.ms": "3000", "enable.auto.commit": "true", "auto.offset.reset": "latest",
		"isolation.level": "read_committed", "partition.assignment.strategy": "roundrobin",
	},
	AIOKafka: {
		"acks": "1", "max.in.flight.requests.per.connection": "1", "retries": maxInt, "request.timeout.ms": "40000", "enable.auto.commit": "true",
		"auto.offset.reset": "latest", "isolation.level": "read_uncommitted", "session.timeout.ms": "10000", "heartbeat.interval.ms": "3000",
		"max.poll.interval.ms": "300000", "partition.assignment.strategy": "roundrobin",
	},
	KafkaPython: {
		"max.in.flight.requests.per.connection": "5", "request.timeout.ms": "30000", "delivery.timeout.ms": "120000", "enable.auto.commit": "true",
		"auto.offset.reset": "latest", "isolation.level": "read_uncommitted", "session.timeout.ms": "10000", "heartbeat.interval.ms": "3000",
		"max.poll.interval.ms": "300000", "max.poll.records": "500", "partition.assignment.strategy": "range,roundrobin",
	},
}

// connectDefaults are those of the producers of source connectors.
var connectDefaults = map[string]string{
	"enable.idempotence": "false", "max.in.flight.requests.per.connection": "1", "acks": "all", "retries": maxInt,
	"delivery.timeout.ms": maxInt, "exactly.once.source.support": "disabled",
	"config.storage.replication.factor": "3", "offset.storage.replication.factor": "3", "status.storage.replication.factor": "3",
}

var brokerDefaults = map[string]string{
	"min.insync.replicas": "1", "default.replication.factor": "1", "unclean.leader.election.enable": "false", "auto.create.topics.enable": "true",
	"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2", "offsets.topic.replication.factor": "3",
	"producer.id.expiration.ms": "86400000", "transaction.max.timeout.ms": "900000", "replica.lag.time.max.ms": "30000",
	"cleanup.policy": "delete", "log.cleanup.policy": "delete", "message.timestamp.type": "CreateTime",
	"group.coordinator.rebalance.protocols": "classic,consumer,streams",
}

// Get is a setting that is written somewhere.
func (v View) Get(name string) (Value, bool) {
	val, ok := v.Set[name]
	return val, ok
}

// Text is a setting's value, or the client's default; "" where neither is known.
func (v View) Text(name string) string {
	if val, ok := v.Set[name]; ok {
		if val.Elsewhere {
			return ""
		}
		if val.Text != "" {
			return val.Text
		}
	}
	t, _ := v.fallback(name)
	return t
}

// Open says that a setting is decided elsewhere.
func (v View) Open(name string) bool { return v.Set[name].Elsewhere }

// Int is a number; ok is false where it is none, or not known.
func (v View) Int(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(strings.ReplaceAll(v.Text(name), "_", ""), 10, 64)
	return n, err == nil
}

// Explicit says that a setting is written, with this value.
func (v View) Explicit(name, text string) bool {
	val, ok := v.Set[name]
	return ok && !val.Elsewhere && strings.EqualFold(val.Text, text)
}

// Acks is "0", "1", "all", or "" when it is not known.
func (v View) Acks() string {
	switch t := strings.ToLower(v.Text("acks")); t {
	case "-1", "all":
		return "all"
	default:
		return t
	}
}

// InFlight is the number of requests at a time; ok is false when it is not known.
func (v View) InFlight() (int64, bool) { return v.Int("max.in.flight.requests.per.connection") }

// Retries says whether the client sends again by itself.
func (v View) Retries() bool {
	n, ok := v.Int("retries")
	return ok && n != 0
}

// Idempotence is what comes of a producer's settings in the end.
type Idempotence struct {
	On     bool
	Unsure bool   // a setting that decides is not in the file
	Silent string // why it is off although nobody switched it off
	Refuse string // why the client does not start like this
}

// Idempotent works out whether the producer is idempotent in the end.
func (v View) Idempotent() Idempotence {
	if v.Client == KafkaGo {
		return Idempotence{}
	}
	set, explicit := v.Set["enable.idempotence"]
	if explicit && set.Elsewhere || v.Open("transactional.id") {
		return Idempotence{Unsure: true}
	}
	if explicit && strings.EqualFold(set.Text, "false") {
		return Idempotence{}
	}
	if t, ok := v.Set["transactional.id"]; ok && t.Text != "" || explicit && strings.EqualFold(set.Text, "true") {
		return Idempotence{On: true, Refuse: v.conflict()}
	}
	if d, ok := v.Defaults["enable.idempotence"]; ok {
		return Idempotence{On: d == "true"}
	}
	switch {
	case v.Elsewhere():
		return Idempotence{Unsure: true}
	case v.Kind == Worker || v.Kind == Connector:
		return Idempotence{}
	case v.Client == FranzGo:
		return Idempotence{On: true, Refuse: v.conflict()}
	case v.Client == KafkaPython:
		return Idempotence{On: !v.Ver.Before("3.0")}
	case v.Client != Java || v.Ver.Before("3.0.1") || v.Ver.Is("3.1.0"):
		return Idempotence{}
	}
	if v.Open("acks") || v.Open("retries") || v.Open("max.in.flight.requests.per.connection") {
		return Idempotence{Unsure: true}
	}
	if v.Acks() != "all" {
		return Idempotence{Silent: "acks is " + v.Acks()}
	}
	if !v.Retries() {
		return Idempotence{Silent: "retries is 0"}
	}
	if n, ok := v.InFlight(); ok && n > 5 {
		if !v.Ver.Before("4.0") {
			return Idempotence{On: true, Refuse: "more than 5 requests in flight"}
		}
		return Idempotence{Silent: "more than 5 requests are in flight"}
	}
	return Idempotence{On: true}
}

// conflict says why a client refuses idempotence with its other settings. A value
// that is not written is fitted by the client.
func (v View) conflict() string {
	written := func(name string) bool { val, ok := v.Set[name]; return ok && !val.Elsewhere && val.Text != "" }
	if written("acks") && v.Acks() != "all" {
		return "acks is " + v.Acks() + " where all is needed"
	}
	if written("retries") && !v.Retries() {
		return "retries is 0"
	}
	n, ok := v.InFlight()
	switch {
	case v.Client == Sarama && ok && n != 1:
		return "Net.MaxOpenRequests is not 1"
	case v.Client == Sarama && v.Acks() != "all":
		return "RequiredAcks is not WaitForAll"
	case v.Client == FranzGo && written("max.in.flight.requests.per.connection") && n != 1:
		return "MaxProduceRequestsInflightPerBroker needs DisableIdempotentWrite"
	case v.Client == KafkaJS || v.Client == AIOKafka:
		return ""
	case written("max.in.flight.requests.per.connection") && ok && n > 5:
		return "more than 5 requests in flight"
	}
	return ""
}
