package rules

import (
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

const (
	inFlight = "max.in.flight.requests.per.connection"
	idem     = "enable.idempotence"
)

var (
	writers = []facts.Kind{facts.Producer}
	cfg     = []facts.Source{facts.Config}
	cfgVer  = []facts.Source{facts.Config, facts.Version}
)

// What is said of data that may be damaged already.
const (
	lookForReorder = "Possibly, since the first retry. Compare the order of your own version or sequence number of each key in the log; a number that goes back behind a higher one is a reorder, " +
		"the same one twice a duplicate. Retries are visible as record-retry-rate of the producer, or as error lines about retrying."
	lookForLoss = "Possibly, at each failover of a leader since then. A gap in your own sequence numbers of a key is a lost record; gaps in offsets are not."
	lookForDup  = "Possibly, since the first retry: look for the same business id, or the same number of a key, twice in the log."
	notByItself = "Not by itself."
)

// off says that a producer is surely not idempotent.
func off(v facts.View) bool { i := v.Idempotent(); return !i.On && !i.Unsure }

// reorders says that a repeated batch can be written behind a later one.
func reorders(v facts.View) bool {
	n, ok := v.InFlight()
	return off(v) && v.Retries() && ok && n > 1
}

// unset says that nothing decides idempotence explicitly.
func unset(v facts.View) bool {
	_, a := v.Get(idem)
	t, _ := v.Get("transactional.id")
	return !a && t.Text == "" && !t.Elsewhere && !v.Elsewhere()
}

var producer = []Rule{
	{
		ID: "P01", Title: "The producer is not idempotent, sends again, and has several requests in flight", Severity: Error, Needs: cfg, Kinds: writers, Versions: "all clients",
		Cause:     "enable.idempotence is off, retries are on, and more than one request is in flight.",
		Diagnosis: "Look at the effective values of enable.idempotence, retries and the requests in flight, with the client's defaults.",
		Fix:       "Set {enable.idempotence=true} and {acks=all}; keep {max.in.flight.requests.per.connection=5} or less.",
		Fixes: map[string]string{"kafka-go": "kafka-go has no idempotent producer: use another client for ordered data.",
			"sarama": "Set {enable.idempotence=true}, {acks=all} and {max.in.flight.requests.per.connection=1}."},
		Why:     "When one of two batches under way fails and is sent again, it is written behind the other one. With idempotence the broker takes batches of a producer only in sequence, and drops repeats.",
		WhenNot: "Records have no order, or each record is complete and carries a version that readers check.",
		Source:  "Apache Kafka, documentation of the producer's retries; librdkafka, CONFIGURATION.md", Damage: lookForReorder, Prove: "orderly prove scenario retry-reorder",
		Yields: []string{"P02", "P03", "P04", "P05", "P06", "P09", "P13", "P14", "X01"},
		unit: func(v facts.View, say say) {
			if reorders(v) && v.Client != facts.Sarama && v.Client != facts.KafkaJS { // which have rules of their own
				say([]string{idem, "retries", inFlight}, "a batch that is sent again can be written behind a later one, and twice")
			}
		},
	},
	{
		ID: "P02", Title: "Idempotence is switched off silently, by acks or retries", Severity: Error, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Java}, Versions: "Java client 3.0.1, 3.1.1, 3.2 and later",
		Cause:     "acks is not all, or retries is 0, and enable.idempotence is not written: the client then drops its default.",
		Diagnosis: "The log of the producer says that idempotence will be disabled, at level INFO only.",
		Fix:       "Set {acks=all} and leave retries out; write {enable.idempotence=true} explicitly, so that a conflict stops the start.",
		Why:       "The default of enable.idempotence is true, but it gives way to other settings. An explicit true does not: the client refuses to start.",
		WhenNot:   "Loss and reordering are acceptable for this topic; then write {enable.idempotence=false}, so that it is seen.",
		Source:    "KAFKA-13673; Apache Kafka, ProducerConfig", Damage: lookForReorder, Prove: "orderly prove scenario retry-reorder",
		unit: func(v facts.View, say say) {
			if s := v.Idempotent().Silent; unset(v) && (s == "acks is "+v.Acks() || s == "retries is 0") {
				name := "acks"
				if s == "retries is 0" {
					name = "retries"
				}
				say([]string{name, idem}, "%s, and enable.idempotence is not written: idempotence is silently off", s)
			}
		},
	},
	{
		ID: "P03", Title: "More than 5 requests in flight without an explicit idempotence", Severity: Error, Needs: cfgVer, Kinds: writers, Clients: []facts.Client{facts.Java}, Versions: "Java client 3.0.1 to 3.9: silently off; 4.0 and later: does not start",
		Cause:     "The broker keeps the last 5 batches of a producer; above that the client drops idempotence, or refuses to start.",
		Diagnosis: "Look for max.in.flight.requests.per.connection above 5.",
		Fix:       "Set {max.in.flight.requests.per.connection=5} or less, and {enable.idempotence=true}.",
		Why:       "With more than 5 batches under way a broker can no longer tell a repeat from a gap.",
		WhenNot:   "Newer brokers may keep more than 5; that is being discussed as KIP-1269.",
		Source:    "Apache Kafka, upgrade notes of 4.0; KAFKA-13673", Damage: lookForReorder, Prove: "orderly prove scenario retry-reorder",
		unit: func(v facts.View, say say) {
			n, ok := v.InFlight()
			if !ok || n <= 5 || !unset(v) || v.Acks() != "all" || !v.Retries() || v.Framework == "connect" {
				return
			}
			switch {
			case !v.Ver.Before("4.0"):
				say([]string{inFlight, idem}, "%d requests in flight: this client does not start", n)
			case !v.Ver.Before("3.0.1") && !v.Ver.Is("3.1.0"):
				say([]string{inFlight, idem}, "%d requests in flight: idempotence is silently off", n)
			}
		},
	},
	{
		ID: "P04", Title: "kafka-clients 3.0.0 and 3.1.0 do not apply their default of enable.idempotence", Severity: Error, Needs: cfgVer, Kinds: writers, Clients: []facts.Client{facts.Java}, Versions: "Java client 3.0.0 and 3.1.0, exactly",
		Cause:     "These two versions document true as the default, and run without it.",
		Diagnosis: "Look at the version of kafka-clients that is really resolved (a Spring Boot parent chooses one), and whether enable.idempotence is written.",
		Fix:       "Write {enable.idempotence=true}, or use 3.0.1, 3.1.1 or later.",
		Why:       "A fault of these versions: the default was only taken where the setting was written.",
		WhenNot:   "The producer has a transactional.id, which switches idempotence on.",
		Source:    "KAFKA-13598", Damage: lookForReorder, Prove: "retry reorder, with the version pinned",
		unit: func(v facts.View, say say) {
			if (v.Ver.Is("3.0.0") || v.Ver.Is("3.1.0")) && unset(v) && v.Framework != "connect" {
				say([]string{idem}, "this version's default of true is not in force")
			}
		},
	},
	{
		ID: "P05", Title: "kafka-clients before 3.0 and enable.idempotence is not set", Severity: Error, Needs: cfgVer, Kinds: writers, Clients: []facts.Client{facts.Java}, Versions: "Java client 2.1 to 2.8",
		Cause:     "The default was false, while retries have been unlimited since 2.1 and 5 requests are in flight.",
		Diagnosis: "Look at the version of kafka-clients, and whether enable.idempotence is written.",
		Fix:       "Set {enable.idempotence=true} and {acks=all}, or upgrade the client to 3.2 or later.",
		Why:       "Retries that are on, with several requests in flight and no sequence numbers, write batches out of order.",
		WhenNot:   "One request in flight: then there are duplicates only (P17). retries=0: then records are lost instead.",
		Source:    "Apache Kafka, ProducerConfig of 2.1 to 2.8; KIP-91", Damage: lookForReorder, Prove: "orderly prove scenario retry-reorder",
		unit: func(v facts.View, say say) {
			if v.Ver.Before("3.0") && unset(v) && reorders(v) {
				say([]string{idem, inFlight}, "the default of this version is false, and it sends again without end")
			}
		},
	},
	{
		ID: "P07", Title: "librdkafka before 1.9.0, idempotent: acknowledged messages can be dropped", Severity: Error, Needs: []facts.Source{facts.Version}, Kinds: writers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka before 1.9.0",
		Cause:     "When a partition vanishes from the metadata for a moment its sequence numbers start again, and the broker takes new messages for repeats.",
		Diagnosis: "Look at the version of librdkafka (confluent-kafka for Python and Go have about the same number).",
		Fix:       "Upgrade to 1.9.0 or later, better 2.5 or later.",
		Why:       "The broker answers that it has the message already, and the client reports success for something that is nowhere.",
		WhenNot:   "The producer is not idempotent; then P06 holds.",
		Source:    "librdkafka, CHANGELOG.md, 1.9.0", Damage: lookForLoss, Prove: "answer metadata without a partition once, then go on",
		unit: func(v facts.View, say say) {
			if v.Idempotent().On && v.Ver.Before("1.9.0") {
				say([]string{idem}, "an idempotent producer of this version can lose messages that it reports as written")
			}
		},
	},
	{
		ID: "P08", Title: "librdkafka 1.x to 2.4, idempotent: false fatal errors", Severity: Warn, Needs: []facts.Source{facts.Version}, Kinds: writers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka before 2.3.0 (sequence desynchronization), 2.2 to before 2.5.0 (a MessageSet that cannot be reconstructed)",
		Cause:     "Faults of these versions end an idempotent producer although nothing is wrong.",
		Diagnosis: "The log has a fatal error about sequence desynchronization, or about a MessageSet that cannot be reconstructed.",
		Fix:       "Upgrade to 2.5.0 or later.",
		Why:       "A producer that ends in the middle makes the application send again what may be written: duplicates.",
		WhenNot:   "The application ends at a fatal error and decides by its own numbers what to send again.",
		Source:    "librdkafka, CHANGELOG.md, 2.3.0 and 2.5.0", Damage: notByItself,
		Yields: []string{"P07"},
		unit: func(v facts.View, say say) {
			if v.Idempotent().On && v.Ver.Before("2.5.0") {
				say([]string{idem}, "this version has false fatal errors")
			}
		},
	},
	{
		ID: "P10", Title: "A kafka-go Writer without a Balancer that looks at keys", Severity: Error, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: writers, Clients: []facts.Client{facts.KafkaGo}, Versions: "kafka-go, all versions",
		Cause:     "Writer.Balancer is not set (round robin), or LeastBytes: both ignore the key.",
		Diagnosis: "Look at the Balancer field of the Writer.",
		Fix:       "Set {partitioner=murmur2_random}, which also agrees with the Java client; kafka.Hash agrees with Sarama.",
		Why:       "The records of a key are spread over all partitions, and between partitions there is no order.",
		WhenNot:   "The topic has one partition, or the records no keys.",
		Source:    "segmentio/kafka-go, Writer", Damage: "Yes, if records have keys: the same key is in several partitions. Read the topic and look for a key in two of them.", Prove: "write 12 records of one key, and see their partitions",
		unit: func(v facts.View, say say) {
			switch t := v.Text("partitioner.class"); t {
			case "RoundRobin", "LeastBytes", "":
				if !v.Open("partitioner.class") {
					say([]string{"partitioner.class"}, "%s ignores the key", t)
				}
			}
		},
	},
	{
		ID: "P11", Title: "A kafka-go Writer without RequiredAcks", Severity: Error, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: writers, Clients: []facts.Client{facts.KafkaGo}, Versions: "kafka-go, Writer{} literals",
		Cause:     "The zero value of RequiredAcks is RequireNone: nobody waits for an answer.",
		Diagnosis: "Look for RequiredAcks in the Writer literal.",
		Fix:       "Set {acks=all}.",
		Why:       "Records that the broker refuses, or that are lost with a connection, are gaps in their keys without any error.",
		WhenNot:   "The Writer was made by NewWriter, whose default is all.",
		Source:    "segmentio/kafka-go, Writer", Damage: lookForLoss, Prove: "cut the connection before an append",
		unit: func(v facts.View, say say) {
			if _, ok := v.Get("acks"); !ok && v.Acks() == "0" {
				say([]string{"acks"}, "no acknowledgement is waited for")
			}
		},
	},
	{
		ID: "P12", Title: "kafka-go for ordered data", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: writers, Clients: []facts.Client{facts.KafkaGo}, Versions: "kafka-go, all versions",
		Cause:     "kafka-go has no idempotent producer.",
		Diagnosis: "A kafka-go Writer is used.",
		Fix:       "Use a client that has one (franz-go, orderly's Producer), or let readers drop what they have seen, by a number of the record's own.",
		Why:       "An acknowledgement that gets lost makes it write the batch again: it is there twice.",
		WhenNot:   "Readers drop duplicates.",
		Source:    "segmentio/kafka-go, no support of InitProducerId in Writer", Damage: lookForDup, Prove: "orderly prove scenario in-flight-1",
		unit: func(v facts.View, say say) { say(nil, "a lost acknowledgement is a duplicate") },
	},
	{
		ID: "P13", Title: "kafka-python 2.2 and 2.3 with their defaults", Severity: Error, Needs: cfgVer, Kinds: writers, Clients: []facts.Client{facts.KafkaPython}, Versions: "kafka-python 2.2 and 2.3",
		Cause:     "From 2.2 on it retries without end; idempotence became the default only with 3.0.",
		Diagnosis: "Look at the version, and at enable_idempotence.",
		Fix:       "Set {enable.idempotence=true} and {acks=all}, or use 3.0 or later.",
		Why:       "An upgrade from 2.1 switches retries on with 5 requests in flight, and nothing keeps them in order.",
		WhenNot:   "One request in flight.",
		Source:    "kafka-python, KafkaProducer at its tags", Damage: lookForReorder, Prove: "orderly prove scenario retry-reorder",
		unit: func(v facts.View, say say) {
			if unset(v) && reorders(v) && !v.Ver.Before("2.2") && v.Ver.Before("3.0") {
				say([]string{idem, "retries", inFlight}, "it retries without end, with several requests in flight, and is not idempotent")
			}
		},
	},
	{
		ID: "P14", Title: "KafkaJS without idempotence, or with several requests in flight", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: writers, Clients: []facts.Client{facts.KafkaJS}, Versions: "KafkaJS 1.x and 2.x",
		Cause:     "idempotent is false by default, maxInFlightRequests is not limited, and there are 5 retries.",
		Diagnosis: "Look at the options of kafka.producer(), and whether each send is awaited before the next one of the key. A file alone rarely shows that, so this is a warning.",
		Fix:       "Set {enable.idempotence=true} and {max.in.flight.requests.per.connection=1}, and await each send.",
		Why:       "Two sends at a time are two requests; the one that fails is sent again behind the other.",
		WhenNot:   "Each send of a key is awaited before the next: then there are duplicates only.",
		Source:    "KafkaJS, documentation of producing", Damage: lookForReorder, Prove: "retry reorder, with sends that overlap",
		unit: func(v facts.View, say say) {
			n, ok := v.InFlight()
			i := v.Idempotent()
			switch {
			case i.Unsure:
			case !i.On:
				say([]string{idem, inFlight}, "a send that is repeated can be written twice, and behind a later one if sends overlap")
			case ok && n != 1:
				say([]string{inFlight}, "sends that overlap are not kept in order by KafkaJS with more than one request in flight")
			}
		},
	},
	{
		ID: "P15", Title: "acks=1", Severity: Error, Needs: cfg, Kinds: writers, Versions: "all clients; a default of Java before 3.0, Sarama, aiokafka and kafka-python before 3.0",
		Cause:     "The leader alone acknowledges; followers may not have the record yet.",
		Diagnosis: "Look at the effective value of acks.",
		Fix:       "Set {acks=all}, with min.insync.replicas of 2 on the topic.",
		Why:       "When the leader fails before its followers have copied, the record is gone although it was acknowledged: a gap in its key.",
		WhenNot:   "The topic has one replica anyway, or gaps are acceptable.",
		Source:    "Apache Kafka, documentation of the producer's acks", Damage: lookForLoss, Prove: "orderly prove scenario leader-failover",
		unit: func(v facts.View, say say) {
			if v.Acks() == "1" && v.Idempotent().Refuse == "" {
				say([]string{"acks"}, "an acknowledged record is lost when the leader fails before its followers have it")
			}
		},
	},
	{
		ID: "P16", Title: "acks=0", Severity: Error, Needs: cfg, Kinds: writers, Versions: "all clients",
		Cause:     "The producer waits for no answer.",
		Diagnosis: "Look at the effective value of acks.",
		Fix:       "Set {acks=all}.",
		Why:       "Refused and lost records give no error and are never sent again: gaps that nobody sees.",
		WhenNot:   "The data are measurements of which some may be missing.",
		Source:    "Apache Kafka, documentation of the producer's acks", Damage: lookForLoss, Prove: "cut the connection before an append", Yields: []string{"P11"},
		unit: func(v facts.View, say say) {
			if v.Acks() == "0" {
				say([]string{"acks"}, "no answer is waited for: losses give no error")
			}
		},
	},
	{
		ID: "P18", Title: "One request in flight with idempotence", Severity: Note, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Java, facts.Librdkafka, facts.KafkaPython}, Versions: "brokers and clients from 1.0.0 on (Sarama and KafkaJS need 1)",
		Cause:     "An old rule: idempotence needed one request in flight in 0.11 only.",
		Diagnosis: "Look at both settings.",
		Fix:       "Set {max.in.flight.requests.per.connection=5}, or leave it out.",
		Why:       "Up to 5 batches under way are kept in order by their sequence numbers; 1 costs throughput for nothing.",
		WhenNot:   "Brokers are 0.11.",
		Source:    "KAFKA-5494", Damage: "No.", Prove: "orderly prove scenario idempotent-5",
		unit: func(v facts.View, say say) {
			if n, ok := v.InFlight(); ok && n == 1 && v.Idempotent().On && v.Explicit(inFlight, "1") {
				say([]string{inFlight}, "it costs throughput and is not needed for order")
			}
		},
	},
	{
		ID: "P19", Title: "delivery.timeout.ms is short", Severity: Warn, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Java, facts.Librdkafka, facts.KafkaPython}, Versions: "Java client from 2.1 on; librdkafka (message.timeout.ms)",
		Cause:     "delivery.timeout.ms is below 2 minutes, or below two rounds of linger.ms and request.timeout.ms.",
		Diagnosis: "Look at the three settings.",
		Fix:       "Set {delivery.timeout.ms=120000} or more, and stop the key when a record is given up.",
		Why:       "A record that expires is a gap; the ones behind it go on, and when the application sends it again it lands behind them.",
		WhenNot:   "The producer stops everything at the first failure.",
		Source:    "KIP-91", Damage: "Possibly: look for errors about records that expired.", Prove: "swallow acknowledgements for longer than delivery.timeout.ms",
		unit: func(v facts.View, say say) {
			val, ok := v.Get("delivery.timeout.ms")
			n, isInt := v.Int("delivery.timeout.ms")
			if !ok || val.Elsewhere || !isInt || n == 0 && v.Client == facts.Librdkafka { // 0: without an end
				return
			}
			req, _ := v.Int("request.timeout.ms")
			linger, _ := v.Int("linger.ms")
			if n < 120_000 || n < 2*(req+linger) {
				say([]string{"delivery.timeout.ms", "request.timeout.ms"}, "a short outage gives records up in the middle of their keys")
			}
		},
	},
	{
		ID: "P20", Title: "request.timeout.ms is shorter than replica.lag.time.max.ms", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Cluster}, Kinds: writers, Clients: []facts.Client{facts.Java, facts.Librdkafka, facts.KafkaPython}, Versions: "all",
		Cause:     "The producer gives up waiting before the brokers have given up on a slow follower (30 s by default).",
		Diagnosis: "Look at request.timeout.ms here, and at replica.lag.time.max.ms of the brokers.",
		Fix:       "Set {request.timeout.ms=30000} or more.",
		Why:       "The broker still waits for followers, while the producer sends again: needless retries, which are duplicates and reorders where idempotence is off.",
		WhenNot:   "The brokers have a lower replica.lag.time.max.ms.",
		Source:    "Apache Kafka, documentation of request.timeout.ms", Damage: notByItself, Prove: "delay acknowledgements",
		unit: func(v facts.View, say say) {
			if n, ok := v.Int("request.timeout.ms"); ok && n < 30_000 && v.Acks() == "all" {
				say([]string{"request.timeout.ms"}, "less than the 30 s after which brokers drop a slow follower")
			}
		},
	},
	{
		ID: "P21", Title: "Few retries with idempotence", Severity: Warn, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Java, facts.Librdkafka, facts.KafkaPython}, Versions: "Java client from 2.1 on, librdkafka",
		Cause:     "retries is a small number.",
		Diagnosis: "Look at retries.",
		Fix:       "Leave retries out; bound the time with {delivery.timeout.ms=120000}.",
		Why:       "A record whose retries are used up is a gap in its key, after seconds rather than minutes.",
		WhenNot:   "The producer stops the key at the first failure.",
		Source:    "Apache Kafka, documentation of retries", Damage: "Possibly: look for sends that failed.", Prove: "refuse a batch for longer than the retries last",
		unit: func(v facts.View, say say) {
			val, ok := v.Get("retries")
			n, isInt := v.Int("retries")
			if ok && !val.Elsewhere && isInt && n > 0 && n < 1<<31-1 && v.Idempotent().On && v.Idempotent().Refuse == "" {
				say([]string{"retries"}, "after these retries a record is given up, and those behind it go on")
			}
		},
	},
}

// random says that a value is made anew at each start.
func random(text string) bool {
	t := strings.ToLower(text)
	for _, word := range []string{"random", "uuid", "$$", "timestamp", "currenttime", "hostname-random"} {
		if strings.Contains(t, word) {
			return true
		}
	}
	return false
}
