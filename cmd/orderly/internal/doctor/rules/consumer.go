package rules

import (
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var (
	readers   = []facts.Kind{facts.Consumer}
	polling   = []facts.Client{facts.Java, facts.Librdkafka, facts.AIOKafka, facts.KafkaPython}
	lookForRe = "Look for effects that were made twice, or by two processes, around rebalances."
)

// marks says that a client commits by time, but only what was marked as done: Sarama
// with MarkMessage, KafkaJS when eachMessage has returned.
func marks(c facts.Client) bool { return c == facts.Sarama || c == facts.KafkaJS }

var consumer = []Rule{
	{
		ID: "C01", Title: "Eager rebalances", Severity: Note, Needs: cfg, Kinds: readers, Clients: []facts.Client{facts.Java, facts.Librdkafka, facts.KafkaPython, facts.AIOKafka}, Versions: "Java client: the effective default, also of 3.x and 4.x with group.protocol=classic",
		Cause:     "The first assignor in common is Range or RoundRobin: all members give all partitions up at each rebalance.",
		Diagnosis: "Look at partition.assignment.strategy. [Range, CooperativeSticky], the default since 3.0, still rebalances eagerly.",
		Fix:       "Set {partition.assignment.strategy=cooperative-sticky} alone (two rolling restarts), or group.protocol=consumer.",
		Fixes:     map[string]string{"kafka-python": "kafka-python has no cooperative assignor; keep handlers short and rebalances few.", "aiokafka": "aiokafka has no cooperative assignor; keep handlers short and rebalances few."},
		Why:       "Each partition changes hands, or stops, at each rebalance; each is a moment in which an old owner may still work.",
		WhenNot:   "Rebalances are rare and records short.",
		Source:    "Apache Kafka, upgrade notes of 3.0; KIP-429", Damage: notByItself, Prove: "orderly prove scenario rebalance",
		unit: func(v facts.View, say say) {
			t := strings.ToLower(v.Text("partition.assignment.strategy"))
			if strings.EqualFold(v.Text("group.protocol"), "consumer") || v.Open("partition.assignment.strategy") || v.Text("group.mode") == "assign" {
				return
			}
			first, _, _ := strings.Cut(strings.TrimLeft(t, " [\"'"), ",")
			if first != "" && !strings.Contains(first, "cooperative") && (strings.Contains(t, "range") || strings.Contains(t, "roundrobin")) {
				say([]string{"partition.assignment.strategy"}, "all partitions stop and may move at each rebalance")
			}
		},
	},
	{
		ID: "C02", Title: "Eager and cooperative assignors mixed", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Cluster}, Kinds: readers, Versions: "Java client from 2.4 on; librdkafka refuses it",
		Cause:     "Members, or one list, name both kinds.",
		Diagnosis: "Look at partition.assignment.strategy of all members.",
		Fix:       "Finish the change: a second rolling restart with {partition.assignment.strategy=cooperative-sticky} alone.",
		Why:       "The group goes by the eager one that all have; members without one in common are refused (INCONSISTENT_GROUP_PROTOCOL).",
		WhenNot:   "Between the two restarts of a change.",
		Source:    "Apache Kafka, upgrade notes of 2.4 and 3.0; librdkafka, CONFIGURATION.md", Damage: notByItself, Prove: "orderly prove scenario rebalance", Yields: nil,
		unit: func(v facts.View, say say) {
			val, ok := v.Get("partition.assignment.strategy")
			t := strings.ToLower(val.Text)
			if ok && strings.Contains(t, "cooperative") && (strings.Contains(t, "range") || strings.Contains(t, "roundrobin") || strings.Contains(strings.ReplaceAll(t, "cooperativesticky", ""), "stickyassignor")) {
				say([]string{"partition.assignment.strategy"}, "the group stays with the eager one")
			}
		},
	},
	{
		ID: "C03", Title: "A poll can take longer than max.poll.interval.ms", Severity: Error, Needs: cfg, Kinds: readers, Clients: polling, Versions: "Java client, librdkafka, aiokafka, kafka-python",
		Cause:     "max.poll.records times the longest time of a record is more than max.poll.interval.ms.",
		Diagnosis: "Measure the longest time that a record takes, and give it with --record-time.",
		Fix:       "Lower max.poll.records, or raise max.poll.interval.ms, with room to spare.",
		Why:       "The member is put out of the group while it works: another one begins the same records beside it.",
		WhenNot:   "Records are handled apart from the polling, and partitions are paused meanwhile.",
		Source:    "Apache Kafka, documentation of max.poll.interval.ms", Damage: lookForRe, Prove: "hold the handling for longer than max.poll.interval.ms",
		set: sizing,
	},
	{
		ID: "C04", Title: "Automatic commits", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: readers, Versions: "all clients but Sarama and KafkaJS, which commit only what was marked as done; kafka-go's ReadMessage commits by itself",
		Cause:     "enable.auto.commit is on: offsets are committed by time.",
		Diagnosis: "Look at enable.auto.commit and its default, and whether records are handled in other threads. If they are, this is an error.",
		Fix:       "Set {enable.auto.commit=false} and commit after the work is done.",
		Why:       "What was taken but not done counts as done: after a crash or a rebalance it is a gap. With all work inside of the poll loop it commits what the poll before returned; then there are repeats only.",
		WhenNot:   "Records are handled in the polling thread, and repeats are harmless. Spring's listener containers commit by themselves and switch it off.",
		Source:    "Apache Kafka, documentation of enable.auto.commit", Damage: "Possibly, at each crash: look for gaps in what was done.", Prove: "orderly prove scenario auto-commit-kill",
		unit: func(v facts.View, say say) {
			if v.Text("group.mode") == "assign" || v.Client == facts.KafkaGo || v.Open("enable.auto.commit") || marks(v.Client) {
				return
			}
			val, explicit := v.Get("enable.auto.commit")
			if strings.HasPrefix(v.Framework, "spring") && !explicit { // Spring Kafka, also below Spring Cloud Stream, switches it off
				return
			}
			if strings.EqualFold(val.Text, "true") || !explicit && !v.Partial && strings.EqualFold(v.Text("enable.auto.commit"), "true") {
				say([]string{"enable.auto.commit"}, "offsets are committed by time, not by what is done")
			}
		},
		Marks: []string{"auto-commit"},
	},
	{
		ID: "C05", Title: "librdkafka: offsets are stored before the work is done", Severity: Warn, Needs: cfg, Kinds: readers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka",
		Cause:     "enable.auto.offset.store is on: an offset counts as done when the message is handed to the application. With a pool of workers this is an error.",
		Diagnosis: "Look at enable.auto.offset.store and enable.auto.commit.",
		Fix:       "Set {enable.auto.offset.store=false} and store the offset when the work is done.",
		Why:       "The next commit takes a message for done that a worker still has: after a crash it is a gap.",
		WhenNot:   "Each message is done before the next is asked for, and the last one may be lost at a crash.",
		Source:    "librdkafka, CONFIGURATION.md", Damage: "Possibly, at each crash.", Prove: "orderly prove scenario auto-commit-kill",
		unit: func(v facts.View, say say) {
			if val, ok := v.Get("enable.auto.offset.store"); v.Client == facts.Librdkafka && (!ok || strings.EqualFold(val.Text, "true")) &&
				strings.EqualFold(v.Text("enable.auto.commit"), "true") && (ok || !v.Partial) && v.Unit.Client == facts.Librdkafka {
				say([]string{"enable.auto.offset.store", "enable.auto.commit"}, "a message counts as done when it is handed over")
			}
		}, Yields: nil,
	},
	{
		ID: "C06", Title: "auto.offset.reset=latest", Severity: Warn, Needs: cfg, Kinds: readers, Versions: "all clients; the default of most",
		Cause:     "Where there is no offset, or it is out of range, the consumer begins at the end.",
		Diagnosis: "Look at auto.offset.reset and its default.",
		Fix:       "Set {auto.offset.reset=earliest}, or none, and decide by hand.",
		Why:       "The first records of a new partition, or all that came while an offset expired, are skipped without a word: gaps at the beginning of keys.",
		WhenNot:   "Only what is new counts.",
		Source:    "Apache Kafka, documentation of auto.offset.reset", Damage: "Possibly: look for records that were never handled, from before the group's first commit of a partition.", Prove: "add a partition, and write to it before the group knows",
		unit: func(v facts.View, say say) {
			t := strings.ToLower(v.Text("auto.offset.reset"))
			_, ok := v.Get("auto.offset.reset")
			if (t == "latest" || t == "largest" || t == "end") && (ok || !v.Partial) && v.Text("group.mode") != "assign" {
				say([]string{"auto.offset.reset"}, "records that came before the first offset are skipped")
			}
		},
	},
	{
		ID: "C07", Title: "A short session timeout", Severity: Warn, Needs: cfg, Kinds: readers, Versions: "all clients; 10 s was the default before 3.0, and is Sarama's",
		Cause:     "session.timeout.ms is 10 s or less, or below three heartbeats.",
		Diagnosis: "Look at session.timeout.ms and heartbeat.interval.ms.",
		Fix:       "Set {session.timeout.ms=45000} with heartbeats every 3 s.",
		Why:       "A pause of the garbage collector or of the network counts as death: the partitions move while the old owner still works.",
		WhenNot:   "Effects are fenced, and a quick takeover matters more.",
		Source:    "KIP-735", Damage: lookForRe, Prove: "orderly prove scenario zombie",
		unit: func(v facts.View, say say) {
			if strings.EqualFold(v.Text("group.protocol"), "consumer") || v.Text("group.mode") == "assign" {
				return
			}
			_, own := v.Get("session.timeout.ms")
			_, beats := v.Get("heartbeat.interval.ms")
			s, ok := v.Int("session.timeout.ms")
			h, beat := v.Int("heartbeat.interval.ms")
			if (own || beats || v.Client == facts.Sarama && !v.Partial) && ok && (s <= 10_000 || beat && s < 3*h) {
				say([]string{"session.timeout.ms", "heartbeat.interval.ms"}, "a short pause takes the partitions away")
			}
		},
	},
	{
		ID: "C08", Title: "Settings that group.protocol=consumer does not read", Severity: Warn, Needs: cfg, Kinds: readers, Clients: []facts.Client{facts.Java, facts.Librdkafka}, Versions: "Java client 4.0 and later, librdkafka 2.4 and later",
		Cause:     "session.timeout.ms, heartbeat.interval.ms or partition.assignment.strategy is set together with group.protocol=consumer.",
		Diagnosis: "Look at these settings.",
		Fix:       "Remove them; set group.consumer.session.timeout.ms and its neighbours on the brokers, or for the group.",
		Why:       "They are ignored, or refused at the start: the broker decides.",
		WhenNot:   "Never.",
		Source:    "KIP-848; librdkafka, INTRODUCTION.md", Damage: notByItself,
		unit: func(v facts.View, say say) {
			if !v.Explicit("group.protocol", "consumer") {
				return
			}
			for _, name := range []string{"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} {
				if _, ok := v.Get(name); ok {
					say([]string{name, "group.protocol"}, "%s is the broker's decision here", name)
				}
			}
		},
	},
	{
		ID: "C09", Title: "group.protocol=consumer and effects without a fence", Severity: Warn, Needs: cfg, Kinds: readers, Clients: []facts.Client{facts.Java, facts.Librdkafka}, Versions: "brokers 4.0 and later",
		Cause:     "A member that cannot reach its coordinator goes on with what it has.",
		Diagnosis: "Ask what stops an old owner from writing to the database after another one has begun.",
		Fix:       "Let the sink refuse an old owner: compare offset or a fencing token in the same transaction as the effect.",
		Why:       "With the classic protocol such a member stops at its session timeout; with the new one it keeps working, and only its commit is refused.",
		WhenNot:   "The sink checks offset or epoch.",
		Source:    "librdkafka, INTRODUCTION.md; KIP-848", Damage: lookForRe, Prove: "drop heartbeats, hold the handling",
		unit: func(v facts.View, say say) {
			if v.Explicit("group.protocol", "consumer") {
				say([]string{"group.protocol"}, "a member that is cut off goes on working")
			}
		},
	},
	{
		ID: "C10", Title: "One group.instance.id for several members, or a new one at each start", Severity: Error, Needs: []facts.Source{facts.Config, facts.Cluster}, Kinds: readers, Versions: "clients and brokers from 2.3 on",
		Cause:     "The id is a constant although the program runs several times, or it is made of random.",
		Diagnosis: "Look at group.instance.id and at the number of replicas.",
		Fix:       "Take the ordinal of the pod (StatefulSet) or the host's name.",
		Why:       "Members with the same id put each other out of the group (classic: the old one, new protocol: the new one). A random one leaves a dead member that keeps its partitions until the session ends.",
		WhenNot:   "Exactly one process runs.",
		Source:    "KIP-345; librdkafka, INTRODUCTION.md", Damage: lookForRe, Prove: "start two members with one id",
		unit: func(v facts.View, say say) {
			val, ok := v.Get("group.instance.id")
			switch n, many := v.Int("replicas"); {
			case !ok || val.Text == "" && !val.Elsewhere:
			case random(val.Text) || random(val.Env):
				say([]string{"group.instance.id"}, "it is another one at each start")
			case val.Elsewhere || val.Env != "" || strings.ContainsAny(val.Text, "$%{"):
			case many && n > 1:
				say([]string{"group.instance.id", "replicas"}, "%d replicas have the same id", n)
			}
		},
	},
	{
		ID: "C11", Title: "A share group on an ordered topic", Severity: Error, Needs: []facts.Source{facts.Cluster, facts.Code}, Marks: []string{"share-group"}, Versions: "Kafka 4.1 (preview), 4.2",
		Cause: "Records are handed out one by one to any member.", Diagnosis: "Look for share consumers, and for groups of the type share.",
		Fix: "Use a consumer group.", Why: "Records of a key are worked on at the same time by several members, and what is given back comes again behind later ones.",
		WhenNot: "The topic is a queue of independent jobs.", Source: "KIP-932; Apache Kafka, upgrade notes of 4.2", Damage: "Yes, with more than one member.",
	},
	{
		ID: "C12", Title: "read_uncommitted on a topic with transactions", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Log}, Kinds: readers, Versions: "brokers from 0.11 on; Java's default is read_uncommitted, librdkafka's read_committed",
		Cause: "isolation.level is read_uncommitted, written so.", Diagnosis: "Look at isolation.level, and whether a transactional producer writes the topic.",
		Fix: "Set {isolation.level=read_committed}.", Why: "Records of transactions that were aborted are handled as if they were true.",
		WhenNot: "Nobody writes the topic in transactions.", Source: "Apache Kafka, documentation of isolation.level", Damage: "Yes, if transactions were aborted.", Prove: "abort a transaction",
		set: uncommitted,
	},
	{
		ID: "C13", Title: "A gap in offsets is taken for a loss", Severity: Warn, Needs: []facts.Source{facts.Code, facts.Ask}, Versions: "brokers from 0.11 on",
		Cause: "The application compares offsets with the one before.", Diagnosis: "Look for offset + 1 in comparisons.",
		Fix: "Count numbers of your own in the records.", Why: "Transaction markers, aborted records and compaction leave gaps in offsets where nothing is lost.",
		WhenNot: "Never.", Source: "Jepsen's Kafka workload; Kafka's log format", Damage: "No.",
	},
	{
		ID: "C14", Title: "Order by timestamp", Severity: Warn, Needs: []facts.Source{facts.Code, facts.Ask}, Versions: "brokers from 0.10 on",
		Cause: "Records are sorted, or a start is chosen, by their timestamp.", Diagnosis: "Look for comparisons of timestamps, and for message.timestamp.type.",
		Fix: "Go by offset within the partition, or by a number of your own; LogAppendTime where time has to do.", Why: "CreateTime is the clock of the writer: clocks differ and go back.",
		WhenNot: "A tolerance is fine.", Source: "Apache Kafka, documentation of message.timestamp.type", Damage: "Look for timestamps that go back within a partition.",
	},
	{
		ID: "C15", Title: "Several groups or programs write one sink without a fence", Severity: Warn, Needs: []facts.Source{facts.Ask}, Versions: "all",
		Cause: "Two groups, or two programs, write the same rows.", Diagnosis: "Ask who else writes there.",
		Fix: "Write only if the stored offset or version is the one before.", Why: "They overtake each other.",
		WhenNot: "They write different rows.", Source: "races", Damage: "Compare the sink with a replay of the topic.",
	},
}

// sizing compares what a poll can take with what it may.
func sizing(s *facts.Set, say sayAt) {
	each := s.Asked.RecordTime
	if each <= 0 {
		return
	}
	for _, u := range s.Units {
		if u.Kind != facts.Consumer {
			continue
		}
		views := u.Views()
		v := views[len(views)-1]
		if u.Client == facts.Unknown {
			v.Client = facts.Java
		}
		most, ok := v.Int("max.poll.records")
		if !ok && v.Client == facts.Librdkafka {
			most, ok = 1, true // one message at a time
		}
		limit, has := v.Int("max.poll.interval.ms")
		if !ok || !has || most < 1 || most > 1<<31 {
			continue
		}
		allowed := time.Duration(limit) * time.Millisecond
		if longest := time.Duration(most) * each; longest/time.Duration(most) != each || longest > allowed {
			at := []facts.Place{u.Place}
			if val, ok := v.Get("max.poll.records"); ok {
				at[0] = val.Place
			}
			say(at, "%d records of %s take %s, and max.poll.interval.ms is %s: at most %d records fit", most, each, longest, allowed, int64(allowed/each))
		}
	}
}

// uncommitted needs a transactional producer beside the consumer: read_uncommitted
// alone is harmless, and programs of other folders have other topics.
func uncommitted(s *facts.Set, say sayAt) {
	dir := func(u *facts.Unit) string { return u.File[:strings.LastIndexByte(u.File, '/')+1] }
	txn := map[string]bool{}
	for _, u := range s.Units {
		if t, ok := u.Set["transactional.id"]; u.Kind == facts.Producer && ok && (t.Text != "" || t.Elsewhere) {
			txn[dir(u)] = true
		}
	}
	for _, u := range s.Units {
		if u.Kind != facts.Consumer || !txn[dir(u)] {
			continue
		}
		for i, v := range u.Views() {
			if t := v.Text("isolation.level"); i == 0 && strings.EqualFold(t, "read_uncommitted") && !v.Open("isolation.level") && u.Client != facts.Unknown {
				at := u.Place
				if val, ok := v.Get("isolation.level"); ok {
					at = val.Place
				}
				say([]facts.Place{at}, "a producer here writes transactions, and this consumer reads what is aborted")
			}
		}
	}
}
