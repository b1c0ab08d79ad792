package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// spellings are settings as clients that have names of their own write them. A
// value in braces is put in the place of %s.
var spellings = map[facts.Client]map[string]string{
	facts.Sarama: {
		"acks=all": "config.Producer.RequiredAcks = sarama.WaitForAll", "enable.idempotence=true": "config.Producer.Idempotent = true",
		"max.in.flight.requests.per.connection=5": "config.Net.MaxOpenRequests = 1 (Sarama's idempotence needs 1)", "max.in.flight.requests.per.connection=1": "config.Net.MaxOpenRequests = 1",
		"partitioner=murmur2_random": "config.Producer.Partitioner = sarama.NewMurmur2Partitioner", "enable.auto.commit=false": "config.Consumer.Offsets.AutoCommit.Enable = false",
		"auto.offset.reset=earliest": "config.Consumer.Offsets.Initial = sarama.OffsetOldest", "isolation.level=read_committed": "config.Consumer.IsolationLevel = sarama.ReadCommitted",
		"session.timeout.ms=45000": "config.Consumer.Group.Session.Timeout = 45 * time.Second",
	},
	facts.FranzGo: {
		"acks=all": "kgo.RequiredAcks(kgo.AllISRAcks()), or leave it out", "enable.idempotence=true": "leave kgo.DisableIdempotentWrite out",
		"max.in.flight.requests.per.connection=5": "leave kgo.MaxProduceRequestsInflightPerBroker out", "enable.auto.commit=false": "kgo.DisableAutoCommit(), or kgo.AutoCommitMarks() with kgo.BlockRebalanceOnPoll()",
		"auto.offset.reset=earliest": "kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())", "isolation.level=read_committed": "kgo.FetchIsolationLevel(kgo.ReadCommitted())",
		"session.timeout.ms=45000": "kgo.SessionTimeout(45*time.Second)", "partition.assignment.strategy=cooperative-sticky": "kgo.Balancers(kgo.CooperativeStickyBalancer())",
		"partitioner=murmur2_random": "leave kgo.RecordPartitioner out",
	},
	facts.KafkaGo: {
		"acks=all": "RequiredAcks: kafka.RequireAll", "enable.auto.commit=false": "FetchMessage and CommitMessages in place of ReadMessage",
		"partitioner=murmur2_random": "Balancer: kafka.Murmur2Balancer{}", "auto.offset.reset=earliest": "StartOffset: kafka.FirstOffset",
		"isolation.level=read_committed": "IsolationLevel: kafka.ReadCommitted", "session.timeout.ms=45000": "SessionTimeout: 45 * time.Second",
	},
	facts.KafkaJS: {
		"acks=all": "acks: -1", "enable.idempotence=true": "idempotent: true", "max.in.flight.requests.per.connection=5": "maxInFlightRequests: 1 (KafkaJS keeps order with 1)",
		"max.in.flight.requests.per.connection=1": "maxInFlightRequests: 1", "enable.auto.commit=false": "autoCommit: false", "auto.offset.reset=earliest": "fromBeginning: true",
		"partitioner=murmur2_random": "createPartitioner: Partitioners.DefaultPartitioner", "session.timeout.ms=45000": "sessionTimeout: 45000",
		"isolation.level=read_committed": "readUncommitted: false",
	},
}

// springFields are the settings for which Spring Boot has a field of its own.
var springFields = map[string]string{
	"acks": "producer.acks", "retries": "producer.retries", "transactional.id": "producer.transaction-id-prefix",
	"enable.auto.commit": "consumer.enable-auto-commit", "auto.offset.reset": "consumer.auto-offset-reset", "max.poll.records": "consumer.max-poll-records",
	"isolation.level": "consumer.isolation-level", "heartbeat.interval.ms": "consumer.heartbeat-interval",
}

// spell writes a setting as the client of a unit does.
func spell(v *facts.View, name, value string) string {
	if v == nil {
		return name + "=" + value
	}
	if s, ok := spellings[v.Client][name+"="+value]; ok {
		return s
	}
	consumes := v.Kind == facts.Consumer
	switch {
	case v.Framework == "spring":
		if f, ok := springFields[name]; ok {
			return "spring.kafka." + f + ": " + value
		}
		return fmt.Sprintf("spring.kafka.%s.properties.%s: %s", v.Kind, name, value)
	case v.Framework == "spring-cloud-stream":
		return fmt.Sprintf("spring.cloud.stream.kafka.binder.%s-properties.%s: %s", v.Kind, name, value)
	case v.Kind == facts.Worker && !strings.HasSuffix(name, ".replication.factor") && !strings.HasPrefix(name, "exactly."):
		return "producer." + name + "=" + value
	case v.Kind == facts.Connector:
		return "producer.override." + name + "=" + value
	case v.Client == facts.KafkaPython || v.Client == facts.AIOKafka:
		if value == "true" || value == "false" {
			value = strings.ToUpper(value[:1]) + value[1:]
		} else if strings.Trim(value, "0123456789") != "" {
			value = "'" + value + "'"
		}
		return strings.ReplaceAll(name, ".", "_") + "=" + value
	case name == "partitioner" && v.Client == facts.Java:
		return "partitioner.class unset (murmur2)"
	case name == "partition.assignment.strategy" && v.Client == facts.Java && consumes:
		return name + "=org.apache.kafka.clients.consumer.CooperativeStickyAssignor"
	}
	return name + "=" + value
}

var inBraces = regexp.MustCompile(`\{([a-z.]+)=([^}]*)\}`)

// fixText is a rule's fix, as a user of this client would write it.
func fixText(r *Rule, v *facts.View) string {
	text := r.Fix
	if v != nil {
		for _, of := range []string{v.Framework, string(v.Client)} {
			if t, ok := r.Fixes[of]; ok && of != "" {
				text = t
				break
			}
		}
	}
	return spelled(text, v)
}

// Plain are the fix and the exceptions of a rule in Kafka's own names.
func (r *Rule) Plain() (fix, whenNot string) { return fixText(r, nil), spelled(r.WhenNot, nil) }

// spelled writes the settings of a text as the user's client does.
func spelled(text string, v *facts.View) string {
	return inBraces.ReplaceAllStringFunc(text, func(m string) string {
		parts := inBraces.FindStringSubmatch(m)
		return spell(v, parts[1], parts[2])
	})
}

var (
	plain  = regexp.MustCompile(`^[A-Za-z0-9_.,:${}\-]{1,120}$`)
	digits = regexp.MustCompile(`^-?[0-9]{1,19}(ms|s|m|h|d)?$`)
)

// shownNames are the settings whose values may be printed: all that the rules look
// at. Nothing else of a file is ever shown, as it may be a secret.
var shownNames = []string{
	"acks", "enable.idempotence", "max.in.flight.requests.per.connection", "retries", "delivery.timeout.ms", "request.timeout.ms", "linger.ms", "partitioner",
	"partitioner.class", "partitioner.ignore.keys", "enable.gapless.guarantee", "queuing.strategy", "partition.assignment.strategy", "session.timeout.ms",
	"heartbeat.interval.ms", "max.poll.records", "max.poll.interval.ms", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "isolation.level",
	"group.protocol", "group.remote.assignor", "transaction.timeout.ms", "transaction.two.phase.commit.enable", "replication.factor", "default.replication.factor", "min.insync.replicas",
	"unclean.leader.election.enable", "auto.create.topics.enable", "transaction.state.log.replication.factor", "transaction.state.log.min.isr",
	"offsets.topic.replication.factor", "producer.id.expiration.ms", "transaction.max.timeout.ms", "replica.lag.time.max.ms", "cleanup.policy", "log.cleanup.policy",
	"min.compaction.lag.ms", "exactly.once.source.support", "exactly.once.support", "config.storage.replication.factor", "offset.storage.replication.factor",
	"status.storage.replication.factor", "listener.async-acks", "listener.ack-mode", "retry.topic.enabled", "errors.tolerance",
	"zookeeper.metadata.migration.enable", "message.timestamp.type", "inter.broker.protocol.version", "log.message.format.version", "message.format.version", "log.dirs", "storage",
	"eligible.leader.replicas.version", "group.mode",
}

// Shown is a value as it may be printed.
func Shown(name, text string) string {
	switch {
	case text == "":
		return "(empty)"
	case digits.MatchString(text), slices.Contains(shownNames, name) && plain.MatchString(text):
		return text
	}
	return "(not shown)"
}
