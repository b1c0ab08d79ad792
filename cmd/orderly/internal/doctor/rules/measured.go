package rules

import "github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"

// measured are the rules about producers that are not idempotent whose answer is
// another one for each client: what they say was tried, and the tables are in
// docs/prove-clients.md.
var measured = []Rule{
	{
		ID: "P06", Title: "A librdkafka client without enable.idempotence=true", Severity: Error, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka, all versions, and all that is made of it: confluent-kafka for Python, Go, .NET and JavaScript, node-rdkafka, rust-rdkafka, rdkafka-ruby",
		Cause:     "enable.idempotence is false by default, retries are unlimited, and up to 1,000,000 requests may be in flight. With max.in.flight=1 a batch that was refused is passed as well.",
		Diagnosis: "Look for enable.idempotence in the configuration that is given to the producer.",
		Fix:       "Set {enable.idempotence=true}.",
		Why: "A batch that is sent again is written behind later ones. With idempotence librdkafka limits the requests in flight to 5 by itself and demands acks=all. " +
			"Measured with librdkafka 2.16.0 on Apache Kafka 4.3.1, 10,000 records a run (docs/prove-clients.md): where 37 to 45 batches were refused, 340 records stood behind a later one of their key with its defaults, " +
			"330 with max.in.flight=5, 340 and 350 with max.in.flight=1; where answers were lost, each of them made 330 duplicates or more. With idempotence 0 and 0.",
		WhenNot: "Nothing is sent again (retries is 0): then messages are lost instead. max.in.flight=1 is no exception.",
		Source:  "librdkafka, CONFIGURATION.md; measured: docs/prove-clients.md. librdkafka #1092 says that one request in flight keeps the order: it did not", Damage: lookForReorder,
		Prove: "orderly prove producer --fault refuse:error=NOT_ENOUGH_REPLICAS,share=0.4% -- CMD, with the settings of the program",
		unit: func(v facts.View, say say) {
			n, ok := v.InFlight()
			switch {
			case !off(v) || !v.Retries():
			case ok && n == 1:
				say([]string{idem, inFlight}, "not idempotent, and one request in flight does not keep the order in librdkafka: a batch that was refused is passed by later ones, and one whose answer was lost is there twice")
			case unset(v):
				say([]string{idem, inFlight}, "not idempotent by default")
			case !ok: // decided elsewhere; above 1 P01 says it
				say([]string{idem, inFlight}, "not idempotent, and librdkafka does not keep the order with any number of requests in flight")
			}
		},
	},
	{
		ID: "P09", Title: "A Sarama producer that is not idempotent", Severity: Error, Needs: []facts.Source{facts.Config, facts.Code, facts.Version}, Kinds: writers, Clients: []facts.Client{facts.Sarama}, Versions: "before 1.31: with MaxOpenRequests above 1; 1.31 to before 1.48.0: even with 1; 1.48.0 to 1.50.3: after connection errors; 1.60.0 and later: duplicates, and nothing out of order in what was measured",
		Cause:     "Producer.Idempotent is false by default, 5 requests may be open, and there are 3 retries.",
		Diagnosis: "Look at Producer.Idempotent, Net.MaxOpenRequests and Sarama's version. Of versions that are not named under Why it was read from Sarama's changes, and not measured.",
		Fix: "Use Sarama 1.61.1 or later, with {enable.idempotence=true}, {acks=all} and {max.in.flight.requests.per.connection=1}, and V0_11_0_0 or later as config.Version. " +
			"An upgrade alone leaves duplicates; idempotence alone is not enough in 1.47.0, which gave most messages up after a cut connection.",
		Why: "From 1.31 to before 1.48.0 requests are pipelined whatever MaxOpenRequests says, so that a retry lands behind later messages. From 1.48.0 a partition has one batch in flight, which up to 1.50.3 later ones pass after a connection error. " +
			"Measured with acks=all and MaxOpenRequests=1 on Apache Kafka 4.3.1, messages of 10,000 behind a later one of their key, after lost answers, cut connections and refused batches (docs/prove-clients.md): " +
			"1.47.0 196, 390, 280; 1.50.2 0, 54, 0; 1.50.3 2, 77, 0; 1.61.1 none; 1.60.0 and 1.60.2 none after cut connections, which is all that was tried with them. Each of them wrote messages twice. Idempotent, 1.61.1 had neither.",
		WhenNot: "Retry.Max is 0: then messages are lost instead.",
		Yields:  []string{"P16"}, // nothing is sent again that nobody answers
		Source:  "measured: docs/prove-clients.md; Sarama, documentation of Config; Sarama #2619, #3422, #3644", Damage: lookForReorder,
		Prove: "orderly prove producer --fault cut:share=0.4% -- CMD, with Sarama before and after 1.60.0",
		grade: func(v facts.View) Severity {
			if v.Ver.Before("1.60") {
				return Error
			}
			return Warn // duplicates, as far as was measured
		},
		unit: func(v facts.View, say say) {
			n, ok := v.InFlight()
			switch {
			case !off(v) || !v.Retries() || !ok:
			case v.Ver.Before("1.31"):
				if n > 1 {
					say([]string{idem, inFlight}, "a message that is sent again can be written behind a later one, and twice")
				}
			case v.Ver.Before("1.48"):
				say([]string{idem, inFlight}, "this version pipelines requests: a message that is sent again can be written behind a later one, even with MaxOpenRequests = 1")
			case v.Ver.Before("1.60"):
				say([]string{idem, inFlight}, "this version writes later messages before those that it sends again after a connection error, also with MaxOpenRequests = 1, and messages can be there twice")
			default:
				say([]string{idem}, "messages that are sent again can be there twice; none was seen out of order with 1.60.0 and later")
			}
		},
	},
	{
		ID: "P17", Title: "One request in flight without idempotence", Severity: Warn, Needs: cfg, Kinds: writers, Versions: "all clients but librdkafka, of which P06 speaks",
		Clients:   []facts.Client{facts.Java, facts.Sarama, facts.FranzGo, facts.KafkaGo, facts.KafkaJS, facts.AIOKafka, facts.KafkaPython},
		Cause:     "max.in.flight is 1 to keep order, and idempotence is off.",
		Diagnosis: "Look at both settings.",
		Fix:       "Set {enable.idempotence=true} with {max.in.flight.requests.per.connection=5}.",
		Fixes:     map[string]string{"aiokafka": "Set {enable.idempotence=true} and {acks=all}.", "sarama": "Set {enable.idempotence=true} and {acks=all}; MaxOpenRequests stays 1."},
		Why: "A lost acknowledgement writes the batch a second time. Whether the order is kept depends on the client. Measured on Apache Kafka 4.3.1: " +
			"with the Java client 4.3.1 it was kept under lost answers, cut connections and refused batches, and 36 lost answers made 571 duplicates of 10,000 records (docs/prove-clients.md); " +
			"with franz-go it was kept, and 18 of them made 696 duplicates of 4,000 (docs/prove.md, in-flight-1). With librdkafka 2.16.0 it was not kept (P06), with Sarama before 1.60.0 neither (P09). aiokafka, kafka-python, kafka-go and KafkaJS were not measured.",
		WhenNot: "Readers drop duplicates.",
		Source:  "measured: docs/prove-clients.md and docs/prove.md", Damage: lookForDup, Prove: "orderly prove scenario in-flight-1",
		Yields: []string{"P09", "P12", "P14", "X02"},
		unit: func(v facts.View, say say) {
			n, ok := v.InFlight()
			switch {
			case !ok || n != 1 || !off(v) || !v.Retries():
			case v.Client == facts.Java || v.Client == facts.FranzGo: // which were measured
				say([]string{inFlight, idem}, "order is kept, but what is sent again can be there twice")
			default:
				say([]string{inFlight, idem}, "what is sent again can be there twice")
			}
		},
	},
}
