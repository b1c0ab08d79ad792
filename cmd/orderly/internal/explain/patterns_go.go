package explain

// goPatterns are those of Sarama and franz-go.
var goPatterns = []pattern{
	p("idempotence-conflict", Sarama, "idempotent producer requires"),
	px("sequence-reset", Sarama, "rolling over epoch due to publish failure", `rolling over epoch due to publish failure on (?P<topic>[\w.-]+)/(?P<partition>\d+)`),
	px("produce-retry", Sarama, "state change to [retrying] on", `producer/broker/(?P<broker>\d+) state change to \[retrying\] on (?P<topic>[\w.-]+)/(?P<partition>\d+) because`),
	px("produce-retry", Sarama, "retrying batch for", `(?i)retrying batch for (?P<topic>[\w.-]+)-(?P<partition>\d+) because of `),
	px("partitions-lost", Sarama, "lost ownership of", `consumergroup/(?P<group>[\w.-]+): lost ownership of`),
	px("fenced-instance-id", Sarama, "joingroup failed: group instance id", `group instance id (?P<group_instance_id>\S+) has been fenced`),

	p("idempotence-conflict", FranzGo, "idempotency requires acks=all"),
	p("idempotence-conflict", FranzGo, "maxproducerequestsinflightperbroker with idempotency enabled"),
	p("sequence-reset", FranzGo, "failing the producer id and resetting all sequence numbers"),
	p("batch-failed", FranzGo, "batch errored, failing the producer id"),
	p("batch-failed", FranzGo, "batch in a produce request failed"),
	p("prefix-truncation", FranzGo, "partition prefix truncation to after our last produce"),
	p("duplicate-sequence", FranzGo, "received unexpected duplicate sequence number"),
	p("delivery-timed-out", FranzGo, "records have timed out before they were able to be produced"),
	p("retries-exhausted", FranzGo, "record failed after being retried too many times"),
	px("truncation-detected", FranzGo, "lost records; the client consumed to offset", `topic (?P<topic>[\w.-]+) partition (?P<partition>\d+) lost records; the client consumed to offset (?P<offset>\d+) epoch -?\d+(?: but was reset to offset (?P<to_offset>\d+))?`),
}
