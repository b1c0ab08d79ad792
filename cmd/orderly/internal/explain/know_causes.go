package explain

// sixCauses are what a producer's log is searched for when numbers are doubled or
// out of order. Half of what is advised about them held for old versions only: each
// says until when.
var sixCauses = []Cause{
	{
		Title:     "The producer is not idempotent (enable.idempotence)",
		Diagnosis: "Look at the producer's settings, and at its log: the Java client writes \"Instantiated an idempotent producer\" at its start, or \"Idempotence will be disabled because\". `orderly doctor log` sees batches without a producer id.",
		Fix:       "Set it to true by name, with acks=all, so that a conflict is refused instead of switching it off. librdkafka: enable.idempotence=true. Sarama: Producer.Idempotent = true, Net.MaxOpenRequests = 1, RequiredAcks = WaitForAll. KafkaJS: idempotent: true, maxInFlightRequests: 1. franz-go has it on.",
		Why:       "The broker then knows each batch by producer id, epoch and sequence number, and takes a repeat only once.",
		Outdated:  "For the Java client the default is true since 3.0.1, 3.1.1 and 3.2.0 (3.0.0 and 3.1.0 meant it, and did not do it). Still off by default in librdkafka and all on it, Sarama, KafkaJS and aiokafka; kafka-go has none.",
	},
	{
		Title:     "acks is 0 or 1",
		Diagnosis: "Look at the producer's acks, and at min.insync.replicas of the topic. The Java client switches idempotence off for it, with one line at level INFO.",
		Fix:       "acks=all (-1), and min.insync.replicas=2 with three replicas.",
		Why:       "With 0 nothing is acknowledged; with 1 the leader acknowledges what a new leader may not have. Then what was written seems missing, or what is missing seems written.",
		Outdated:  "Java's default is all since 3.0, librdkafka's and franz-go's too. Sarama and aiokafka still begin with 1, a kafka-go Writer{} with 0.",
	},
	{
		Title:     "More than one request in flight",
		Diagnosis: "Look at max.in.flight.requests.per.connection together with enable.idempotence.",
		Fix:       "With idempotence leave it at 5 or below. Without it, 1 keeps the order in the Java client and franz-go (retries still write records twice), but not in librdkafka, where a batch that was refused is passed all the same, nor in Sarama before 1.60.0.",
		Why:       "Without numbers, a batch that is tried again lands behind those sent after it.",
		Outdated:  "\"It must be 1 with idempotence\" held for 0.11 only: since 1.0.0 the broker remembers 5 batches for each producer and partition. Sarama asks for 1 by its own check.",
	},
	{
		Title:     "Message format down-conversion is off, and clients are old",
		Diagnosis: "Look at log.message.downconversion.enable of the broker (message.downconversion.enable of the topic) and at the versions of its clients.",
		Fix:       "Upgrade clients that are older than 0.11. Nothing else is to be done.",
		Why:       "It decides whether a consumer that only knows the old record format gets an answer at all. It never changed an order or a sequence number.",
		Outdated:  "It had no effect on order in any version; brokers from 4.0 on do not convert any more.",
	},
	{
		Title:     "Answers are late or lost in the network",
		Diagnosis: "Look just before the first error for timeouts, disconnects, refused connections and leader changes; `orderly explain -f LOG` puts them in one timeline.",
		Fix:       "Mend the network. Keep delivery.timeout.ms at 120000 or above, so that a short trouble does not end in a batch that is given up.",
		Why:       "A batch without an answer is sent again. That is what sequence numbers are for; it does harm only when the batch is given up, or when the producer is not idempotent.",
		Outdated:  "Not outdated. Before 2.1 the number of retries ended it (default 0), since then the time does (KIP-91).",
	},
	{
		Title:     "request.timeout.ms is too low",
		Diagnosis: "Compare it with how long the broker takes under load (request-latency-max of the producer), and with replica.lag.time.max.ms of the broker.",
		Fix:       "Above replica.lag.time.max.ms (30000 since 2.5): 60000 is a good value where brokers are loaded; delivery.timeout.ms well above it.",
		Why:       "The producer gives up waiting while the broker is still writing, and sends the same batch again.",
		Outdated:  "The default, 30000, equals the broker's own limit for a slow replica: under load it is short, as ever.",
	},
}
