package rules

import (
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
	core "github.com/orderly-go/orderly/internal/rules"
)

var (
	brokers   = []facts.Kind{facts.Broker}
	both      = []facts.Kind{facts.Broker, facts.Topic}
	cfgLive   = []facts.Source{facts.Config, facts.Cluster}
	lookForCT = "Possibly, at each failure of a broker since then: look for gaps in your own numbers, and for log lines about truncation."
)

// replicas is how many copies a topic has, or gets where nobody says it.
func replicas(v facts.View) int64 {
	name := "replication.factor"
	if v.Kind == facts.Broker {
		name = "default.replication.factor"
	}
	n, ok := v.Int(name)
	if !ok || v.Open(name) {
		return 0
	}
	return n
}

// ask runs a check that the library runs as well.
func ask(v facts.View, id string, settings []string, say say) {
	t := core.Topic{Replicas: int(replicas(v)), Unclean: strings.EqualFold(v.Text("unclean.leader.election.enable"), "true")}
	if n, ok := v.Int("min.insync.replicas"); ok {
		t.MinInsync = int(n)
	}
	for _, p := range t.Problems() {
		if p.ID == id {
			say(settings, "%s", p.What)
		}
	}
}

// has says that any of the settings is written: a broker's file that says nothing of
// replicas is judged by what is there.
func has(v facts.View, names ...string) bool {
	for _, n := range names {
		if _, ok := v.Get(n); ok {
			return true
		}
	}
	return false
}

var broker = []Rule{
	{
		ID: "B01", Title: "Fewer than 3 replicas", Severity: Error, Needs: cfgLive, Kinds: both, Versions: "all",
		Cause: "replication.factor of a topic, or default.replication.factor of the brokers (1 by default), is below 3.", Diagnosis: "Describe the topics; for brokers look at default.replication.factor.",
		Fix: "Use 3 replicas; a reassignment raises those of a topic that exists.", Why: "When the broker with the only copy fails, acknowledged records are gone: gaps in their keys.",
		WhenNot: "A cluster for development.", Source: "Apache Kafka, documentation of replication", Damage: lookForCT, Prove: "stop the broker of a topic with one replica",
		grade: func(v facts.View) Severity {
			if replicas(v) > 1 {
				return Warn
			}
			return Error
		},
		unit: func(v facts.View, say say) {
			name := "replication.factor"
			if v.Kind == facts.Broker {
				name = "default.replication.factor"
				if v.Partial && !has(v, name) {
					return
				}
			} else if !has(v, name) {
				return
			}
			ask(v, "B01", []string{name}, say)
		},
	},
	{
		ID: "B02", Title: "min.insync.replicas=1", Severity: Error, Needs: cfgLive, Kinds: both, Versions: "all; 1 is the default",
		Cause: "acks=all waits for the replicas that are in sync; with 1 the leader alone is enough.", Diagnosis: "Look at min.insync.replicas of the topic, and of the brokers.",
		Fix: "Set min.insync.replicas=2 with 3 replicas.", Why: "When the followers have fallen behind, a record has one copy although all acknowledged; when the leader fails, it is gone.",
		WhenNot: "The topic has one replica (B01).", Source: "Apache Kafka, documentation of min.insync.replicas", Damage: lookForCT, Prove: "orderly prove scenario unclean-election",
		unit: func(v facts.View, say say) {
			if has(v, "min.insync.replicas", "replication.factor", "default.replication.factor") && !v.Open("min.insync.replicas") && !(v.Kind == facts.Topic && !has(v, "min.insync.replicas")) {
				ask(v, "B02", []string{"min.insync.replicas"}, say)
			}
		},
	},
	{
		ID: "B03", Title: "min.insync.replicas equals the number of replicas", Severity: Warn, Needs: cfgLive, Kinds: both, Versions: "all",
		Cause: "All replicas have to be in sync for a write.", Diagnosis: "Compare min.insync.replicas with the number of replicas.",
		Fix: "Set min.insync.replicas one lower than the number of replicas.", Why: "One broker that restarts stops all writing; records then expire in the producers, which are gaps.",
		WhenNot: "Writing nothing is better than writing with one copy less.", Source: "Apache Kafka, documentation of min.insync.replicas", Damage: notByItself, Prove: "restart one broker",
		unit: func(v facts.View, say say) { ask(v, "B03", []string{"min.insync.replicas"}, say) },
	},
	{
		ID: "B04", Title: "min.insync.replicas does nothing for writers with acks=1", Severity: Error, Needs: cfgLive, Versions: "all",
		Cause: "The topic or broker has min.insync.replicas of 2 or more, and a producer here has acks=1 or 0, written or by its client's default.", Diagnosis: "Look at both.",
		Fix: "Set acks=all in the producers.", Why: "The number of replicas in sync is checked for acks=all only.",
		WhenNot: "The producer writes other topics.", Source: "Apache Kafka, Partition.scala", Damage: lookForLoss, Prove: "orderly prove scenario leader-failover",
		set: func(s *facts.Set, say sayAt) {
			var at facts.Place
			for _, u := range s.Units {
				if val, ok := u.Set["min.insync.replicas"]; ok && (u.Kind == facts.Broker || u.Kind == facts.Topic) && val.Text != "1" && val.Text != "" && !val.Elsewhere {
					at = val.Place
				}
			}
			if at == (facts.Place{}) {
				return
			}
			for _, u := range s.Units {
				if acks, where := weakAcks(u); acks != "" {
					say([]facts.Place{at, where}, "the brokers ask for copies, but this producer's acks=%s passes that check by", acks)
				}
			}
		},
	},
	{
		ID: "B05", Title: "Unclean leader election", Severity: Error, Needs: cfgLive, Kinds: both, Versions: "all; false by default since 0.11",
		Cause: "unclean.leader.election.enable is true.", Diagnosis: "Look at the setting of topics and brokers.",
		Fix: "Set unclean.leader.election.enable=false.", Why: "A replica that is behind becomes leader: acknowledged records are cut off, and other records get their offsets.",
		WhenNot: "Being able to write matters more than what was written.", Source: "Apache Kafka, documentation of the setting; Jepsen", Damage: lookForCT, Prove: "orderly prove scenario unclean-election",
		unit: func(v facts.View, say say) {
			ask(v, "B05", []string{"unclean.leader.election.enable"}, say)
		},
	},
	{
		ID: "B06", Title: "Eligible leader replicas, and min.insync.replicas at brokers only", Severity: Error, Needs: []facts.Source{facts.Cluster}, Versions: "4.1 and later; on for new clusters",
		Cause: "With the feature on, min.insync.replicas of single brokers is removed.", Diagnosis: "Describe the features of the cluster, and min.insync.replicas at the cluster's level.",
		Fix: "Set min.insync.replicas as the cluster-wide default (kafka-configs --entity-type brokers --entity-default).", Why: "Without it the default of 1 holds, although the file says 2.",
		WhenNot: "Each topic has its own.", Source: "Apache Kafka, upgrade notes of 4.1; KIP-966", Damage: lookForCT,
	},
	{
		ID: "B07", Title: "Replicas are missing now", Severity: Warn, Needs: []facts.Source{facts.Cluster}, Versions: "all",
		Cause: "Fewer replicas are in sync than there are, a leader is not the preferred one, a log directory is offline.", Diagnosis: "Describe the topics and the log directories.",
		Fix: "Repair the broker or the disk; then elect the preferred leaders.", Why: "The next failure loses records.",
		WhenNot: "A rolling restart is under way.", Source: "Apache Kafka, operations", Damage: notByItself,
	},
	{
		ID: "B08", Title: "Brokers older than 2.5", Severity: Warn, Needs: []facts.Source{facts.Version, facts.Cluster}, Kinds: brokers, Versions: "before 2.5",
		Cause: "These brokers forget producers with their last record.", Diagnosis: "Look at the version of the brokers.",
		Fix: "Upgrade, or keep records of quiet topics for longer.", Why: "A producer that was quiet gets UNKNOWN_PRODUCER_ID; what the client then does may write twice, or end it.",
		WhenNot: "All topics are busy.", Source: "KIP-360; KAFKA-7190", Damage: notByItself,
		unit: func(v facts.View, say say) {
			if v.Ver.Before("2.5") {
				say(nil, "these brokers forget producers with their last record")
			}
		},
	},
	{
		ID: "B09", Title: "A move from ZooKeeper to KRaft with a version that hands out producer ids twice", Severity: Error, Needs: []facts.Source{facts.Version, facts.Ask}, Kinds: brokers, Versions: "before 3.5.2, and 3.6.0",
		Cause: "The migration began producer ids anew.", Diagnosis: "Look at zookeeper.metadata.migration.enable and the version.",
		Fix: "Upgrade to 3.5.2, 3.6.1 or later before the migration; after it restart all producers once.", Why: "Two producers share an id: one's records are dropped as the other's repeats.",
		WhenNot: "The cluster began as KRaft.", Source: "KAFKA-15552", Damage: lookForLoss,
		unit: func(v facts.View, say say) {
			if v.Explicit("zookeeper.metadata.migration.enable", "true") && (v.Ver.Before("3.5.2") || v.Ver.Is("3.6.0")) {
				say([]string{"zookeeper.metadata.migration.enable"}, "the migration of this version hands out producer ids twice")
			}
		},
	},
	{
		ID: "B10", Title: "Producers are forgotten soon", Severity: Warn, Needs: cfgLive, Kinds: brokers, Versions: "3.4 and later (before that transactional.id.expiration.ms, 7 days)",
		Cause: "producer.id.expiration.ms is shorter than a writer may be idle, or cut off.", Diagnosis: "Compare it with the longest outage and the longest pause of a writer.",
		Fix: "Set producer.id.expiration.ms=86400000 (the default) or more.", Why: "A repeat that comes after that is written again: the broker knows no sequence to compare.",
		WhenNot: "Producers are restarted after each outage.", Source: "KIP-854", Damage: lookForDup,
		unit: func(v facts.View, say say) {
			if val, ok := v.Get("producer.id.expiration.ms"); ok && !val.Elsewhere {
				if n, isInt := v.Int("producer.id.expiration.ms"); isInt && n < 86_400_000 {
					say([]string{"producer.id.expiration.ms"}, "a repeat that comes later than this is written twice")
				}
			}
		},
	},
	{
		ID: "B11", Title: "Retention is shorter than a reader's lag", Severity: Error, Needs: []facts.Source{facts.Cluster}, Versions: "all",
		Cause: "Records are deleted before the group has read them.", Diagnosis: "Compare retention.ms and retention.bytes with the lag of the groups, in time and bytes.",
		Fix: "Raise the retention.", Why: "The reader jumps over what is gone: a gap in every key.",
		WhenNot: "Old records do not matter.", Source: "Apache Kafka, documentation of retention", Damage: "Yes, if the reader's offset was ever below the start of the log.",
	},
	{
		ID: "B12", Title: "Compaction on a topic of events", Severity: Warn, Needs: cfgLive, Kinds: both, Versions: "all",
		Cause: "cleanup.policy has compact in it.", Diagnosis: "Look at cleanup.policy, and ask whether each record counts or only the last one of a key.",
		Fix: "Set cleanup.policy=delete for events; where both are wanted, min.compaction.lag.ms above the longest lag.", Why: "Earlier records of a key vanish: a reader that is behind sees only the last one. The order itself is kept.",
		WhenNot: "The topic is a table: only the last value of a key counts.", Source: "Apache Kafka, documentation of log compaction", Damage: "Possibly: intermediate records of a key are gone.",
		unit: func(v facts.View, say say) {
			for _, name := range []string{"cleanup.policy", "log.cleanup.policy"} {
				if val, ok := v.Get(name); ok && !val.Elsewhere && strings.Contains(val.Text, "compact") && !has(v, "min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms") {
					say([]string{name}, "earlier records of a key vanish, read or not")
				}
			}
		},
	},
	{
		ID: "B13", Title: "Topics make themselves", Severity: Warn, Needs: cfgLive, Kinds: brokers, Versions: "all; true by default",
		Cause: "auto.create.topics.enable is true.", Diagnosis: "Look at the setting.",
		Fix: "Set auto.create.topics.enable=false.", Why: "A name that is mistyped becomes a topic with one partition and one replica; the order of half of the records is then somewhere else.",
		WhenNot: "A cluster for development.", Source: "Apache Kafka, documentation of the setting", Damage: notByItself,
		unit: func(v facts.View, say say) {
			if v.Partial && !has(v, "auto.create.topics.enable") {
				return
			}
			if strings.EqualFold(v.Text("auto.create.topics.enable"), "true") && !v.Open("auto.create.topics.enable") {
				say([]string{"auto.create.topics.enable"}, "a mistyped name is a new topic")
			}
		},
	},
	{
		ID: "B14", Title: "transaction.version below 2", Severity: Warn, Needs: []facts.Source{facts.Cluster}, Versions: "4.0 and later, with an upgrade that is not finalised",
		Cause: "The feature level of the cluster was not raised.", Diagnosis: "kafka-features describe: transaction.version.",
		Fix: "kafka-features upgrade --release-version; and clients of 4.0 or later.", Why: "A commit or abort that comes late can end the next transaction of the producer.",
		WhenNot: "Nobody uses transactions.", Source: "KIP-890; Apache Kafka, upgrade notes of 4.0", Damage: notByItself,
	},
	{
		ID: "B15", Title: "Kafka 3.6.0 with compression and transactions", Severity: Warn, Needs: []facts.Source{facts.Version, facts.Cluster}, Kinds: brokers, Versions: "3.6.0",
		Cause: "The check of transactions of this version fails on compressed records.", Diagnosis: "Look at the version of the brokers.",
		Fix: "Upgrade to 3.6.1.", Why: "Writes fail with errors that are not retried, in the middle of keys.",
		WhenNot: "No transactions, or no compression.", Source: "Apache Kafka, upgrade notes of 3.6.1", Damage: notByItself,
		unit: func(v facts.View, say say) {
			if v.Ver.Is("3.6.0") {
				say(nil, "3.6.0 refuses some compressed records of transactions")
			}
		},
	},
	{
		ID: "B16", Title: "Kafka's own topics with fewer than 3 replicas", Severity: Error, Needs: cfgLive, Kinds: brokers, Versions: "0.11 and later",
		Cause: "transaction.state.log or offsets.topic has fewer than 3 replicas, or transaction.state.log.min.isr is 1.", Diagnosis: "Look at the settings, and describe the topics: they keep what they were made with.",
		Fix: "Set offsets.topic.replication.factor=3, transaction.state.log.replication.factor=3, transaction.state.log.min.isr=2, and raise the replicas of topics that exist.", Why: "With the committed offsets gone, groups begin again; with the state of transactions gone, zombies are not fenced.",
		WhenNot: "A cluster for development.", Source: "Apache Kafka, documentation of broker settings", Damage: notByItself, Prove: "stop the broker that has them",
		unit: func(v facts.View, say say) {
			for _, c := range []struct {
				name  string
				least int64
			}{{"offsets.topic.replication.factor", 3}, {"transaction.state.log.replication.factor", 3}, {"transaction.state.log.min.isr", 2}} {
				if n, ok := v.Int(c.name); ok && n < c.least && has(v, c.name) && !v.Open(c.name) {
					say([]string{c.name}, "%s is %d", c.name, n)
				}
			}
		},
	},
	{
		ID: "B17", Title: "Brokers of one cluster disagree", Severity: Warn, Needs: cfgLive, Versions: "all",
		Cause: "A setting that decides about losses or duplicates has different values in the files of several brokers.", Diagnosis: "Compare the files; describe the configs of each broker.",
		Fix: "Give all brokers the same value.", Why: "What holds depends on which broker leads, or makes the topic.",
		WhenNot: "They are brokers of different clusters.", Source: "found in real configurations", Damage: notByItself,
		set: disagree,
	},
	{
		ID: "B18", Title: "Brokers on storage that does not last", Severity: Error, Needs: cfg, Kinds: brokers, Versions: "all",
		Cause: "log.dirs is below /tmp, or the volume is an emptyDir, tmpfs or of the type ephemeral.", Diagnosis: "Look at log.dirs, and at the volume that is mounted there.",
		Fix: "Give brokers volumes that outlast them.", Why: "A broker that comes back empty may lead, or all copies are gone after a restart of the cluster.",
		WhenNot: "A cluster for development.", Source: "found in real configurations", Damage: lookForCT,
		unit: func(v facts.View, say say) {
			for _, name := range []string{"log.dirs", "log.dir"} {
				val, ok := v.Get(name)
				if ok && !val.Elsewhere && slices.ContainsFunc(strings.Split(val.Text, ","), shortLived) {
					say([]string{name}, "the log is in a directory that does not last")
				}
			}
			if v.Explicit("storage", "ephemeral") {
				say([]string{"storage"}, "the volume goes with the broker")
			}
		},
	},
}

// shortLived says that a directory is emptied at a restart.
func shortLived(dir string) bool {
	dir = strings.TrimSpace(dir) + "/"
	return strings.HasPrefix(dir, "/tmp/") || strings.HasPrefix(dir, "/dev/shm/")
}

// weakAcks is what a producer surely waits for, where that is less than all; a client
// that does not start writes nothing.
func weakAcks(u *facts.Unit) (acks string, at facts.Place) {
	if u.Kind != facts.Producer {
		return "", at
	}
	at = u.Place
	if val, ok := u.Set["acks"]; ok {
		at = val.Place
	}
	for _, v := range u.Views() {
		a := v.Acks()
		if a != "0" && a != "1" || v.Idempotent().Refuse != "" || acks != "" && a != acks {
			return "", at
		}
		acks = a
	}
	return acks, at
}

// disagree compares broker files that belong together: of one directory or file,
// or siblings.
func disagree(s *facts.Set, say sayAt) {
	type key struct{ dir, name string }
	first := map[key]facts.Value{}
	told := map[key]bool{}
	for _, u := range s.Units {
		if u.Kind != facts.Broker {
			continue
		}
		dir := u.File
		if i := strings.LastIndexByte(dir, '/'); i >= 0 && !strings.HasSuffix(dir, ".yml") && !strings.HasSuffix(dir, ".yaml") {
			dir = dir[:i]
		}
		for _, name := range []string{"min.insync.replicas", "unclean.leader.election.enable", "default.replication.factor", "auto.create.topics.enable",
			"offsets.topic.replication.factor", "transaction.state.log.replication.factor", "transaction.state.log.min.isr", "log.cleanup.policy", "producer.id.expiration.ms"} {
			val, ok := u.Set[name]
			if !ok || val.Elsewhere {
				continue
			}
			k := key{dir, name}
			old, seen := first[k]
			if !seen {
				first[k] = val
			} else if !strings.EqualFold(old.Text, val.Text) && !told[k] {
				told[k] = true
				say([]facts.Place{old.Place, val.Place}, "%s is %s at one broker and %s at another", name, Shown(name, old.Text), Shown(name, val.Text))
			}
		}
	}
}
