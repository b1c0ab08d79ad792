package rules

import "github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"

// What only the log of a topic shows. The facts come from reading batches.
var live = []Rule{
	{
		ID: "L01", Title: "Batches without a producer id", Severity: Error, Needs: logged, Versions: "message format of 0.11 and later",
		Cause: "A writer is not idempotent, whatever the configurations say.", Diagnosis: "Read the headers of batches: the producer id is -1.",
		Fix: "Find the writer by its client id, and go through the rules P.", Why: "Repeats of such a writer are written twice, and out of order.",
		WhenNot: "The topic is written by one that needs no order.", Source: "Kafka's record batch", Damage: lookForReorder,
	},
	{
		ID: "L02", Title: "The epoch of a producer rises in the log", Severity: Warn, Needs: logged, Versions: "clients from 2.5 on",
		Cause: "A producer without transactions gave batches up.", Diagnosis: "Read the headers of batches: the same producer id, a higher epoch.",
		Fix: "See P19 and P22.", Why: "What was given up is a gap, or was sent again behind later records.",
		WhenNot: "The producer is transactional.", Source: "KIP-360", Damage: "Look for the gap at that offset.",
	},
	{
		ID: "L03", Title: "Several producers on one partition", Severity: Note, Needs: []facts.Source{facts.Log, facts.Cluster}, Versions: "API from 2.8 on",
		Cause: "More than one producer id is active.", Diagnosis: "Describe the producers of the partition, and compare the keys that they write.",
		Fix: "See P28.", Why: "If they write the same keys, no order holds between them.",
		WhenNot: "They write different keys.", Source: "KIP-664", Damage: "Only where keys overlap.",
	},
	{
		ID: "L04", Title: "A gap in the sequence of a producer", Severity: Error, Needs: logged, Versions: "message format of 0.11 and later",
		Cause: "A batch is missing between two of the same producer and epoch.", Diagnosis: "Read the headers of batches: base sequence and number of records do not meet.",
		Fix: "See B05; look for a truncation at that time.", Why: "The broker accepts batches only in sequence: one that is missing was there.",
		WhenNot: "The range was compacted.", Source: "Kafka's record batch", Damage: "Yes: the batch is lost.",
	},
	{
		ID: "L05", Title: "The log was cut off and written anew", Severity: Error, Needs: logged, Versions: "0.11 and later",
		Cause: "A leader epoch goes back, or an offset has another value than before.", Diagnosis: "Compare replicas, or two readings.",
		Fix: "See B05.", Why: "Readers have handled records that are no longer there.",
		WhenNot: "Never.", Source: "kgo-verifier; Jepsen", Damage: "Yes: replay what depends on it.",
	},
	{
		ID: "L06", Title: "The number in the records goes back", Severity: Error, Needs: logged, Versions: "any",
		Cause: "Your own sequence number of a key is lower than the one before.", Diagnosis: "Read the topic with the path of the number.",
		Fix: "Follow the producer id of that record to its writer, and its configuration.", Why: "It is the proof that order was broken in the data.",
		WhenNot: "The numbers do not count one key.", Source: "your own numbers", Damage: "Yes: this is the damage.",
	},
	{
		ID: "L07", Title: "A committed offset beyond the end, or one that went back", Severity: Error, Needs: []facts.Source{facts.Log, facts.Cluster}, Versions: "any",
		Cause: "The log was cut off, the topic made anew, or offsets were reset.", Diagnosis: "Compare the group's offsets with the ends of the log.",
		Fix: "Stop the group, and look at what happened before it goes on.", Why: "Records are skipped, or handled again.",
		WhenNot: "An operator reset them.", Source: "OffsetFetch", Damage: "Look at effects since then.",
	},
}
