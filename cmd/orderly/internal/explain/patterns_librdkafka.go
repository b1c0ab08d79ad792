package explain

var librdkafkaPatterns = []pattern{
	px("sequence-desynchronization", Librdkafka, "sequence desynchronization", `(?:ProduceRequest for (?P<topic>[\w.-]+) \[(?P<partition>\d+)\] with (?P<records>\d+) message\(s\) failed )?due to sequence desynchronization(?: with broker (?P<broker>\d+) \((?:PID\{Id:(?P<producer_id>\d+),Epoch:(?P<producer_epoch>\d+)\})?, base seq (?P<incoming_sequence>\d+))?`),
	px("rewound-sequence", Librdkafka, "rewound sequence number", `(?:ProduceRequest for (?P<topic>[\w.-]+) \[(?P<partition>\d+)\] with (?P<records>\d+) message\(s\) failed )?with rewound sequence number(?: on broker (?P<broker>\d+) \((?:PID\{Id:(?P<producer_id>\d+),Epoch:(?P<producer_epoch>\d+)\})?, base seq (?P<incoming_sequence>\d+) < next seq (?P<last_sequence>\d+)\))?`),
	px("skipped-sequence", Librdkafka, "skipped sequence numbers", `(?:ProduceRequest for (?P<topic>[\w.-]+) \[(?P<partition>\d+)\] with (?P<records>\d+) message\(s\) failed )?due to skipped sequence numbers(?: \((?:PID\{Id:(?P<producer_id>\d+),Epoch:(?P<producer_epoch>\d+)\})?, base seq (?P<incoming_sequence>\d+) > next seq (?P<last_sequence>\d+)\))?`),
	px("fatal-error", Librdkafka, "fatal error:", `\|FATAL\|rdkafka#|rdkafka.*Fatal error: |Fatal error: (?:Local|Broker): |Local: Fatal error`),
	px("fatal-error", Librdkafka, "local: fatal error", `Local: Fatal error`),
	p("gapless-guarantee", Librdkafka, "gap-less ordering would not be guaranteed"),
	p("sequence-desynchronization", Librdkafka, "unable to reconstruct messageset"),
	px("poll-interval", Librdkafka, "application maximum poll interval", `(?i)application maximum poll interval \((?P<ms>\d+) ?ms\) exceeded`),
	p("poll-interval", Librdkafka, "maximum application poll interval (max.poll.interval.ms) exceeded"),
	px("request-timed-out", Librdkafka, "reqtmout", `(?i)\|REQTMOUT\||REQTMOUT.{0,200}timed out`),
	px("delivery-timed-out", Librdkafka, "message.timeout.ms exceeded", `(?P<topic>[\w.-]+) \[(?P<partition>\d+)\]: timed out (?P<records>\d+)\+\d+ message\(s\)|message\.timeout\.ms exceeded`),
	p("delivery-timed-out", Librdkafka, "local: message timed out"),
	p("producer-fenced", Librdkafka, "this instance has been fenced by a newer instance"),
	p("producer-fenced", Librdkafka, "producer fenced by newer instance"),
	p("partitions-lost", Librdkafka, "group partition assignment lost"),
	p("truncation-detected", Librdkafka, "partition log truncation detected"),
	p("unknown-producer-id", Librdkafka, "broker: unknown producer id"),
}
