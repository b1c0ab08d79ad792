package rules

import (
	"fmt"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var (
	code = []facts.Source{facts.Code}
)

// What a producer's code does, or what makes it give records up.
var duplicates = []Rule{
	{
		ID: "P22", Title: "The application sends failed records again", Severity: Error, Needs: code, Marks: []string{"resend"}, Versions: "all clients",
		Cause:     "A callback, a retry template or a loop around send gives a failed record to the producer once more.",
		Diagnosis: "Look for send in the error branch of a callback, and for retry templates around sends.",
		Fix:       "Stop the key at the first failure, and go on from that record on, in order; or use a transaction. orderly's Producer does it by key.",
		Why:       "For the broker it is a new record: it is written behind those that were sent meanwhile, and a second time if the first try had been written.",
		WhenNot:   "The whole key waits until the record is written, and readers drop duplicates.",
		Source:    "librdkafka, INTRODUCTION.md, message status", Damage: lookForReorder, Prove: "fail one batch for good while others follow",
	},
	{
		ID: "P23", Title: "franz-go: AllowIdempotentProduceCancellation", Severity: Warn, Needs: code, Marks: []string{"allow-cancellation"}, Versions: "franz-go versions that have the option",
		Cause:     "Records may be given up while a request with them is under way.",
		Diagnosis: "Look for the option, and for contexts with short deadlines on Produce.",
		Fix:       "Leave the option out; give Produce a context that does not end before the record is answered.",
		Why:       "Nobody knows whether the record was written; what follows may be written behind it twice.",
		WhenNot:   "Duplicates are harmless, and time matters more.",
		Source:    "franz-go, AllowIdempotentProduceCancellation", Damage: lookForDup,
	},
	{
		ID: "P24", Title: "franz-go without a word about lost data", Severity: Warn, Needs: code, Kinds: writers, Clients: []facts.Client{facts.FranzGo}, Versions: "franz-go, all versions",
		Cause:     "Neither StopProducerOnDataLossDetected nor ProducerOnDataLossDetected is given.",
		Diagnosis: "Look at the options of kgo.NewClient.",
		Fix:       "Give kgo.ProducerOnDataLossDetected and raise an alarm in it, or kgo.StopProducerOnDataLossDetected().",
		Why:       "When the broker has lost what it acknowledged, the client goes on with a new producer id, and only a log line at INFO says so.",
		WhenNot:   "The client only consumes, or its log lines are watched.",
		Source:    "franz-go, ProducerOnDataLossDetected", Damage: "Look for log lines about a producer id that was reset.",
		unit: func(v facts.View, say say) {
			if _, ok := v.Get("franz.data.loss"); !ok && !v.Partial {
				say(nil, "a loss of acknowledged records passes unnoticed")
			}
		},
	},
	{
		ID: "P25", Title: "librdkafka without enable.gapless.guarantee", Severity: Note, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka; the setting is experimental",
		Cause:     "A single message that fails is left out, and the ones behind it go on.",
		Diagnosis: "Look at enable.gapless.guarantee.",
		Fix:       "Where a gap is fatal, set {enable.gapless.guarantee=true}, with a long message.timeout.ms; or stop the key yourself.",
		Why:       "A gap in a key is a record that later ones have passed.",
		WhenNot:   "Readers can live with a missing record. Messages that time out are excepted anyway.",
		Source:    "librdkafka, INTRODUCTION.md", Damage: "Look for delivery reports with errors.",
		unit: func(v facts.View, say say) {
			if v.Idempotent().On && !strings.EqualFold(v.Text("enable.gapless.guarantee"), "true") && !v.Open("enable.gapless.guarantee") {
				say([]string{"enable.gapless.guarantee"}, "a message that fails is left out, and later ones go on")
			}
		},
	},
	{
		ID: "P26", Title: "Explicit partitions and a partitioner in one producer", Severity: Warn, Needs: code, Marks: []string{"mixed-partition"}, Versions: "librdkafka",
		Cause:     "Some messages name their partition, others leave it to the partitioner.",
		Diagnosis: "Look for calls of produce with a partition and others without, in one program.",
		Fix:       "Place all messages of a topic in one way.",
		Why:       "Messages for the partitioner wait apart until the metadata are known, so that later ones with a partition pass them; and the two ways may put a key in two partitions.",
		WhenNot:   "Different topics.",
		Source:    "librdkafka, INTRODUCTION.md", Damage: "Look for one key in two partitions.",
	},
	{
		ID: "P27", Title: "queuing.strategy=lifo", Severity: Error, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka; deprecated",
		Cause:     "The newest message is sent first.",
		Diagnosis: "Look for queuing.strategy, or a comparison function of messages (msg_order_cmp).",
		Fix:       "Set {queuing.strategy=fifo}, or leave it out.",
		Why:       "It is the opposite of order.",
		WhenNot:   "Only the newest value counts.",
		Source:    "librdkafka, CONFIGURATION.md", Damage: "Yes, whenever messages were queued.",
		unit: func(v facts.View, say say) {
			if v.Explicit("queuing.strategy", "lifo") {
				say([]string{"queuing.strategy"}, "the newest message is sent first")
			}
		},
	},
	{
		ID: "P28", Title: "Several producers of one key", Severity: Error, Needs: []facts.Source{facts.Code, facts.Log}, Versions: "all clients",
		Cause:     "Several processes, or several producers of a process, write records of the same key.",
		Diagnosis: "Ask which programs write the topic; the log shows producer ids of each key.",
		Fix:       "Let one writer own a key: route by key before the producer, or take the number from a database row that is locked.",
		Why:       "A broker keeps the order of one producer; between two there is none.",
		WhenNot:   "A lock, or a version that readers check, orders the writers.",
		Source:    "Kafka's protocol: sequence numbers are of one producer id", Damage: "Compare your own sequence numbers of a key with the offsets.",
	},
	{
		ID: "P29", Title: "Spring Boot settings that do not exist", Severity: Warn, Needs: cfg, Versions: "Spring Boot, all versions",
		Cause:     "enable-idempotence, max-in-flight and the like are written as fields of spring.kafka.producer; Spring Boot has no such fields.",
		Diagnosis: "Look at the names under spring.kafka.producer and spring.kafka.consumer.",
		Fix:       "Write them under spring.kafka.producer.properties: enable.idempotence: true.",
		Why:       "They are ignored without a word, so that the effective value is the client's default.",
		WhenNot:   "An own class reads them.",
		Source:    "Spring Boot, KafkaProperties", Damage: notByItself,
		set: func(s *facts.Set, say sayAt) { strange(s, "P29", say) },
	},
	{
		ID: "P30", Title: "A partitioner class that Kafka 4 has removed", Severity: Note, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Java}, Versions: "Java client; removed in 4.0",
		Cause:     "partitioner.class names DefaultPartitioner or UniformStickyPartitioner.",
		Diagnosis: "Look at partitioner.class.",
		Fix:       "Leave partitioner.class out: keys go to the same partitions as before.",
		Why:       "The class is gone in 4.0, so that the producer does not start after an upgrade; another one put in its place may move keys.",
		WhenNot:   "The client stays below 4.0.",
		Source:    "Apache Kafka, upgrade notes of 4.0; KIP-794", Damage: "No.",
		unit: func(v facts.View, say say) {
			t := v.Text("partitioner.class")
			if strings.HasSuffix(t, "internals.DefaultPartitioner") || strings.HasSuffix(t, "UniformStickyPartitioner") {
				say([]string{"partitioner.class"}, "a class that 4.0 has no more")
			}
		},
	},
	{
		ID: "P31", Title: "A producer for each request", Severity: Warn, Needs: code, Marks: []string{"producer-per-request"}, Versions: "all clients",
		Cause:     "A producer is made inside of a handler or a loop.",
		Diagnosis: "Look for constructors of producers in functions that run for each request.",
		Fix:       "Make one producer at the start, and share it.",
		Why:       "Each producer is another writer with sequence numbers of its own: two of them write a key in any order.",
		WhenNot:   "Each is used for other keys, or is closed before the next begins.",
		Source:    "KIP-98: sequence numbers are of one producer id", Damage: lookForReorder,
	},
	{
		ID: "P32", Title: "A variable whose default is unsafe", Severity: Warn, Needs: cfg, Kinds: []facts.Kind{facts.Producer, facts.Worker, facts.Connector, facts.Broker, facts.Topic}, Versions: "all",
		Cause:     "acks, idempotence or min.insync.replicas comes from a variable, and what holds without it is unsafe.",
		Diagnosis: "Look at the default in the placeholder.",
		Fix:       "Make the safe value the default of the variable, or leave the variable out.",
		Why:       "Where the variable is forgotten, nobody notices.",
		WhenNot:   "The variable is set wherever this runs.",
		Source:    "found in real configurations", Damage: notByItself,
		unit: func(v facts.View, say say) {
			for _, c := range []struct{ name, bad string }{{"acks", "0"}, {"acks", "1"}, {idem, "false"}, {"unclean.leader.election.enable", "true"}, {"min.insync.replicas", "1"}} {
				if val, ok := v.Get(c.name); ok && val.Env != "" && strings.EqualFold(val.Text, c.bad) {
					say([]string{c.name}, "without the variable %s %s is %s", val.Env, c.name, c.bad)
				}
			}
		},
	},
	{
		ID: "P33", Title: "The client refuses this configuration", Severity: Warn, Needs: cfgVer, Kinds: []facts.Kind{facts.Producer, facts.Consumer, facts.Broker}, Versions: "as told",
		Cause:     "Settings contradict each other, or are not known to the version that is used.",
		Diagnosis: "The program does not start; its first error names the setting.",
		Fix:       "Mend the setting that is named, and do not take enable.idempotence out for it: set {acks=all}, leave retries out, keep {max.in.flight.requests.per.connection=5} or less.",
		Fixes:     map[string]string{"franz-go": "Leave kgo.MaxProduceRequestsInflightPerBroker out, and set {acks=all}."},
		Why:       "In a hurry it is made to start by switching the protection off.",
		WhenNot:   "Another version is used than the one that was read.",
		Source:    "Apache Kafka, ProducerConfig; Sarama, Config.Validate; franz-go, validation of options; librdkafka, CONFIGURATION.md", Damage: "No: it does not start.",
		Yields: []string{"P03"},
		unit:   refusals,
	},
}

func refusals(v facts.View, say say) {
	if v.Kind == facts.Producer {
		if why := v.Idempotent().Refuse; why != "" {
			say([]string{idem, "acks", inFlight}, "idempotence is on and %s", why)
		}
		if v.Client == facts.KafkaPython && v.Ver.Before("2.1") {
			if _, ok := v.Get(idem); ok {
				say([]string{idem}, "this version has no enable_idempotence")
			}
		}
	}
	if v.Kind == facts.Consumer {
		if v.Client == facts.Java && v.Ver.Before("3.7") && v.Explicit("group.protocol", "consumer") {
			say([]string{"group.protocol"}, "this version has no group.protocol=consumer")
		}
		if strings.HasPrefix(v.Text("auto.offset.reset"), "by_duration") && (v.Client == facts.Librdkafka || v.Client == facts.Java && v.Ver.Before("4.0")) {
			say([]string{"auto.offset.reset"}, "this version has no auto.offset.reset=by_duration")
		}
		if v.Client == facts.Librdkafka && v.Ver.Before("1.6") && strings.Contains(v.Text("partition.assignment.strategy"), "cooperative") {
			say([]string{"partition.assignment.strategy"}, "this version has no cooperative-sticky")
		}
	}
	if v.Kind == facts.Broker && len(v.Versions) > 0 && !v.Ver.Before("4.0") {
		for _, name := range []string{"zookeeper.connect", "inter.broker.protocol.version", "log.message.format.version"} {
			if _, ok := v.Get(name); ok {
				say([]string{name}, "Kafka 4.0 has no %s", name)
			}
		}
	}
}

// strange reports settings that nobody reads, of one rule.
func strange(s *facts.Set, id string, say sayAt) {
	for _, x := range s.Strange {
		if x.Rule != id {
			continue
		}
		what := fmt.Sprintf("%s is not a setting of it", x.Name)
		if x.Near != "" {
			what += "; " + x.Near + " is"
		}
		if x.Why != "" {
			what += ": " + x.Why
		}
		say([]facts.Place{x.Place}, "%s", what)
	}
}
