package rules

import (
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var transactions = []Rule{
	{
		ID: "T01", Title: "Another transactional.id at each start", Severity: Error, Needs: cfgLive, Kinds: writers, Versions: "0.11 and later",
		Cause: "transactional.id is made of random or of the time.", Diagnosis: "Look at how the id is made; list the transactions of the cluster.",
		Fix: "Give each shard of the work an id that outlasts restarts: the name and ordinal of the pod.", Why: "The producer of the last run is never fenced; a transaction that it left open holds readers up until it times out.",
		WhenNot: "Clients from 2.5 on that give the consumer's group metadata with the offsets (KIP-447).", Source: "KIP-98; KIP-447", Damage: "Look for records of two producers of the same shard at the same time.", Prove: "kill a producer in a transaction, start it again",
		unit: func(v facts.View, say say) {
			val, ok := v.Get("transactional.id")
			if ok && (random(val.Text) || random(val.Env)) {
				say([]string{"transactional.id"}, "the producer of the last run is never fenced")
			}
		},
	},
	{
		ID: "T02", Title: "One transactional.id for several processes", Severity: Error, Needs: cfgLive, Kinds: writers, Versions: "0.11 and later",
		Cause: "The id is a constant, and the program runs several times.", Diagnosis: "Look at transactional.id and the number of replicas; in logs PRODUCER_FENCED and INVALID_PRODUCER_EPOCH take turns.",
		Fix: "Make the ordinal of the pod a part of the id.", Why: "Each one that starts fences the others: transactions are aborted in the middle, again and again.",
		WhenNot: "Exactly one process runs.", Source: "KIP-98", Damage: notByItself, Prove: "start two producers with one id",
		unit: func(v facts.View, say say) {
			val, ok := v.Get("transactional.id")
			n, many := v.Int("replicas")
			if ok && many && n > 1 && val.Text != "" && val.Env == "" && !val.Elsewhere && v.Framework != "spring" && !strings.ContainsAny(val.Text, "$%{") {
				say([]string{"transactional.id", "replicas"}, "%d replicas have the same id and fence each other", n)
			}
		},
	},
	{
		ID: "T03", Title: "transaction.timeout.ms does not fit", Severity: Warn, Needs: cfgLive, Kinds: writers, Versions: "0.11 and later",
		Cause: "It is above the brokers' transaction.max.timeout.ms (15 minutes by default), or shorter than the work of a transaction.", Diagnosis: "Look at both, and at how long a transaction takes.",
		Fix: "Set it between the two.", Why: "Above, the producer does not start; below, transactions are aborted while the work goes on.",
		WhenNot: "The brokers allow more.", Source: "Apache Kafka, documentation of the setting", Damage: notByItself,
		unit: func(v facts.View, say say) {
			n, ok := v.Int("transaction.timeout.ms")
			if ok && n > 900_000 {
				say([]string{"transaction.timeout.ms"}, "more than the 15 minutes that brokers allow by default")
			} else if d, has := v.Int("delivery.timeout.ms"); ok && has && n < 10_000 && v.Client != facts.FranzGo && d > n {
				say([]string{"transaction.timeout.ms"}, "a single retry can take longer than the transaction may")
			}
		},
	},
	{
		ID: "T04", Title: "Offsets go into a transaction without the group's metadata", Severity: Warn, Needs: code, Marks: []string{"group-id-only"}, Versions: "Java clients before 4.0; brokers from 2.5 on have the other form",
		Cause: "sendOffsetsToTransaction is given the name of the group only.", Diagnosis: "Look at its second argument.",
		Fix: "Give consumer.groupMetadata().", Why: "A member that has lost the partition can still commit offsets in its transaction.",
		WhenNot: "transactional.id is bound to the partition.", Source: "KIP-447", Damage: lookForRe, Prove: "zombie after a pause",
	},
	{
		ID: "T05", Title: "Idempotent, but what is sent again after a restart is new", Severity: Warn, Needs: []facts.Source{facts.Ask}, Versions: "all",
		Cause: "The application reads its source again after a restart and sends what may be written.", Diagnosis: "Ask where it begins after a crash.",
		Fix: "Use a transactional.id together with the position in the source, or a number that readers compare.", Why: "Idempotence lasts as long as the producer: the next one has another id, and the broker cannot tell repeats.",
		WhenNot: "Readers drop duplicates.", Source: "KIP-98", Damage: lookForDup, Prove: "kill a producer between write and checkpoint",
	},
	{
		ID: "T06", Title: "A hanging transaction", Severity: Error, Needs: []facts.Source{facts.Cluster}, Versions: "tool from 3.0 on, API from 2.8 on",
		Cause: "A transaction is open for longer than its timeout.", Diagnosis: "kafka-transactions find-hanging; the last stable offset does not move.",
		Fix: "kafka-transactions abort, for exactly that one.", Why: "Readers with read_committed stop before it.",
		WhenNot: "Its timeout is as long.", Source: "KIP-664", Damage: "No: readers are held up.",
	},
	{
		ID: "T07", Title: "Two-phase commit: transactions never expire", Severity: Warn, Needs: cfg, Kinds: writers, Versions: "versions with KIP-939",
		Cause: "transaction.two.phase.commit.enable is true.", Diagnosis: "Look at the setting.",
		Fix: "Watch the last stable offset, and have somebody who ends what is left.", Why: "A transaction that is forgotten holds readers with read_committed up for ever.",
		WhenNot: "The coordinator outside ends each one.", Source: "KIP-939", Damage: "No: readers are held up.",
		unit: func(v facts.View, say say) {
			if v.Explicit("transaction.two.phase.commit.enable", "true") {
				say([]string{"transaction.two.phase.commit.enable"}, "transactions of this producer never expire")
			}
		},
	},
}
