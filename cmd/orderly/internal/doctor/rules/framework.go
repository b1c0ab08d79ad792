package rules

import (
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var connects = []facts.Kind{facts.Worker, facts.Connector}

// Kafka Connect, Spring and other frameworks.
var framework = []Rule{
	{
		ID: "X01", Title: "Kafka Connect: several requests in flight without idempotence", Severity: Error, Needs: cfg, Kinds: connects, Versions: "Kafka Connect 3.2 and later; before that the same settings apply",
		Cause:     "Connect's producers are not idempotent and have one request in flight; an override raises the latter alone.",
		Diagnosis: "Look for producer. settings of the worker, and producer.override. settings of connectors.",
		Fix:       "Set {enable.idempotence=true} as well, or leave the override out.",
		Why:       "One request in flight is what keeps the order of a source connector. With more, a retry writes records behind later ones.",
		WhenNot:   "exactly.once.source.support is enabled, which makes the producers transactional.",
		Source:    "Apache Kafka, Worker.java", Damage: lookForReorder, Prove: "orderly prove scenario retry-reorder",
		unit: func(v facts.View, say say) {
			if n, ok := v.InFlight(); ok && n > 1 && off(v) && !eos(v) {
				say([]string{inFlight, idem}, "a batch that is sent again can be written behind a later one")
			}
		},
	},
	{
		ID: "X02", Title: "Kafka Connect source connectors can write records twice", Severity: Warn, Needs: cfg, Kinds: connects, Versions: "Kafka Connect 3.2 and later",
		Cause:     "Connect switches idempotence off for the producers of source connectors, MirrorMaker 2 among them.",
		Diagnosis: "Look for producer.enable.idempotence, producer.override.enable.idempotence and exactly.once.source.support.",
		Fix:       "Set {enable.idempotence=true}, or exactly.once.source.support=enabled on all workers.",
		Why:       "A lost acknowledgement writes the batch a second time; the order is kept by one request in flight.",
		WhenNot:   "There are sink connectors only, or readers drop duplicates.",
		Source:    "Apache Kafka, upgrade notes of 3.2; Worker.java", Damage: lookForDup, Prove: "orderly prove scenario in-flight-1", Yields: []string{"X01"},
		unit: func(v facts.View, say say) {
			if off(v) && !eos(v) && (v.Kind == facts.Worker || source(v)) {
				say([]string{idem}, "a lost acknowledgement is a duplicate")
			}
		},
	},
	{
		ID: "X03", Title: "Retry topics on ordered data", Severity: Error, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: []facts.Kind{facts.Consumer}, Marks: []string{"retryable-topic"}, Versions: "Spring Kafka 2.7 and later, Spring Boot retry.topic.enabled; any retry topic of one's own",
		Cause:     "A record that fails goes to another topic and is tried later, while the ones behind it are handled.",
		Diagnosis: "Look for @RetryableTopic with more than one attempt, RetryTopicConfiguration, spring.kafka.retry.topic.enabled.",
		Fix:       "Retry in place (DefaultErrorHandler with a back-off), or hold the whole key back, as orderly's policy park does.",
		Why:       "Later records of the key overtake the one that failed. Spring's own documentation says that the order of the topic is lost.",
		WhenNot:   "Records of a key do not depend on each other. attempts = \"1\" makes no retry topic.",
		Source:    "Spring Kafka, documentation of non-blocking retries", Damage: "Yes, for each record that was retried: see the retry topics.", Prove: "orderly prove scenario dead-letter",
		unit: func(v facts.View, say say) {
			if v.Explicit("retry.topic.enabled", "true") {
				say([]string{"retry.topic.enabled"}, "records that fail are overtaken by later ones of their key")
			}
		},
	},
	{
		ID: "X04", Title: "Dead letters or skipping on an ordered stream", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: []facts.Kind{facts.Connector, facts.Consumer}, Marks: []string{"dead-letter"}, Versions: "all",
		Cause:     "A record that fails is set aside, and the ones behind it are handled.",
		Diagnosis: "Look for dead-letter publishers, errors.tolerance=all of connectors, enableDlq of bindings.",
		Fix:       "Hold the key back until the record is handled (orderly's policies block and park), or stop.",
		Fixes:     map[string]string{"connect": "Set errors.tolerance=none, so that the task stops at the record."},
		Why:       "What follows was built on the record that is missing: a withdrawal without its deposit.",
		WhenNot:   "Each record stands for itself.",
		Source:    "what dead letters are", Damage: "Yes, for the keys of the records in the dead-letter topic.", Prove: "orderly prove scenario dead-letter",
		unit: func(v facts.View, say say) {
			if v.Explicit("errors.tolerance", "all") {
				say([]string{"errors.tolerance"}, "records that fail are left out, and later ones of their key go on")
			}
			if v.Explicit("enable.dlq", "true") {
				say([]string{"enable.dlq"}, "records that fail are set aside, and later ones of their key go on")
			}
		},
	},
	{
		ID: "X05", Title: "Records are handed to other threads", Severity: Error, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: []facts.Kind{facts.Consumer}, Marks: []string{"async-handoff"}, Versions: "all",
		Cause:     "listener.async-acks, @Async, a CompletableFuture, a flatMap or a goroutine for each record.",
		Diagnosis: "Look at what a listener does with a record before it returns.",
		Fix:       "Handle records of a key one after the other: in the listener itself, or with an executor that keeps keys in order, as orderly does.",
		Why:       "They end in another order than they were written, and a commit can pass one that is not done.",
		WhenNot:   "The pool keeps the records of a key in one queue, and commits only what is done.",
		Source:    "Spring Kafka, documentation of asyncAcks", Damage: "Look at effects that carry a version: one that goes back.", Prove: "orderly prove scenario async-hand-off",
		unit: func(v facts.View, say say) {
			if v.Explicit("listener.async-acks", "true") {
				say([]string{"listener.async-acks"}, "records are acknowledged out of order, as they are handled so")
			}
		},
	},
	{
		ID: "X06", Title: "Internal topics of Kafka Connect with one replica", Severity: Error, Needs: cfg, Kinds: []facts.Kind{facts.Worker}, Versions: "Kafka Connect, all versions",
		Cause:     "config, offset or status.storage.replication.factor is below 3.",
		Diagnosis: "Look at the three settings of the worker, and at the topics themselves: they keep what they were made with.",
		Fix:       "Set config.storage.replication.factor, offset.storage.replication.factor and status.storage.replication.factor to 3, and raise the replicas of topics that exist.",
		Why:       "With the offsets gone a source connector begins again from the start: everything once more, behind what is there.",
		WhenNot:   "A cluster for development.",
		Source:    "Apache Kafka, documentation of Connect's settings", Damage: notByItself, Prove: "take the broker of the topic away",
		unit: func(v facts.View, say say) {
			for _, of := range []string{"offset", "config", "status"} {
				name := of + ".storage.replication.factor"
				if n, ok := v.Int(name); ok && n >= 0 && n < 2 {
					say([]string{name}, "Connect's %s topic has one copy", of)
				}
			}
		},
	},
	{
		ID: "X07", Title: "A setting that nobody reads", Severity: Warn, Needs: cfg, Versions: "all",
		Cause:     "The name of a setting is much like one that exists, but it is not one.",
		Diagnosis: "The client logs unknown settings as a warning, or refuses them.",
		Fix:       "Write the name that is meant, or remove the line.",
		Why:       "The value that somebody meant is not in force: the default is.",
		WhenNot:   "A plugin reads it.",
		Source:    "the tables of settings of Apache Kafka 3.3 and 4.3 and of librdkafka 2.15", Damage: notByItself,
		set: func(s *facts.Set, say sayAt) { strange(s, "X07", say) },
	},
}

func eos(v facts.View) bool {
	return v.Explicit("exactly.once.source.support", "enabled") || v.Explicit("exactly.once.support", "required")
}

// source says that a connector writes to Kafka.
func source(v facts.View) bool {
	class := v.Text("connector.class")
	return strings.Contains(class, "Source") || strings.Contains(class, "debezium") || strings.Contains(class, "Mirror")
}
