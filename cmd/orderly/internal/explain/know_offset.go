package explain

// What is known of consumers that jump.
var offsetEntries = []*Entry{
	{
		ID: "offset-out-of-range", Code: 1, Severity: Breaks,
		Title:    "The offset to read is not in the log (OFFSET_OUT_OF_RANGE)",
		Names:    []string{"OFFSET_OUT_OF_RANGE", "OffsetOutOfRangeException", "OffsetOutOfRangeError", "ErrOffsetOutOfRange"},
		What:     "A consumer asked for an offset below the first or above the last of the partition. Retention deleted what it had not read yet, or the log was cut at its end, or the topic was made anew.",
		Data:     "Below the first: the records between were never processed. Above the last: records that were processed are gone from the log, and others may stand at their offsets.",
		Tell:     "Compare the offset with the start and end of the partition; the difference to the start is what was deleted unread.",
		Do:       []string{"auto.offset.reset=none (or earliest) for consumers that need order: latest passes over everything in silence.", "Longer retention than the longest lag.", "Above the end: look for an unclean election."},
		Clients:  map[Client]string{FranzGo: "ConsumeResetOffset decides; NoResetOffset stops the partition.", Sarama: "Consumer.Offsets.Initial decides; OffsetNewest is its default."},
		Versions: "All.", Sources: []string{"Kafka protocol"}, Rules: []string{"C06", "B05", "B11", "L07"}, See: []string{"orderly doctor cluster", "orderly status -g GROUP"},
		YieldsTo: []string{"orderly-offset-range"},
	},
	{
		ID: "offset-reset", Severity: May,
		Title:    "The consumer was set to another offset",
		What:     "There was no committed offset, or it was out of range, and auto.offset.reset decided where to read.",
		Data:     "At a new group's start yes. Else: forward, records were passed over; back, they come again.",
		Tell:     "Is the group new? Compare the new position with the last one committed.",
		Do:       []string{"auto.offset.reset=none (or earliest) where order counts.", "offsets.retention.minutes longer than the longest stop of the group."},
		Versions: "All.", Sources: []string{"SubscriptionState of Apache Kafka's clients"}, Rules: []string{"C06", "B11"},
		YieldsTo: []string{"offset-out-of-range", "truncation-detected"},
	},
	{
		ID: "truncation-detected", Severity: Breaks,
		Title:    "The log was cut behind the consumer: records that it read are gone",
		Names:    []string{"LogTruncationException", "_LOG_TRUNCATION", "RD_KAFKA_RESP_ERR__LOG_TRUNCATION", "ErrLogTruncation"},
		What:     "The consumer has read records that the leader of today does not have. A leader without them took over (unclean election), or more was lost than the replicas held.",
		Data:     "No. Records were lost that had been given out; others may stand at the same offsets. Effects of the lost ones have happened.",
		Tell:     "Between the offset where the logs divide and the one that the consumer had reached: these are the records in question.",
		Do:       []string{"Find out from the producers what was written there, and from the effects what happened.", "unclean.leader.election.enable=false, replication factor 3, min.insync.replicas 2, acks=all."},
		Clients:  map[Client]string{FranzGo: "Says it as \"lost records\" (ErrDataLoss), and goes on where the logs divide."},
		Versions: "Clients since 2.1/2.3, brokers since 2.1.", Sources: []string{"KIP-320"}, Rules: []string{"B01", "B02", "B05", "L05"}, See: []string{"orderly doctor cluster", "orderly doctor log -t TOPIC"},
	},
}
